//! Credentials: an application that asks for a password or a token gets one, and the visitor is not asked again.
//!
//! Comes in: a request that may pass, on its way to such an application. Goes out: `Authorization` in the place of the
//! client's own. Never passes the client's own on there, and never logs either.

use zeroize::Zeroizing;

use super::Gateway;
use crate::access::Pass;
use crate::clock::Timestamp;
use crate::headers::credentials::{Basic, Bearer, Credentials, NAME, bearer};
use crate::identity::Identity;
use crate::login::oidc::noted::Noted;
use crate::message::Fields;
use crate::route::Route;
use crate::session::data::Value;
use crate::session::notes;
use crate::session::record::Session;

impl Gateway {
    /// Says what the application wants, where that is configured.
    pub(super) fn sign_on(&self, fields: &mut Fields, route: &Route, pass: &Pass<'_>, now: Timestamp) {
        let Some(credentials) = &route.credentials else { return };
        fields.remove(NAME);
        let value = match &**credentials {
            Credentials::Basic(basic) => password(basic, pass, now),
            Credentials::Bearer(which) => pass.session().and_then(|session| self.token(*which, session, now)),
        };
        match value {
            Some(value) => fields.append(NAME, value.as_bytes()),
            None => {
                let user = pass.identity().map(Identity::user);
                tracing::debug!(user, route = %route.name, "no credentials for this application");
            }
        }
    }

    /// A token of the provider where the session began.
    fn token(&self, which: Bearer, session: &Session, now: Timestamp) -> Option<Zeroizing<String>> {
        let (data, keys) = (session.data(), self.sessions().keys());
        let token = match which {
            Bearer::AccessToken => Noted::access_token(&data, keys, now),
            Bearer::IdToken => Noted::id_token(&data, keys, now),
        };
        bearer(&token?)
    }
}

/// The user and the password of the visitor, or of everybody.
fn password(basic: &Basic, pass: &Pass<'_>, now: Timestamp) -> Option<Zeroizing<String>> {
    let data = pass.session().map(Session::data);
    let kept = data.as_ref().and_then(|data| {
        let by_key = basic.key.as_ref().and_then(|key| {
            match data.find(&key.space, &key.name, now).map(|entry| entry.value) {
                Some(Value::Text(text)) => Some(text.into_owned()),
                _ => None,
            }
        });
        by_key.or_else(|| notes::note(data, basic.note.as_deref()?, now))
    });
    basic.value(pass.identity(), kept.as_deref())
}
