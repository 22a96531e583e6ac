//! Noted: what is kept in a session that began at a provider.
//!
//! Comes in: a login there, and what became of it. Goes out: notes for the session, and the same again. Never shown to an
//! application or in a log: there are tokens among them.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::clock::Timestamp;
use crate::session::data::Data;
use crate::session::notes::{Note, note};

const PROVIDER: &str = "oidc.provider";
const SUB: &str = "oidc.sub";
const SID: &str = "oidc.sid";
const ID_TOKEN: &str = "oidc.id_token";
const REFRESH: &str = "oidc.refresh";
const UNTIL: &str = "oidc.until";
const FAILING: &str = "oidc.failing";

/// Bytes of the longest token that is kept.
const LONGEST: usize = 8192;

/// What is kept.
#[derive(Clone, Debug)]
pub struct Noted {
    /// Where it began.
    pub provider: String,
    /// What the person is called there.
    pub sub: Option<String>,
    /// What the session is called there.
    pub sid: Option<String>,
    /// What is shown there at the way out.
    pub id_token: Option<SecretString>,
    /// What keeps it going there.
    pub grant: Option<Grant>,
}

/// What a session that follows the provider's lives by.
#[derive(Clone, Debug)]
pub struct Grant {
    /// What is good for another one.
    pub refresh: SecretString,
    /// Until then nobody needs to ask.
    pub until: Timestamp,
    /// Since when asking has been in vain.
    pub failing: Option<Timestamp>,
}

impl Noted {
    /// What is noted in a session; `None` for one that began elsewhere.
    pub fn read(data: &Data, now: Timestamp) -> Option<Self> {
        let text = |name| note(data, name, now);
        let secret = |name| text(name).map(SecretString::from);
        let time = |name| Some(Timestamp::from_unix_millis(text(name)?.parse().ok()?));
        let grant = secret(REFRESH).zip(time(UNTIL));
        Some(Self {
            provider: text(PROVIDER)?,
            sub: text(SUB),
            sid: text(SID),
            id_token: secret(ID_TOKEN),
            grant: grant.map(|(refresh, until)| Grant { refresh, until, failing: time(FAILING) }),
        })
    }

    /// Whether the provider is to be asked if the session may go on.
    pub fn is_due(data: &Data, now: Timestamp) -> bool {
        let until = note(data, UNTIL, now).and_then(|until| until.parse().ok());
        until.is_some_and(|until| Timestamp::from_unix_millis(until) <= now)
    }

    /// As a session keeps it; tokens that are too long are left out.
    pub fn notes(self) -> Vec<Note> {
        let short = |token: SecretString| {
            let text = token.expose_secret();
            (text.len() <= LONGEST).then(|| text.to_owned())
        };
        let mut notes = vec![(PROVIDER, self.provider)];
        notes.extend(self.sub.map(|sub| (SUB, sub)));
        notes.extend(self.sid.map(|sid| (SID, sid)));
        notes.extend(self.id_token.and_then(short).map(|token| (ID_TOKEN, token)));
        let Some(Grant { refresh, until, failing }) = self.grant else { return notes };
        let time = |time: Timestamp| time.unix_millis().to_string();
        if let Some(refresh) = short(refresh) {
            notes.extend([(REFRESH, refresh), (UNTIL, time(until))]);
            notes.extend(failing.map(|failing| (FAILING, time(failing))));
        }
        notes
    }
}

impl Grant {
    /// What a provider gave, good for so many seconds.
    pub fn new(refresh: SecretString, seconds: Option<u64>, now: Timestamp) -> Self {
        // Whoever does not say it is asked every five minutes, and nobody more than once in one.
        let lasting = Duration::from_secs(seconds.unwrap_or(300).clamp(60, 30 * 86_400));
        Self { refresh, until: now.plus(lasting), failing: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::notes::with_notes;

    #[test]
    fn what_is_noted_is_read_again_and_is_due_in_time() {
        let now = Timestamp::from_unix_millis(1_800_000_000_000);
        let grant = Grant::new("a token".into(), Some(300), now);
        let noted = Noted {
            provider: "a".to_owned(),
            sub: Some("alice".to_owned()),
            sid: None,
            id_token: Some("x".repeat(9000).into()),
            grant: Some(Grant { failing: Some(now), ..grant }),
        };
        assert!(!format!("{noted:?}").contains("a token"));
        let data = with_notes(&Data::default(), &noted.notes(), now);
        let read = Noted::read(&data, now).expect("there");
        assert_eq!((read.provider.as_str(), read.sub.as_deref(), read.sid), ("a", Some("alice"), None));
        assert!(read.id_token.is_none(), "nobody has room for that");
        let grant = read.grant.expect("there");
        assert_eq!((grant.refresh.expose_secret(), grant.failing), ("a token", Some(now)));
        let after = |seconds| now.plus(Duration::from_secs(seconds));
        assert!(!Noted::is_due(&data, after(299)) && Noted::is_due(&data, after(300)));
        assert!(!Noted::is_due(&Data::default(), now) && Noted::read(&Data::default(), now).is_none());
    }
}
