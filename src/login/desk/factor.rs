//! Factor: the page of one's own second factor.
//!
//! Comes in: somebody who signed in with a password of ours not long ago, and the form they posted. Goes out: the page, or
//! what the form led to: enrolled by a first code, other recovery codes, or no second factor any more. Each of these takes
//! a code. Never shows a secret that is in use.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use zeroize::Zeroizing;

use super::Desk;
use crate::identity::Identity;
use crate::login::factor::enrolment::Codes;
use crate::login::factor::totp::Secret;
use crate::login::factor::{Factors, Verdict};
use crate::login::form::field;
use crate::login::page::{Factor, Page, Reply, View};
use crate::login::passwords::{CodeOutcome, Passwords};
use crate::session::protocol::Scope;
use crate::session::record::Session;

/// A login counts for this page for so long.
const FRESH: Duration = Duration::from_secs(10 * 60);

/// What the page's forms do, for their token.
const DEED: &str = "second factor";

/// Whose page it is.
struct Owner<'a> {
    session: &'a Session,
    identity: &'a Identity,
    passwords: &'a Passwords,
    factors: &'a Factors,
}

impl Desk<'_> {
    pub(in crate::login) fn factor_page(&self) -> Reply {
        match self.owner(StatusCode::FOUND) {
            Ok(owner) => self.show_factor(&owner, StatusCode::OK, None, None),
            Err(refused) => *refused,
        }
    }

    pub(in crate::login) async fn change_factor(&self) -> Reply {
        if let Some(refused) = self.refuse_foreign() {
            return refused;
        }
        let owner = match self.owner(StatusCode::SEE_OTHER) {
            Ok(owner) => owner,
            Err(refused) => return *refused,
        };
        let text = |name| field(self.ask.form, name).unwrap_or_default();
        let words = self.language.words();
        let show = |status, error: &str| self.show_factor(&owner, status, Some(error), None);
        if !self.sessions.csrf_matches(owner.session, DEED, &text("token")) {
            return show(StatusCode::FORBIDDEN, words.stale);
        }
        let (deed, code) = (text("do"), Zeroizing::new(text("code")));
        let secret = self.carried(owner.session, &text("carried"));
        let (keys, user, now) = (self.sessions.keys().clone(), owner.identity.user().to_owned(), self.now);
        let outcome = match (deed.as_str(), secret) {
            ("confirm", Some(secret)) => {
                let check = move |factors: &Factors| factors.enrol(&keys, &user, secret, &code, now);
                self.with_code(&owner, check).await
            }
            ("confirm", None) => return show(StatusCode::FORBIDDEN, words.stale),
            ("renew", _) => {
                let check = move |factors: &Factors| factors.renew(&keys, &user, &code, now);
                self.with_code(&owner, check).await
            }
            ("remove", _) => {
                let check = move |factors: &Factors| factors.remove(&keys, &user, &code, now);
                self.with_code(&owner, move |factors| match check(factors) {
                    Verdict::Right(()) => Verdict::Right(Codes::new()),
                    Verdict::Wrong => Verdict::Wrong,
                    Verdict::Away => Verdict::Away,
                })
                .await
            }
            _ => return show(StatusCode::BAD_REQUEST, words.not_allowed),
        };
        match outcome {
            CodeOutcome::Right(codes) => self.changed(&owner, &deed, codes).await,
            // The secret stays the same while somebody tries to confirm it.
            refused => self.refuse_code(&refused, |status, error| {
                let carried = (deed == "confirm").then(|| text("carried"));
                self.show_factor(&owner, status, Some(error), carried.as_deref())
            }),
        }
    }

    async fn with_code(
        &self,
        owner: &Owner<'_>,
        check: impl FnOnce(&Factors) -> Verdict<Codes> + Send + 'static,
    ) -> CodeOutcome<Codes> {
        owner.passwords.try_code(owner.identity.user(), self.ask.client, self.now, check).await
    }

    /// A way to sign in has changed: sessions elsewhere end.
    async fn changed(&self, owner: &Owner<'_>, deed: &str, codes: Codes) -> Reply {
        tracing::info!(user = owner.identity.user(), client = self.client(), deed, "changed a second factor");
        if deed != "renew" && self.sessions.has_roster() {
            // Where they cannot be ended just now, that is logged; what was done stays done.
            let _ = self.leave(owner.session, Scope::Others).await;
        }
        match codes.is_empty() {
            false => self.codes_page(codes, &format!("{}/totp", self.login.prefix)),
            true => {
                let words = self.language.words().factor;
                let (heading, note) = (words.factor, Some(words.removed));
                let view = View { heading, note, ..View::default() };
                self.login.pages.show(Page::Notice, StatusCode::OK, self.language, &view)
            }
        }
    }

    /// Whose page it is; `status` leads to the login where somebody must sign in first.
    fn owner(&self, status: StatusCode) -> Result<Owner<'_>, Box<Reply>> {
        let words = self.language.words();
        let here = self.login.passwords.as_ref().and_then(|found| Some((found, found.factors()?)));
        let Some((passwords, factors)) = here else {
            return Err(Box::new(self.notice(StatusCode::NOT_FOUND, words.not_found)));
        };
        let signed_in = self.ask.visitor.session().zip(self.ask.visitor.identity());
        let since = signed_in.and_then(|(session, _)| session.authenticated_at());
        let is_fresh = since.is_some_and(|since| self.now.since(since) <= FRESH);
        let (Some((session, identity)), true) = (signed_in, is_fresh) else {
            let mut reply = Reply::see_other(&self.login.entrance(&format!("{}/totp", self.login.prefix)));
            reply.head.status = status;
            return Err(Box::new(reply));
        };
        let ours = passwords.local_user(identity.user());
        if ours.is_none_or(|(_, credential)| credential != session.credential()) {
            return Err(Box::new(self.notice(StatusCode::FORBIDDEN, words.factor.not_here)));
        }
        Ok(Owner { session, identity, passwords, factors })
    }

    fn show_factor(
        &self,
        owner: &Owner<'_>,
        status: StatusCode,
        error: Option<&str>,
        carried: Option<&str>,
    ) -> Reply {
        let words = self.language.words().factor;
        let user = owner.identity.user();
        let factor = match owner.factors.enrolment(self.sessions.keys(), user) {
            None => return self.notice(StatusCode::SERVICE_UNAVAILABLE, words.away),
            Some(Some(enrolment)) => {
                Factor { is_on: true, left: enrolment.codes_left(), ..Factor::default() }
            }
            Some(None) => {
                let before = carried.and_then(|carried| self.carried(owner.session, carried));
                let secret = before.unwrap_or_else(Secret::fresh);
                let hidden = self.sessions.keys().hide(&bound(owner.session), secret.base32().as_bytes());
                Factor {
                    carried: URL_SAFE_NO_PAD.encode(hidden),
                    ..self.factor_to_enrol(Some(&secret), user)
                }
            }
        };
        let view = View {
            heading: words.factor,
            error,
            note: factor.is_on.then_some(words.is_on),
            signed_in_as: Some(user),
            token: &self.sessions.csrf_token(owner.session, DEED),
            factor: Some(&factor),
            ..View::default()
        };
        self.login.pages.show(Page::Totp, status, self.language, &view)
    }

    /// The secret that a form carries, if the page was made for this session.
    fn carried(&self, session: &Session, text: &str) -> Option<Secret> {
        let hidden = URL_SAFE_NO_PAD.decode(text).ok()?;
        let plain = self.sessions.keys().reveal(&bound(session), &hidden)?;
        Secret::from_base32(std::str::from_utf8(&plain).ok()?)
    }
}

/// What a secret on its way is bound to.
fn bound(session: &Session) -> [&[u8]; 2] {
    [b"enrolment", session.digest().bytes()]
}
