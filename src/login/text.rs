//! Text: what the pages say, in the languages they speak.
//!
//! Comes in: `Accept-Language` and the operator's choice. Goes out: a language and its words. Never mixes two.

use minijinja::{Value, context};

use crate::login::Languages;
use crate::session::record::EndReason;

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
            Language::English => &ENGLISH,
            Language::Korean => &KOREAN,
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
    pub(super) sign_out: &'static str,
    sign_out_question: &'static str,
    pub(super) signed_out: &'static str,
    pub(super) problem: &'static str,
    sign_in_again: &'static str,
    stay: &'static str,
    signed_in_as: &'static str,
    /// Unknown user or wrong password: one sentence for both.
    pub wrong: &'static str,
    /// Throttled.
    pub too_many: &'static str,
    /// Too many people at once.
    pub busy: &'static str,
    /// The form's token does not fit.
    pub stale: &'static str,
    /// The form was sent from another site.
    pub foreign: &'static str,
    /// There is no such page.
    pub not_found: &'static str,
    /// The visitor is signed in, and may not see this.
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
    idle: &'static str,
    absolute: &'static str,
    revoked: &'static str,
    limit: &'static str,
    evicted: &'static str,
    theft: &'static str,
    disabled: &'static str,
}

impl Words {
    /// What templates say by themselves.
    pub(super) fn for_templates(&self) -> Value {
        context! {
            sign_in => self.sign_in,
            user => self.user,
            password => self.password,
            remember => self.remember,
            sign_out => self.sign_out,
            sign_out_question => self.sign_out_question,
            sign_in_again => self.sign_in_again,
            stay => self.stay,
            signed_in_as => self.signed_in_as,
        }
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

const ENGLISH: Words = Words {
    sign_in: "Sign in",
    user: "User name",
    password: "Password",
    remember: "Keep me signed in",
    sign_out: "Sign out",
    sign_out_question: "Do you want to sign out?",
    signed_out: "You are signed out.",
    problem: "That did not work",
    sign_in_again: "Sign in again",
    stay: "Stay signed in",
    signed_in_as: "Signed in as",
    wrong: "The user name or password is not correct.",
    too_many: "There were too many attempts to sign in. Please wait a while and try again.",
    busy: "Many people are signing in right now. Please try again in a moment.",
    stale: "This form had expired, or your browser does not keep cookies. Please try again.",
    foreign: "This request came from another site and was refused.",
    not_found: "There is no such page.",
    forbidden: "You are signed in, but this page is not open to you.",
    unavailable: "The application does not answer at the moment. Please try again soon.",
    too_slow: "The application took too long to answer. Please try again soon.",
    not_carried_out: "This request could not be carried out.",
    reference: "Request",
    not_allowed: "This page cannot be used in this way.",
    no_form: "This page takes forms only.",
    idle: "You were signed out because you were away for a while.",
    absolute: "You were signed out because you signed in a long time ago.",
    revoked: "You were signed out by an administrator.",
    limit: "You were signed out because you signed in on too many devices.",
    evicted: "You were signed out because the server ran out of room.",
    theft: "You were signed out because somebody else may have used your session.",
    disabled: "You were signed out because your account is no longer active.",
};

const KOREAN: Words = Words {
    sign_in: "로그인",
    user: "사용자 이름",
    password: "비밀번호",
    remember: "로그인 상태 유지",
    sign_out: "로그아웃",
    sign_out_question: "로그아웃하시겠습니까?",
    signed_out: "로그아웃되었습니다.",
    problem: "요청을 처리할 수 없습니다",
    sign_in_again: "다시 로그인",
    stay: "로그인 상태로 돌아가기",
    signed_in_as: "현재 사용자:",
    wrong: "사용자 이름 또는 비밀번호가 올바르지 않습니다.",
    too_many: "로그인 시도가 너무 많았습니다. 잠시 후 다시 시도해 주세요.",
    busy: "지금 로그인하는 사용자가 많습니다. 잠시 후 다시 시도해 주세요.",
    stale: "양식이 만료되었거나 브라우저가 쿠키를 저장하지 않습니다. 다시 시도해 주세요.",
    foreign: "다른 사이트에서 보낸 요청이므로 거부되었습니다.",
    not_found: "페이지를 찾을 수 없습니다.",
    forbidden: "로그인되어 있지만 이 페이지를 볼 권한이 없습니다.",
    unavailable: "지금은 애플리케이션이 응답하지 않습니다. 잠시 후 다시 시도해 주세요.",
    too_slow: "애플리케이션의 응답이 너무 늦습니다. 잠시 후 다시 시도해 주세요.",
    not_carried_out: "이 요청을 처리할 수 없습니다.",
    reference: "요청 번호",
    not_allowed: "이 페이지에서 지원하지 않는 요청입니다.",
    no_form: "이 페이지는 양식만 받습니다.",
    idle: "오랫동안 사용하지 않아 로그아웃되었습니다.",
    absolute: "로그인한 지 오래되어 로그아웃되었습니다.",
    revoked: "관리자가 로그아웃했습니다.",
    limit: "너무 많은 기기에서 로그인하여 로그아웃되었습니다.",
    evicted: "서버의 저장 공간이 부족하여 로그아웃되었습니다.",
    theft: "다른 사람이 세션을 사용했을 수 있어 로그아웃되었습니다.",
    disabled: "계정이 비활성화되어 로그아웃되었습니다.",
};

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
    fn the_operators_choice_goes_first() {
        assert_eq!(Language::choose(Languages::Korean, Some("en")), Language::Korean);
        assert_eq!(Language::choose(Languages::English, Some("ko")), Language::English);
    }
}
