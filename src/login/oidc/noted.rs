//! Noted: what is kept in a session that began at a provider.
//!
//! Comes in: a login there, and what became of it. Goes out: notes for the session, and the same again. Never shown in a
//! log; an application is told of a token where it is configured to be, and of nothing else.

use std::time::Duration;

use secrecy::SecretString;

use crate::clock::Timestamp;
use crate::login::oidc::tokens::{Concealed, Kind, Tokens};
use crate::session::data::Data;
use crate::session::keys::Keys;
use crate::session::notes::{Note, note};

const PROVIDER: &str = "oidc.provider";
const SUB: &str = "oidc.sub";
const SID: &str = "oidc.sid";
const ID_TOKEN: &str = "oidc.id_token";
const ACCESS: &str = "oidc.access";
const ACCESS_UNTIL: &str = "oidc.access_until";
const REFRESH: &str = "oidc.refresh";
const UNTIL: &str = "oidc.until";
const FAILING: &str = "oidc.failing";

/// The provider is asked for another token so long before one runs out: who comes meanwhile has one all the same.
const AHEAD: u64 = 30;

/// Nobody is asked more often than this, nor later: seconds.
const ASKED_AGAIN: (u64, u64) = (30, 30 * 86_400);

/// A provider that does not say how long a token is good is asked again after so many seconds.
const UNSAID: u64 = 300;

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
    id_token: Option<Concealed>,
    /// What applications are told, and until when it is good.
    access: Option<(Concealed, Option<Timestamp>)>,
    /// What keeps it going there.
    pub grant: Option<Grant>,
}

/// What a session that follows the provider's lives by.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The token that is good for another one.
    refresh: Concealed,
    /// Until then nobody needs to ask.
    pub until: Timestamp,
    /// Since when asking has been in vain.
    pub failing: Option<Timestamp>,
}

/// Which tokens are kept besides the one that says who somebody is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeps {
    /// An application is told the access token.
    pub access: bool,
    /// The session follows the provider's.
    pub refresh: bool,
}

impl Noted {
    /// A session that begins.
    pub fn new(provider: &str, sub: Option<String>, sid: Option<String>) -> Self {
        Self { provider: provider.to_owned(), sub, sid, id_token: None, access: None, grant: None }
    }

    /// The same with tokens that the provider gives now; one that is too long is left out.
    #[must_use]
    pub fn with(self, tokens: &Tokens, keeps: Keeps, keys: &Keys, now: Timestamp) -> Self {
        let conceal = |kind, token: &SecretString| Concealed::new(kind, token, keys);
        let seconds = |seconds| Duration::from_secs(seconds);
        let access = tokens.access.as_ref().filter(|_| keeps.access);
        let access = access.and_then(|token| conceal(Kind::Access, token));
        let refresh = match tokens.refresh.as_ref().filter(|_| keeps.refresh) {
            Some(token) => conceal(Kind::Refresh, token),
            None => self.grant.map(|grant| grant.refresh),
        };
        let (least, most) = ASKED_AGAIN;
        let rest = tokens.seconds.unwrap_or(UNSAID).saturating_sub(AHEAD).clamp(least, most);
        Self {
            id_token: tokens.id.as_ref().and_then(|token| conceal(Kind::Id, token)).or(self.id_token),
            access: access.map(|token| (token, tokens.seconds.map(|lasting| now.plus(seconds(lasting))))),
            grant: refresh.map(|refresh| Grant { refresh, until: now.plus(seconds(rest)), failing: None }),
            ..self
        }
    }

    /// What is noted in a session; `None` for one that began elsewhere.
    pub fn read(data: &Data, now: Timestamp) -> Option<Self> {
        let text = |name| note(data, name, now);
        let token = |name| text(name).map(Concealed::from_text);
        let time = |name| time(data, name, now);
        let grant = token(REFRESH).zip(time(UNTIL));
        Some(Self {
            provider: text(PROVIDER)?,
            sub: text(SUB),
            sid: text(SID),
            id_token: token(ID_TOKEN),
            access: token(ACCESS).map(|token| (token, time(ACCESS_UNTIL))),
            grant: grant.map(|(refresh, until)| Grant { refresh, until, failing: time(FAILING) }),
        })
    }

    /// Whether the provider is to be asked if the session may go on.
    pub fn is_due(data: &Data, now: Timestamp) -> bool {
        time(data, UNTIL, now).is_some_and(|until| until <= now)
    }

    /// What is shown at the way out, of all that is noted.
    pub fn id_token(data: &Data, keys: &Keys, now: Timestamp) -> Option<SecretString> {
        Concealed::from_text(note(data, ID_TOKEN, now)?).reveal(Kind::Id, keys)
    }

    /// What applications are told that want to see it, for as long as it is good.
    pub fn access_token(data: &Data, keys: &Keys, now: Timestamp) -> Option<SecretString> {
        if time(data, ACCESS_UNTIL, now).is_some_and(|until| until <= now) {
            return None;
        }
        Concealed::from_text(note(data, ACCESS, now)?).reveal(Kind::Access, keys)
    }

    /// As a session keeps it.
    pub fn notes(self) -> Vec<Note> {
        let time = |time: Timestamp| time.unix_millis().to_string();
        let mut notes = vec![(PROVIDER, self.provider)];
        notes.extend(self.sub.map(|sub| (SUB, sub)));
        notes.extend(self.sid.map(|sid| (SID, sid)));
        notes.extend(self.id_token.map(|token| (ID_TOKEN, token.into_text())));
        if let Some((token, until)) = self.access {
            notes.push((ACCESS, token.into_text()));
            notes.extend(until.map(|until| (ACCESS_UNTIL, time(until))));
        }
        if let Some(Grant { refresh, until, failing }) = self.grant {
            notes.extend([(REFRESH, refresh.into_text()), (UNTIL, time(until))]);
            notes.extend(failing.map(|failing| (FAILING, time(failing))));
        }
        notes
    }
}

impl Grant {
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
        self.refresh.reveal(Kind::Refresh, keys)
    }
}

/// A time that is noted.
fn time(data: &Data, name: &str, now: Timestamp) -> Option<Timestamp> {
    Some(Timestamp::from_unix_millis(note(data, name, now)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::login::oidc::tokens::tests::keys;
    use crate::session::notes::with_notes;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

    fn after(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    fn tokens(seconds: Option<u64>) -> Tokens {
        let token = |kind: &str| Some(format!("the {kind} token").into());
        Tokens { id: token("id"), access: token("access"), refresh: token("refresh"), seconds }
    }

    fn begun(tokens: &Tokens, access: bool, refresh: bool) -> Noted {
        let noted = Noted::new("a", Some("alice".to_owned()), None);
        noted.with(tokens, Keeps { access, refresh }, &keys(1), NOW)
    }

    fn kept(noted: &Noted) -> Data {
        with_notes(&Data::default(), &noted.clone().notes(), NOW)
    }

    fn text(token: Option<SecretString>) -> Option<String> {
        token.map(|token| token.expose_secret().to_owned())
    }

    #[test]
    fn what_is_noted_is_read_again_and_shows_no_token() {
        let mut noted = begun(&tokens(Some(300)), true, true);
        noted.grant = noted.grant.map(|grant| grant.failing_since(NOW));
        assert!(!format!("{noted:?}").contains("token\""));
        assert!(
            noted.clone().notes().iter().all(|(_, text)| !text.contains("the ")),
            "stores are told nothing"
        );
        let data = kept(&noted);
        let read = Noted::read(&data, NOW).expect("there");
        assert_eq!((read.provider.as_str(), read.sub.as_deref(), &read.sid), ("a", Some("alice"), &None));
        assert_eq!(text(Noted::id_token(&data, &keys(1), NOW)).as_deref(), Some("the id token"));
        assert_eq!(text(Noted::access_token(&data, &keys(1), NOW)).as_deref(), Some("the access token"));
        assert_eq!(text(Noted::access_token(&data, &keys(2), NOW)), None);
        let grant = read.grant.expect("there");
        assert_eq!(text(grant.token(&keys(1))).as_deref(), Some("the refresh token"));
        assert_eq!(grant.failing, Some(NOW));
        assert!(Noted::read(&Data::default(), NOW).is_none());
    }

    #[test]
    fn the_provider_is_asked_before_a_token_runs_out() {
        for (seconds, due) in [(Some(300), 270), (Some(45), 30), (Some(0), 30), (None, 270)] {
            let data = kept(&begun(&tokens(seconds), false, true));
            assert!(!Noted::is_due(&data, after(due - 1)) && Noted::is_due(&data, after(due)), "{seconds:?}");
        }
        assert!(!Noted::is_due(&kept(&begun(&tokens(Some(300)), true, false)), after(86_400)));
        assert!(!Noted::is_due(&Data::default(), NOW));
    }

    #[test]
    fn an_access_token_is_told_until_it_has_run_out() {
        let access = |seconds, at| {
            Noted::access_token(&kept(&begun(&tokens(seconds), true, false)), &keys(1), at).is_some()
        };
        assert!(access(Some(300), after(299)) && !access(Some(300), after(300)));
        assert!(access(None, after(86_400)), "nobody said when");
        let nobodys = kept(&begun(&tokens(None), false, false));
        assert!(Noted::access_token(&nobodys, &keys(1), NOW).is_none(), "nobody wants it");
    }

    #[test]
    fn what_is_not_given_anew_stays_but_for_an_access_token() {
        let first = begun(&tokens(Some(300)), true, true);
        let nothing = Tokens { id: None, access: None, refresh: None, seconds: Some(600) };
        let both = Keeps { access: true, refresh: true };
        let second = first.with(&nothing, both, &keys(1), NOW);
        let data = kept(&second);
        assert!(Noted::id_token(&data, &keys(1), NOW).is_some());
        assert!(Noted::access_token(&data, &keys(1), NOW).is_none());
        assert_eq!(second.grant.as_ref().map(|grant| grant.until), Some(after(570)));
        let long = Tokens { refresh: Some("x".repeat(9000).into()), ..tokens(None) };
        assert!(second.with(&long, both, &keys(1), NOW).grant.is_none(), "the one before is good no more");
    }
}
