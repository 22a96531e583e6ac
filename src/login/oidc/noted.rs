//! Noted: what is kept in a session that began at a provider.
//!
//! Comes in: a login there, and what became of it. Goes out: notes for the session, and the same again. Never shown to an
//! application or in a log: there are tokens among them.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::clock::Timestamp;
use crate::login::oidc::flow::Offer;
use crate::session::data::Data;
use crate::session::keys::Keys;
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

/// What conceals a token is bound to this.
const BOUND: &[u8] = b"oidc refresh token";

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
    /// The token that is good for another one, concealed: a store may be read by others.
    refresh: String,
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
        let grant = text(REFRESH).zip(time(UNTIL));
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
        notes.extend([(REFRESH, refresh), (UNTIL, time(until))]);
        notes.extend(failing.map(|failing| (FAILING, time(failing))));
        notes
    }
}

impl Grant {
    /// What a provider offers; none where its token is too long to be kept.
    pub fn new(offer: &Offer, keys: &Keys, now: Timestamp) -> Option<Self> {
        let token = Some(offer.refresh.expose_secret()).filter(|token| token.len() <= LONGEST)?;
        // Whoever does not say it is asked every five minutes, and nobody more than once in one.
        let lasting = Duration::from_secs(offer.seconds.unwrap_or(300).clamp(60, 30 * 86_400));
        let refresh = keys.conceal(&[BOUND], token.as_bytes());
        Some(Self { refresh, until: now.plus(lasting), failing: None })
    }

    /// The same, left alone until then.
    #[must_use]
    pub fn resting(self, until: Timestamp) -> Self {
        Self { until, ..self }
    }

    /// The same, about which the provider has been asked in vain since then.
    #[must_use]
    pub fn failing_since(self, since: Timestamp) -> Self {
        Self { failing: Some(since), ..self }
    }

    /// The token, if one of our keys concealed it.
    pub fn token(&self, keys: &Keys) -> Option<SecretString> {
        let token = keys.disclose(&[BOUND], &self.refresh)?;
        Some(std::str::from_utf8(&token).ok()?.into())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretBox;

    use super::*;
    use crate::session::Key;
    use crate::session::notes::with_notes;

    #[test]
    fn what_is_noted_is_read_again_and_is_due_in_time() {
        let now = Timestamp::from_unix_millis(1_800_000_000_000);
        let key = Key { id: "k".to_owned(), secret: SecretBox::new(vec![1; 32].into_boxed_slice()) };
        let keys = Keys::new(&[key]);
        let offer = Offer { refresh: "a token".into(), seconds: Some(300) };
        let grant = Grant::new(&offer, &keys, now).expect("short enough");
        let noted = Noted {
            provider: "a".to_owned(),
            sub: Some("alice".to_owned()),
            sid: None,
            id_token: Some("x".repeat(9000).into()),
            grant: Some(Grant { failing: Some(now), ..grant }),
        };
        assert!(!format!("{noted:?}").contains("a token"));
        let notes = noted.clone().notes();
        assert!(notes.iter().all(|(_, text)| !text.contains("a token")), "stores are told nothing");
        let data = with_notes(&Data::default(), &noted.notes(), now);
        let read = Noted::read(&data, now).expect("there");
        assert_eq!((read.provider.as_str(), read.sub.as_deref(), read.sid), ("a", Some("alice"), None));
        assert!(read.id_token.is_none(), "nobody has room for that");
        let grant = read.grant.expect("there");
        let token = grant.token(&keys).expect("ours");
        assert_eq!((token.expose_secret(), grant.failing), ("a token", Some(now)));
        let after = |seconds| now.plus(Duration::from_secs(seconds));
        assert!(!Noted::is_due(&data, after(299)) && Noted::is_due(&data, after(300)));
        assert!(!Noted::is_due(&Data::default(), now) && Noted::read(&Data::default(), now).is_none());
    }
}
