//! Admin: the listener for operators.
//!
//! Comes in: `admin:` as written. Goes out: an address of this machine. Never one that others can reach.

use std::net::SocketAddr;
use std::path::Path;

use secrecy::ExposeSecret as _;

use super::{Context, is_local};
use crate::admin::Settings;
use crate::config::file::{Admin, Secret};
use crate::server::{ListenAddress, ListenerSettings};

/// Fewer bytes can be guessed.
const LEAST: usize = 32;

/// What the system has room for, without the byte that ends it.
const LONGEST_PATH: usize = 107;

/// `admin:`; `None` when it is off.
pub(super) fn resolve(
    context: &mut Context,
    given: &Admin,
    listeners: &[ListenerSettings],
    state_dir: Option<&Path>,
) -> Option<Settings> {
    const AT: &str = "admin.address";
    let Admin::On(given) = given else { return None };
    let Ok(address) = given.address.parse::<SocketAddr>() else {
        let message = format!(
            "`{}` is not an address to listen on\nwrite `127.0.0.1:9901`, or `admin: off`",
            given.address
        );
        context.error(AT, message);
        return None;
    };
    let token = given.token.as_ref().map(|Secret(token)| token.clone());
    if token.as_ref().is_some_and(|token| token.expose_secret().len() < LEAST) {
        let message =
            format!("a token of less than {LEAST} bytes can be guessed\nmake one: openssl rand -base64 32");
        context.error("admin.token", message);
    }
    if !is_local(&address) && token.is_none() {
        let message = format!(
            "others could reach it, and it asks for no token\nwrite `127.0.0.1:{}`, or add `token`",
            address.port()
        );
        context.error(AT, message);
    }
    let taken = |listener: &ListenerSettings| listener.address == ListenAddress::Tcp(address);
    if address.port() != 0 && listeners.iter().any(taken) {
        context.error(AT, "this is also an address under `listen`");
    }
    let needs_socket = given.socket.is_some();
    let socket = given.socket.as_deref().map(|given| context.path(given));
    if socket.as_ref().is_some_and(|path| path.as_os_str().len() > LONGEST_PATH) {
        let message = format!("a Unix socket's path has at most {LONGEST_PATH} bytes\nname a shorter one");
        context.error("admin.socket", message);
    }
    let socket = socket.or_else(|| state_dir.map(|directory| directory.join("admin.sock")));
    Some(Settings { address, socket, needs_socket, token })
}
