//! Code: the page after a right password, which asks for the second factor.
//!
//! Comes in: somebody half way, and the code they typed. Goes out: the page, or the session they have earned. Who must have
//! a second factor and has none enrols here. Never lets in whose password has changed meanwhile.

use http::StatusCode;
use zeroize::Zeroizing;

use super::Desk;
use crate::identity::Identity;
use crate::login::CHALLENGE;
use crate::login::factor::enrolment::Codes;
use crate::login::factor::picture::Picture;
use crate::login::factor::totp::Secret;
use crate::login::factor::{self, Wanted};
use crate::login::form::field;
use crate::login::guard::Nonce;
use crate::login::half_way::{HalfWay, until};
use crate::login::page::{Factor, Page, Reply, View};
use crate::login::passwords::CodeOutcome;
use crate::login::target::return_target;
use crate::session::sign::Arrival;

/// What somebody who signs in asked for besides.
pub(in crate::login) struct Wishes<'a> {
    pub remember: bool,
    pub remember_name: bool,
    pub target: &'a str,
}

impl Desk<'_> {
    /// After the right password of somebody of whom more is wanted.
    pub(in crate::login) fn half_way(
        &self,
        identity: &Identity,
        credential: u64,
        wanted: Wanted,
        wishes: &Wishes<'_>,
    ) -> Reply {
        let half = HalfWay {
            user: identity.user().to_owned(),
            credential,
            remember: wishes.remember,
            remember_name: wishes.remember_name,
            target: return_target(wishes.target, &self.login.prefix).to_owned(),
            until: until(self.now),
            secret: (wanted == Wanted::Enrolment).then(Secret::fresh),
        };
        self.code_page(&half, StatusCode::OK, None)
    }

    /// Asks for a code, of the authenticator they have or of the one they are about to have.
    fn code_page(&self, half: &HalfWay, status: StatusCode, error: Option<&str>) -> Reply {
        let Some(nonce) = Nonce::shown(self.ask.fields, self.ask.secure) else { return self.form_page() };
        let words = self.language.words().factor;
        let mut factor = self.factor_to_enrol(half.secret.as_ref(), &half.user);
        factor.carried = half.seal(self.sessions.keys(), nonce.bytes());
        let enrols = half.secret.is_some();
        let view = View {
            heading: if enrols { words.factor } else { words.code_wanted },
            error,
            note: enrols.then_some(words.enrol_first),
            token: &nonce.token(self.sessions.keys()),
            factor: Some(&factor),
            ..View::default()
        };
        self.login.pages.show(Page::Code, status, self.language, &view)
    }

    /// A secret to scan or to type; nothing where there is none.
    pub(super) fn factor_to_enrol(&self, secret: Option<&Secret>, user: &str) -> Factor {
        let factors = self.login.passwords.as_ref().and_then(|passwords| passwords.factors());
        let (Some(secret), Some(factors)) = (secret, factors) else { return Factor::default() };
        let text = secret.base32();
        let groups: Vec<_> = text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
        Factor {
            picture: Picture::of(&secret.url(factors.issuer(), user)),
            secret: groups.join(" "),
            ..Factor::default()
        }
    }

    pub(in crate::login) async fn check_code(&self) -> Reply {
        let Some(passwords) = &self.login.passwords else { return self.form_page() };
        if let Some(refused) = self.refuse_foreign() {
            return refused;
        }
        let text = |name| field(self.ask.form, name).unwrap_or_default();
        let keys = self.sessions.keys();
        let half = Nonce::shown(self.ask.fields, self.ask.secure)
            .filter(|nonce| nonce.matches(keys, &text("token")))
            .and_then(|nonce| HalfWay::open(keys, nonce.bytes(), &text("carried"), self.now));
        let known = half.and_then(|half| {
            let (identity, credential) = passwords.local_user(&half.user)?;
            (credential == half.credential).then_some((half, identity))
        });
        let Some((half, identity)) = known else {
            let error = Some(self.language.words().stale);
            return self.login_form(StatusCode::FORBIDDEN, &View { error, ..View::default() });
        };
        let code = Zeroizing::new(text("code"));
        let (keys, user, secret, now) = (keys.clone(), half.user.clone(), half.secret.clone(), self.now);
        let check = move |factors: &factor::Factors| match secret {
            Some(secret) => factors.enrol(&keys, &user, secret, &code, now),
            None => match factors.use_code(&keys, &user, &code, now) {
                factor::Verdict::Right(()) => factor::Verdict::Right(Codes::new()),
                factor::Verdict::Wrong => factor::Verdict::Wrong,
                factor::Verdict::Away => factor::Verdict::Away,
            },
        };
        match passwords.try_code(&half.user, self.ask.client, self.now, check).await {
            CodeOutcome::Right(codes) => self.come_in(half, identity, codes).await,
            refused => self.refuse_code(&refused, |status, error| self.code_page(&half, status, Some(error))),
        }
    }

    /// Lets in, by way of the recovery codes where there are any to show.
    async fn come_in(&self, half: HalfWay, identity: Identity, codes: Codes) -> Reply {
        let arrival = Arrival {
            identity,
            credential: half.credential,
            remember: half.remember,
            origin: self.ask.origin,
            notes: Vec::new(),
        };
        let reply = self.welcome(arrival, half.remember_name, &half.target).await;
        if codes.is_empty() || reply.head.status != StatusCode::SEE_OTHER {
            return reply;
        }
        tracing::info!(user = half.user.as_str(), client = self.client(), "enrolled a second factor");
        let page = self.codes_page(codes, &half.target);
        reply.head.fields.get_all("set-cookie").fold(page, |page, cookie| page.with("Set-Cookie", cookie))
    }

    /// Recovery codes, shown this once, and the way on.
    pub(super) fn codes_page(&self, codes: Codes, target: &str) -> Reply {
        let words = self.language.words().factor;
        let factor = Factor { codes, ..Factor::default() };
        let view = View {
            heading: words.factor,
            note: Some(words.is_on),
            factor: Some(&factor),
            target,
            ..View::default()
        };
        self.login.pages.show(Page::Totp, StatusCode::OK, self.language, &view)
    }

    /// Says on a page why a code did not do.
    pub(super) fn refuse_code<T>(
        &self,
        outcome: &CodeOutcome<T>,
        page: impl Fn(StatusCode, &str) -> Reply,
    ) -> Reply {
        let (words, client) = (self.language.words(), self.client());
        match outcome {
            CodeOutcome::TooMany(wait) => {
                tracing::warn!(client, "a code was refused: too many failures");
                let seconds = wait.0.as_millis().div_ceil(1000).max(1);
                page(StatusCode::TOO_MANY_REQUESTS, words.too_many).with("Retry-After", seconds.to_string())
            }
            CodeOutcome::Away => {
                page(StatusCode::SERVICE_UNAVAILABLE, words.factor.away).with("Retry-After", "10")
            }
            CodeOutcome::Wrong | CodeOutcome::Right(_) => {
                tracing::warn!(client, "a code was refused: it is wrong, or was used");
                page(StatusCode::UNAUTHORIZED, words.factor.wrong_code).with("WWW-Authenticate", CHALLENGE)
            }
        }
    }
}
