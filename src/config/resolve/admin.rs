//! Admin: the listener for operators.
//!
//! Comes in: `admin:` as written. Goes out: an address of this machine. Never one that others can reach.

use std::net::SocketAddr;

use super::{Context, is_local};
use crate::admin::Settings;
use crate::config::file::Admin;
use crate::server::{ListenAddress, ListenerSettings};

/// `admin:`; `None` when it is off.
pub(super) fn resolve(
    context: &mut Context,
    given: &Admin,
    listeners: &[ListenerSettings],
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
    if !is_local(&address) {
        let message = format!(
            "others could reach it, and it asks for no password\nwrite `127.0.0.1:{}`",
            address.port()
        );
        context.error(AT, message);
    }
    let taken = |listener: &ListenerSettings| listener.address == ListenAddress::Tcp(address);
    if address.port() != 0 && listeners.iter().any(taken) {
        context.error(AT, "this is also an address under `listen`");
    }
    Some(Settings { address })
}
