//! Application login: requests that log in or out at an application, followed to their answers.
//!
//! Comes in: a request on its way out, and the head of its answer. Goes out: what is to become of the visitor's session; a
//! page in place of the answer where somebody has tried too often, so that the answer tells nothing about a password.

use std::net::IpAddr;

use http::StatusCode;

use super::body::Body;
use super::pages::Asked;
use super::{Gateway, OURS, Reply};
use crate::body::RequestBody;
use crate::clock::Timestamp;
use crate::headers::Inbound;
use crate::login::upstream::{Heard, Passing, Watch};
use crate::message::RequestHead;

impl Gateway {
    /// Follows a request, if it is one that logs in or out at its application.
    pub(super) fn watch(&self, inbound: &Inbound, body: &mut RequestBody) -> Option<Box<Watch>> {
        let passing = Passing {
            host: inbound.host.name(),
            path: inbound.path.as_str(),
            query: inbound.query.as_deref(),
            method: &inbound.method,
            fields: &inbound.fields,
        };
        let watch = self.settings.login.watch(&passing)?;
        body.tap(watch.tap.clone());
        Some(watch)
    }

    /// What the answer means.
    pub(super) fn hear(
        &self,
        watch: &Watch,
        reply: &mut Reply,
        outgoing: &RequestHead,
        (client, now): (Option<IpAddr>, Timestamp),
    ) -> Heard {
        let login = &self.settings.login;
        let heard = login.hear(watch, &mut reply.head, client, now);
        match &heard {
            Heard::Nothing => {}
            Heard::Login(identity) => {
                tracing::info!(
                    user = identity.user(),
                    client = client.map(tracing::field::display),
                    "signed in at the application"
                );
            }
            Heard::Logout => {
                tracing::info!(client = client.map(tracing::field::display), "signed out at the application")
            }
            Heard::TooMany(wait) => {
                tracing::warn!(
                    client = client.map(tracing::field::display),
                    "a login at the application was refused: too many failures"
                );
                let seconds = wait.0.as_millis().div_ceil(1000).max(1);
                let asked = Asked::of(&outgoing.method, &outgoing.fields);
                let sorry = login.sorry(StatusCode::TOO_MANY_REQUESTS, asked.languages(), "");
                let page = sorry.with("Retry-After", seconds.to_string());
                *reply = Reply { keeps: OURS, head: page.head, body: Body::Full(page.body), tunnel: None };
            }
        }
        heard
    }
}
