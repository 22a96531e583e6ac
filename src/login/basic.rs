//! Basic: a user name and a password with each request (RFC 7617).
//!
//! Comes in: `Authorization: Basic`. Goes out: who that is. What was right is remembered for a minute, so that a client that
//! sends it a hundred times has it computed once; what was wrong counts in the throttle. Never keeps a password: what is
//! remembered is a digest with a key of this process's own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::headers::{Inbound, is_navigation};
use crate::identity::Identity;
use crate::login::authorization;
use crate::login::factor::Wanted;
use crate::login::passwords::{Outcome, Passwords};
use crate::login::vouch::{Answer, Look, Rejected, Voucher, Why};
use crate::message::Fields;
use crate::session::accounts::Accounts as _;
use crate::session::{Guest, Means};

/// How long a password that was right need not be computed again.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Passwords remembered; the longest unused go first.
const ROOM: u64 = 10_000;
/// How many passwords are looked at side by side, at most: the same one is looked at once.
const LANES: usize = 256;
/// User name and password, encoded, at most: as long as the form's fields may be.
const LONGEST: usize = 4096;

const SCHEME: &str = "Basic";

/// Base64 with or without its padding: some clients leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `login.basic`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What clients are told they need a password for.
    pub realm: String,
    /// Whether the application sees the field, too.
    pub pass_on: bool,
}

/// HTTP Basic, against the passwords there are.
pub struct Basic {
    passwords: Arc<Passwords>,
    challenge: String,
    pass_on: bool,
    key: hmac::Key,
    known: Cache<Digest, Known>,
    lanes: Box<[Mutex<()>]>,
}

type Digest = [u8; 32];

/// A password that was right.
#[derive(Clone)]
struct Known {
    identity: Identity,
    credential: u64,
    /// How often the users had changed by then.
    changes: u64,
    until: Timestamp,
}

/// What a client says.
struct Said {
    user: String,
    password: Zeroizing<String>,
}

impl Basic {
    /// HTTP Basic as configured.
    pub fn new(settings: &Settings, passwords: Arc<Passwords>) -> Self {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).expect("the operating system's generator works once the system is up");
        let cache = Cache::builder().max_capacity(ROOM).eviction_policy(EvictionPolicy::lru());
        Self {
            passwords,
            challenge: format!("Basic realm=\"{}\", charset=\"UTF-8\"", settings.realm),
            pass_on: settings.pass_on,
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            known: cache.time_to_live(REMEMBERED).build(),
            lanes: (0..LANES).map(|_| Mutex::default()).collect(),
        }
    }

    fn digest(&self, said: &Said) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [said.user.as_bytes(), said.password.as_bytes()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        *context.sign().as_ref().first_chunk().expect("a SHA-256 is 32 bytes long")
    }

    /// Whoever this password was right for a moment ago, if nothing has changed about them since.
    fn recall(&self, digest: &Digest, now: Timestamp) -> Option<Guest> {
        let known = self.known.get(digest)?;
        let accepted = || self.passwords.accepts(known.identity.user(), known.credential).is_ok();
        let stands = now < known.until
            && known.changes == self.passwords.changes()
            && (known.credential == 0 || accepted())
            && self.passwords.wanted(&known.identity, known.credential) == Some(Wanted::Nothing);
        if !stands {
            self.known.invalidate(digest);
            return None;
        }
        Some(guest(known.identity, known.credential, now))
    }

    fn reject(&self, why: Why) -> Look {
        Rejected::look(why, &*self.challenge)
    }

    async fn check(&self, request: &Inbound, now: Timestamp) -> Look {
        let Some(said) = Said::of(&request.fields) else { return Look::Nothing };
        let Ok(said) = said else { return self.reject(Why::Malformed) };
        let digest = self.digest(&said);
        let _alone = self.lanes[usize::from(digest[0])].lock().await;
        if let Some(guest) = self.recall(&digest, now) {
            return Look::Is(guest);
        }
        let changes = self.passwords.changes();
        match self.passwords.try_password(&said.user, said.password, request.client.ip, now).await {
            Outcome::Welcome(identity, credential) => {
                let until = now.plus(REMEMBERED);
                let known = Known { identity: identity.clone(), credential, changes, until };
                self.known.insert(digest, known);
                Look::Is(guest(identity, credential, now))
            }
            // A second factor cannot be asked for here: its own page is the way in.
            Outcome::Wrong | Outcome::HalfWay(..) => self.reject(Why::Password),
            Outcome::TooMany(wait) => self.reject(Why::TooMany(wait)),
            Outcome::Busy => self.reject(Why::Busy("too many passwords are being checked".to_owned())),
            Outcome::Away => self.reject(Why::Busy("the directory cannot be asked".to_owned())),
        }
    }
}

impl Voucher for Basic {
    fn look(&self, request: &Inbound, logged_in: Option<&Identity>, now: Timestamp) -> Look {
        let Some(said) = Said::of(&request.fields) else { return Look::Nothing };
        if let Some(identity) = logged_in {
            // A link with a password in it signs nobody out, and nobody in as somebody else.
            let by_link = request.fields.contains("sec-fetch-mode") && is_navigation(&request.fields);
            let same = said.as_ref().is_ok_and(|said| said.user.trim() == identity.user());
            if by_link || same {
                return Look::Nothing;
            }
        }
        match said {
            Err(_) => self.reject(Why::Malformed),
            Ok(said) => self.recall(&self.digest(&said), now).map_or(Look::Wait, Look::Is),
        }
    }

    fn ask<'a>(&'a self, request: &'a Inbound, now: Timestamp) -> Answer<'a> {
        Box::pin(self.check(request, now))
    }

    fn challenge(&self) -> Option<&str> {
        Some(&self.challenge)
    }

    fn clean(&self, fields: &mut Fields) {
        if !self.pass_on {
            authorization::take(fields, SCHEME);
        }
    }
}

/// Whoever proves it anew with every request has proved it now.
fn guest(identity: Identity, credential: u64, now: Timestamp) -> Guest {
    Guest { identity, authenticated_at: now, by: Means::Password, credential }
}

impl Said {
    /// What a request says, if it says anything.
    fn of(fields: &Fields) -> Option<Result<Self, authorization::Malformed>> {
        let given = authorization::of(fields, SCHEME)?;
        Some(given.and_then(|given| Self::parse(given).ok_or(authorization::Malformed)))
    }

    /// User name and password in UTF-8 (RFC 7617, section 2.1), neither with control characters.
    fn parse(given: &str) -> Option<Self> {
        if given.len() > LONGEST {
            return None;
        }
        let plain = Zeroizing::new(BASE64.decode(given).ok()?);
        let text = std::str::from_utf8(&plain).ok()?;
        let (user, password) = text.split_once(':')?;
        let good = !user.trim().is_empty() && !text.chars().any(char::is_control);
        good.then(|| Self { user: user.to_owned(), password: Zeroizing::new(password.to_owned()) })
    }
}

impl fmt::Debug for Basic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Basic({})", self.challenge)
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordHasher as _;
    use base64::engine::general_purpose::STANDARD;
    use http::{Method, Version};
    use secrecy::SecretString;

    use super::*;
    use crate::headers::{IdentityNames, ResponseHeaders, Rules, inbound};
    use crate::login::local::Local;
    use crate::login::passwords::Method as PasswordMethod;
    use crate::login::{LocalSettings, LocalUser, ThrottleSettings};
    use crate::message::RequestHead;
    use crate::peer::{Peer, Scheme};

    fn basic(directory: &tempfile::TempDir) -> Basic {
        let path = directory.path().join("users");
        std::fs::write(&path, "staff").expect("written");
        let from = path.clone();
        let source = move || {
            let group = std::fs::read_to_string(&from).map_err(|error| error.to_string())?;
            let weak = argon2::Argon2::from(argon2::Params::new(8, 1, 1, None).expect("valid"));
            let hash = weak.hash_password_with_salt(b"correct: horse", b"saltsaltsalt").expect("hashed");
            Ok(vec![LocalUser {
                name: "alice".to_owned(),
                password: SecretString::from(hash.to_string()),
                email: None,
                full_name: None,
                disabled: group == "disabled",
                groups: vec![group],
            }])
        };
        let settings = LocalSettings { users: vec![], users_file: Some(path), totp: None };
        let local = Local::new(settings, Some(Box::new(source)));
        let settings = Settings { realm: "x".to_owned(), pass_on: false };
        let methods = vec![PasswordMethod::Local(local.expect("valid"))];
        let passwords = Passwords::new(methods, None, Arc::default(), ThrottleSettings::default());
        Basic::new(&settings, Arc::new(passwords))
    }

    fn request(said: &str) -> Inbound {
        let mut fields = Fields::new();
        fields.append("Host", "a.example");
        fields.append("Authorization", format!("Basic {}", STANDARD.encode(said)));
        let head =
            RequestHead { method: Method::GET, target: "/".to_owned(), version: Version::HTTP_11, fields };
        let remote = Some(([192, 0, 2, 1], 1).into());
        let peer = Peer { remote, local_port: None, scheme: Scheme::Http, certificate: None };
        let rules = Rules::new(IdentityNames::default(), &[], ResponseHeaders::default(), Vec::new());
        inbound(head, &peer, &rules, || "id".into()).expect("valid")
    }

    fn now() -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000)
    }

    async fn say(basic: &Basic, said: &str, now: Timestamp) -> Result<Guest, Why> {
        let request = request(said);
        let look = match basic.look(&request, None, now) {
            Look::Wait => basic.ask(&request, now).await,
            look => look,
        };
        match look {
            Look::Is(guest) => Ok(guest),
            Look::No(rejected) => Err(rejected.why),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_hundred_requests_compute_the_password_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let basic = basic(&directory);
        let all = (0..100).map(|_| say(&basic, "alice:correct: horse", now()));
        for guest in futures_util::future::join_all(all).await {
            assert_eq!(guest.expect("right").identity.user(), "alice");
        }
        assert_eq!(basic.passwords.local().expect("local").checks(), 1, "also side by side");
        assert_eq!(say(&basic, "alice:correct: horsf", now()).await, Err(Why::Password));
        let later = now().plus(REMEMBERED);
        assert_eq!(say(&basic, "alice:correct: horse", later).await.expect("right").authenticated_at, later);
        assert_eq!(
            basic.passwords.local().expect("local").checks(),
            3,
            "a minute later it is computed again"
        );
    }

    #[tokio::test]
    async fn what_changes_about_a_user_counts_at_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let basic = basic(&directory);
        assert!(say(&basic, "alice:correct: horse", now()).await.expect("right").identity.is_in("staff"));
        std::fs::write(directory.path().join("users"), "finance").expect("written");
        basic.passwords.local().expect("local").users().look().expect("read");
        assert!(say(&basic, "alice:correct: horse", now()).await.expect("right").identity.is_in("finance"));
        std::fs::write(directory.path().join("users"), "disabled").expect("written");
        basic.passwords.local().expect("local").users().look().expect("read");
        assert_eq!(say(&basic, "alice:correct: horse", now()).await, Err(Why::Password));
    }

    #[test]
    fn only_what_the_standard_describes_is_a_user_and_a_password() {
        let said = Said::parse(&STANDARD.encode("김철수:a:b ")).expect("UTF-8");
        assert_eq!((said.user.as_str(), said.password.as_str()), ("김철수", "a:b "));
        assert!(Said::parse("YTpi").is_some() && Said::parse("YTo").is_some(), "without padding, and empty");
        for bad in [&b"alice"[..], b":password", b" :x", b"a\r\n:b", b"a:b\0", b"\xff:a", &[b'a'; LONGEST]] {
            assert!(Said::parse(&STANDARD.encode(bad)).is_none(), "{}", bad.escape_ascii());
        }
        assert!(Said::parse("a:b").is_none() && Said::parse("YTpi!").is_none());
    }
}
