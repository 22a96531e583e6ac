//! Cloakroom: a reverse proxy that adds sessions and login to applications that have none.
pub mod access;
pub mod admin;
pub mod body;
pub mod clock;
pub mod deadline;
pub mod gateway;
pub mod headers;
pub mod identity;
pub mod login;
pub mod message;
pub mod peer;
pub mod route;
pub mod server;
pub mod session;
pub mod stream;
pub mod upstream;
pub mod wire;
