//! Text: what the pages say, in the languages they speak.
//!
//! Comes in: `Accept-Language` and the operator's choice. Goes out: a language and its words. Never mixes two.

use std::time::Duration;

use minijinja::{Value, context};

use crate::login::Languages;
use crate::login::circle::obstacle::Obstacle;
use crate::session::record::EndReason;

pub mod elsewhere;
mod english;
mod factor;
mod korean;

/// A language the pages speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Korean.
    Korean,
}

impl Language {
    /// The operator's choice, or else what the browser prefers (RFC 9110, section 12.5.4); English in case of doubt.
    pub fn choose(offered: Languages, accept: Option<&str>) -> Self {
        match offered {
            Languages::English => Language::English,
            Languages::Korean => Language::Korean,
            Languages::Auto => {
                let accept = accept.unwrap_or_default();
                let korean = liking(accept, "ko") > liking(accept, "en");
                if korean { Language::Korean } else { Language::English }
            }
        }
    }

    /// The tag for `lang` and `Content-Language`.
    pub const fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Korean => "ko",
        }
    }

    /// The words.
    pub const fn words(self) -> &'static Words {
        match self {
            Language::English => &english::WORDS,
            Language::Korean => &korean::WORDS,
        }
    }
}

/// How much the browser likes a language, from 0 to 1; what comes earlier in the list wins among equals.
fn liking(accept: &str, language: &str) -> f32 {
    let ranges = accept.split(',').take(50).zip(0_u8..).filter_map(|(range, place)| {
        let mut parts = range.split(';').map(str::trim);
        let primary = parts.next()?.split('-').next()?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let weight = weight.map_or(Some(1.0), |weight| weight.parse::<f32>().ok())?;
        let liked = primary.eq_ignore_ascii_case(language) && weight > 0.0;
        liked.then(|| weight.min(1.0) - f32::from(place) * 1e-5)
    });
    ranges.fold(0.0, f32::max)
}

/// The words of one language.
#[derive(Debug)]
pub struct Words {
    pub(super) sign_in: &'static str,
    user: &'static str,
    password: &'static str,
    remember: &'static str,
    remember_name: &'static str,
    pub(super) sign_out: &'static str,
    sign_out_everywhere: &'static str,
    sign_out_elsewhere: &'static str,
    sign_out_question: &'static str,
    pub(super) signed_out: &'static str,
    /// Whoever it is did not sign in here.
    pub(super) signed_in_elsewhere: &'static str,
    /// Nobody can sign in here.
    pub(super) login_elsewhere: &'static str,
    pub(super) problem: &'static str,
    pub(super) sign_in_again: &'static str,
    stay: &'static str,
    signed_in_as: &'static str,
    pub(super) your_sessions: &'static str,
    this_session: &'static str,
    end_session: &'static str,
    pub(super) unknown_browser: &'static str,
    pub(super) unknown_address: &'static str,
    signed_in_when: &'static str,
    used_when: &'static str,
    /// There are more sessions than are shown.
    only_some: &'static str,
    /// Nobody keeps a list of sessions.
    pub(super) unlisted: &'static str,
    pub(super) ended_one: &'static str,
    pub(super) ended_before: &'static str,
    pub(super) ended_others: &'static str,
    application: &'static str,
    ago: Ago,
    /// About the second factor.
    pub(super) factor: &'static factor::FactorWords,
    /// Unknown user or wrong password: one sentence for both.
    pub wrong: &'static str,
    /// Throttled.
    pub too_many: &'static str,
    /// Too many people at once.
    pub busy: &'static str,
    /// Whoever knows the password cannot be asked.
    pub away: &'static str,
    /// The form's token does not fit.
    pub stale: &'static str,
    /// Somebody is signed in, but too long ago for where they want to go.
    pub too_old: &'static str,
    /// The form was sent from another site.
    pub foreign: &'static str,
    /// There is no such page.
    pub not_found: &'static str,
    /// The visitor may not see this, signed in or not.
    pub forbidden: &'static str,
    /// The application cannot be reached.
    pub unavailable: &'static str,
    /// The application is too slow.
    pub too_slow: &'static str,
    /// Anything else.
    pub not_carried_out: &'static str,
    /// What to name when asking for help.
    pub reference: &'static str,
    /// The page does not know the method.
    pub not_allowed: &'static str,
    /// The body is no form.
    pub no_form: &'static str,
    /// Where a login goes round in circles.
    pub(super) circle: Circle,
    /// What the page of a request that waits says.
    pub(super) again: Again,
    idle: &'static str,
    absolute: &'static str,
    revoked: &'static str,
    limit: &'static str,
    evicted: &'static str,
    theft: &'static str,
    disabled: &'static str,
    pub(super) elsewhere: elsewhere::Elsewhere,
}

/// What is said where a login goes round in circles: what stands in the way of the cookie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circle {
    pub(super) heading: &'static str,
    prefix: &'static str,
    secure: &'static str,
    domain: &'static str,
    path: &'static str,
    same_site_none: &'static str,
    same_site_strict: &'static str,
    blocked: &'static str,
}

impl Circle {
    /// The sentence about it.
    pub(super) const fn about(&self, obstacle: Obstacle) -> &'static str {
        match obstacle {
            Obstacle::Prefix => self.prefix,
            Obstacle::Secure => self.secure,
            Obstacle::Domain => self.domain,
            Obstacle::Path => self.path,
            Obstacle::SameSiteNone => self.same_site_none,
            Obstacle::SameSiteStrict => self.same_site_strict,
            Obstacle::Blocked => self.blocked,
        }
    }
}

/// The words of the page about a request that waits for its login.
#[derive(Clone, Copy, Debug)]
pub(super) struct Again {
    pub(super) heading: &'static str,
    pub(super) note: &'static str,
    method: &'static str,
    address: &'static str,
    size: &'static str,
    kind: &'static str,
    send: &'static str,
    leave: &'static str,
    /// It was sent, dropped, or forgotten.
    pub(super) gone: &'static str,
    pub(super) back: &'static str,
}

/// How long ago: what stands behind one, and behind more.
#[derive(Clone, Copy, Debug)]
struct Ago {
    /// Less than a minute.
    moment: &'static str,
    minutes: (&'static str, &'static str),
    hours: (&'static str, &'static str),
    days: (&'static str, &'static str),
}

impl Words {
    /// What templates say by themselves.
    pub(super) fn for_templates(&self) -> Value {
        context! {
            sign_in => self.sign_in,
            user => self.user,
            password => self.password,
            remember => self.remember,
            remember_name => self.remember_name,
            sign_out => self.sign_out,
            sign_out_everywhere => self.sign_out_everywhere,
            sign_out_elsewhere => self.sign_out_elsewhere,
            sign_out_question => self.sign_out_question,
            sign_in_again => self.sign_in_again,
            stay => self.stay,
            signed_in_as => self.signed_in_as,
            your_sessions => self.your_sessions,
            this_session => self.this_session,
            end_session => self.end_session,
            signed_in_when => self.signed_in_when,
            used_when => self.used_when,
            only_some => self.only_some,
            application => self.application,
            request_method => self.again.method,
            request_address => self.again.address,
            request_size => self.again.size,
            request_kind => self.again.kind,
            send => self.again.send,
            do_not_send => self.again.leave,
            back => self.again.back,
            factors => self.factor.for_templates(),
        }
    }

    /// How long ago something was.
    pub(super) fn ago(&self, passed: Duration) -> String {
        let (minutes, hours, days) =
            (passed.as_secs() / 60, passed.as_secs() / 3600, passed.as_secs() / 86_400);
        let (count, (one, many)) = match (days, hours, minutes) {
            (0, 0, 0) => return self.ago.moment.to_owned(),
            (0, 0, minutes) => (minutes, self.ago.minutes),
            (0, hours, _) => (hours, self.ago.hours),
            (days, _, _) => (days, self.ago.days),
        };
        format!("{count}{}", if count == 1 { one } else { many })
    }

    /// Why somebody finds themselves signed out.
    pub fn of_end(&self, reason: EndReason) -> Option<&'static str> {
        match reason {
            EndReason::Logout => Some(self.signed_out),
            EndReason::Idle => Some(self.idle),
            EndReason::Absolute => Some(self.absolute),
            EndReason::Revoked => Some(self.revoked),
            EndReason::Limit => Some(self.limit),
            EndReason::Evicted => Some(self.evicted),
            EndReason::Theft => Some(self.theft),
            EndReason::Disabled => Some(self.disabled),
            EndReason::Replaced => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browsers_preference_decides_and_english_in_doubt() {
        let cases = [
            ("ko", "ko"),
            ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "ko"),
            ("en-US,en;q=0.9,ko;q=0.8", "en"),
            ("fr, KO;q=0.2", "ko"),
            ("ko,en", "ko"),
            ("en,ko", "en"),
            ("en;q=0.5, ko;q=0.6", "ko"),
            ("ko;q=0", "en"),
            ("ko;q=nan", "en"),
            ("ko;q=99,en", "ko"),
            ("kok", "en"),
            ("*", "en"),
            ("", "en"),
            (";;q=,,,-", "en"),
        ];
        for (accept, expected) in cases {
            assert_eq!(Language::choose(Languages::Auto, Some(accept)).tag(), expected, "{accept}");
        }
        assert_eq!(Language::choose(Languages::Auto, None), Language::English);
    }

    #[test]
    fn how_long_ago_is_said_in_the_largest_whole_unit() {
        let said = |language: Language, seconds| language.words().ago(Duration::from_secs(seconds));
        for (seconds, english, korean) in [
            (0, "just now", "방금 전"),
            (59, "just now", "방금 전"),
            (60, "1 minute ago", "1분 전"),
            (3599, "59 minutes ago", "59분 전"),
            (3600, "1 hour ago", "1시간 전"),
            (86_399, "23 hours ago", "23시간 전"),
            (86_400, "1 day ago", "1일 전"),
            (400 * 86_400, "400 days ago", "400일 전"),
        ] {
            assert_eq!(said(Language::English, seconds), english);
            assert_eq!(said(Language::Korean, seconds), korean);
        }
    }

    #[test]
    fn the_operators_choice_goes_first() {
        assert_eq!(Language::choose(Languages::Korean, Some("en")), Language::Korean);
        assert_eq!(Language::choose(Languages::English, Some("ko")), Language::English);
    }
}
