//! The gateway from outside: bytes in, bytes out, with an application behind it that says what it saw.
//!
//! Every test of requests starts a gateway of its own on a free port, from YAML, and speaks to it as a client would. In
//! reading order: what the tests stand on, the wire and what is behind it, people and their sessions, the configuration,
//! the program, the house.

mod support;

mod smuggling;
mod wire;

mod fields;
mod headers;
mod paths;

mod http2;

mod interim;
mod upstream_faults;
mod upstream_pool;

mod pressure;
mod streaming;

mod limits;

mod isolation;

mod access_log;
mod admin;

mod access;
mod rules;

mod application_login;
mod bearer;
mod client_certificates;
mod django;
mod end_reasons;
mod forward_auth;
mod fresh_login;
mod guests;
mod login;
mod login_circle;
mod login_pages;
mod oidc;
mod oidc_logout;
mod oidc_refresh;
mod oidc_tokens;
mod outer_proxy;
mod own_sessions;
mod proof;
mod remembered_name;
mod replay;
mod return_targets;
mod second_factor;
mod session_data;
mod session_data_exchange;
mod session_events;
mod sessions;

mod config;
mod config_access;
mod config_example;
mod config_oidc;
mod config_sessions;
mod config_vouching;
mod docs_login;

mod command_line;
mod program;

mod access_docs;
mod examples;
mod password_docs;

mod tidy;
