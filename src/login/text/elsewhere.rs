//! Elsewhere: what the pages say of logins at other places.
//!
//! Comes in: nothing. Goes out: the words, in each language. Never a sentence put together from pieces, but for the name of
//! the place.

/// The words of one language.
#[derive(Debug)]
pub struct Elsewhere {
    /// What stands before the name of a place on the button that leads there, and behind it.
    pub sign_in_with: (&'static str, &'static str),
    /// The answer belongs to no login that is under way in this browser.
    pub begin_again: &'static str,
    /// The person did not want to, or may not.
    pub denied: &'static str,
    /// The person may log in there, and not here.
    pub not_admitted: &'static str,
    /// The place does not answer.
    pub away: &'static str,
    /// What it answered cannot be trusted.
    pub not_accepted: &'static str,
    /// On the page that leads on.
    pub continues: &'static str,
}

pub(super) const ENGLISH: Elsewhere = Elsewhere {
    sign_in_with: ("Sign in with ", ""),
    begin_again: "This sign-in was begun in another browser, was finished already, or took too long, or your browser does not keep cookies. Please sign in again.",
    denied: "You were not signed in: it was cancelled or refused there.",
    not_admitted: "Your account is not admitted here.",
    away: "The service that signs you in does not answer at the moment. Please try again soon.",
    not_accepted: "The answer of the service that signs you in was not accepted. Please sign in again.",
    continues: "You are signed in. Continue to the application",
};

pub(super) const KOREAN: Elsewhere = Elsewhere {
    sign_in_with: ("", " 계정으로 로그인"),
    begin_again: "이 로그인은 다른 브라우저에서 시작되었거나, 이미 끝났거나, 시간이 초과되었거나, 브라우저가 쿠키를 저장하지 않습니다. 다시 로그인해 주세요.",
    denied: "로그인이 취소되었거나 거부되었습니다.",
    not_admitted: "이 계정으로는 여기에 로그인할 수 없습니다.",
    away: "지금은 로그인 서비스가 응답하지 않습니다. 잠시 후 다시 시도해 주세요.",
    not_accepted: "로그인 서비스의 응답이 받아들여지지 않았습니다. 다시 로그인해 주세요.",
    continues: "로그인되었습니다. 애플리케이션으로 계속",
};
