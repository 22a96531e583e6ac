//! Cloakroom: a reverse proxy that adds sessions and login to applications that have none.
pub mod access;
pub mod admin;
pub mod cli;
pub mod clock;
pub mod gateway;
pub mod identity;
pub mod login;
pub mod message;
pub mod peer;
pub mod route;
pub mod server;
pub mod session;
pub mod upstream;
