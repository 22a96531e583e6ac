//! Incoming: how a response returns.
//!
//! Comes in: the upstream's head. Goes out: the head for the client, without what was meant for us alone. Never
//! touches a field that is not ours: other cookies return byte for byte, one line each. Content-Length stays, for the
//! codec to judge.

use http::StatusCode;

use super::guard::is_instruction;
use super::hop::HopByHop;
use super::{REQUEST_ID, Rules};
use crate::message::ResponseHead;

/// What a response needs to know of its request.
#[derive(Clone, Copy, Debug)]
pub struct Returning<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// The client speaks https, to us or to a trusted proxy.
    pub secure: bool,
    /// Names of cookies only the gateway may set.
    pub our_cookies: &'a [&'a str],
    /// Now, as an IMF-fixdate (RFC 9110, section 5.6.7).
    pub date: &'a str,
}

/// Turns the upstream's head into the client's. Session instructions must have been read before.
pub fn incoming(response: &mut ResponseHead, rules: &Rules, returning: &Returning<'_>) {
    let switched = response.status == StatusCode::SWITCHING_PROTOCOLS;
    let protocol = response.fields.get("upgrade").filter(|_| switched).map(<[u8]>::to_vec);
    let hop = HopByHop::of(&response.fields);
    let fields = &mut response.fields;
    fields.retain(|name, value| {
        let our_cookie = name.eq_ignore_ascii_case("set-cookie") && sets_any(value, returning.our_cookies);
        !(our_cookie || is_instruction(name) || hop.covers(name))
    });
    if let Some(protocol) = protocol {
        fields.append("Connection", "upgrade");
        fields.append("Upgrade", protocol);
    } else if response.status.is_informational() {
        return;
    }
    if !fields.contains("date") {
        fields.append("Date", returning.date);
    }
    for name in &rules.response.remove {
        fields.remove(name);
    }
    for (name, value) in &rules.response.set {
        fields.set(name, value);
    }
    if let Some(hsts) = rules.hsts.as_deref().filter(|_| returning.secure) {
        fields.set("Strict-Transport-Security", hsts);
    }
    if rules.response.via {
        fields.append("Via", "1.1 cloakroom");
    }
    fields.set(REQUEST_ID, returning.request_id);
}

/// Whether a `Set-Cookie` value sets one of these cookies. A cookie without a name counts by its value, since browsers
/// send `=name=value` back as `name=value`.
fn sets_any(set_cookie: &[u8], names: &[&str]) -> bool {
    let pair = set_cookie.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let pair = pair.strip_prefix(b"=").unwrap_or(pair).trim_ascii_start();
    let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii_end();
    names.iter().any(|ours| name.eq_ignore_ascii_case(ours.as_bytes()))
}
