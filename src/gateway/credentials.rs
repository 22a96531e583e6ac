//! Credentials: an application that asks for a password gets one, and the visitor is not asked again.
//!
//! Comes in: a request that may pass, on its way to such an application. Goes out: `Authorization` in the place of the
//! client's own. Never passes the client's own on there, and never logs either.

use super::Gateway;
use crate::access::Pass;
use crate::clock::Timestamp;
use crate::headers::credentials::NAME;
use crate::message::Fields;
use crate::route::Route;
use crate::session::data::Value;
use crate::session::notes;
use crate::session::record::Session;

impl Gateway {
    /// Says the user and password that the application wants, where that is configured.
    pub(super) fn sign_on(&self, fields: &mut Fields, route: &Route, pass: &Pass<'_>, now: Timestamp) {
        let Some(credentials) = &route.credentials else { return };
        fields.remove(NAME);
        let data = pass.session().map(Session::data);
        let kept = data.as_ref().and_then(|data| {
            let by_key = credentials.key.as_ref().and_then(|key| {
                match data.find(&key.space, &key.name, now).map(|entry| entry.value) {
                    Some(Value::Text(text)) => Some(text.into_owned()),
                    _ => None,
                }
            });
            by_key.or_else(|| notes::note(data, credentials.note.as_deref()?, now))
        });
        match credentials.basic(pass.identity(), kept.as_deref()) {
            Some(value) => fields.append(NAME, value.as_bytes()),
            None => {
                let user = pass.identity().map(crate::identity::Identity::user);
                tracing::debug!(user, route = %route.name, "no credentials for this application");
            }
        }
    }
}
