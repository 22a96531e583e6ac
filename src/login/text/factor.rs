//! Factor: the words about the second factor, in each language.
//!
//! Comes in: nothing. Goes out: the words. Never a sentence put together from pieces.

use minijinja::{Value, context};

/// The words of one language.
#[derive(Debug)]
pub(in crate::login) struct FactorWords {
    /// Heading of the page that asks for a code.
    pub code_wanted: &'static str,
    code_explained: &'static str,
    code: &'static str,
    go_on: &'static str,
    start_again: &'static str,
    /// Heading of the pages where one enrols and looks after it.
    pub factor: &'static str,
    /// Why somebody must enrol who signs in.
    pub enrol_first: &'static str,
    enrol_explained: &'static str,
    picture: &'static str,
    secret: &'static str,
    first_code: &'static str,
    confirm: &'static str,
    codes: &'static str,
    codes_explained: &'static str,
    codes_kept: &'static str,
    /// Somebody has one.
    pub is_on: &'static str,
    codes_left: &'static str,
    change_explained: &'static str,
    new_codes: &'static str,
    remove: &'static str,
    /// It was taken away.
    pub removed: &'static str,
    /// The code is wrong, or was used.
    pub wrong_code: &'static str,
    /// It cannot be looked at just now.
    pub away: &'static str,
    /// Somebody whose password is kept elsewhere.
    pub not_here: &'static str,
}

impl FactorWords {
    pub(super) fn for_templates(&self) -> Value {
        context! {
            code_explained => self.code_explained,
            code => self.code,
            go_on => self.go_on,
            start_again => self.start_again,
            factor => self.factor,
            enrol_explained => self.enrol_explained,
            picture => self.picture,
            secret => self.secret,
            first_code => self.first_code,
            confirm => self.confirm,
            codes => self.codes,
            codes_explained => self.codes_explained,
            codes_kept => self.codes_kept,
            codes_left => self.codes_left,
            change_explained => self.change_explained,
            new_codes => self.new_codes,
            remove => self.remove,
        }
    }
}

pub(super) const ENGLISH: FactorWords = FactorWords {
    code_wanted: "Enter your code",
    code_explained: "Your password was correct. Now type the six digits that your authenticator app shows, or one of your recovery codes.",
    code: "Code",
    go_on: "Continue",
    start_again: "Start again",
    factor: "Two-step sign-in",
    enrol_first: "You need a second step to sign in here. Please set it up now.",
    enrol_explained: "Scan this picture with an authenticator app, or type the key into it. Then type the code that the app shows.",
    picture: "QR code with the key for your authenticator app",
    secret: "Key",
    first_code: "Code from the app",
    confirm: "Switch on",
    codes: "Your recovery codes",
    codes_explained: "Keep these codes in a safe place. Each of them works once in place of a code from the app. They are not shown again.",
    codes_kept: "I have kept them",
    is_on: "Two-step sign-in is on.",
    codes_left: "Recovery codes left:",
    change_explained: "To change something, type a code from the app or a recovery code.",
    new_codes: "Make new recovery codes",
    remove: "Switch off",
    removed: "Two-step sign-in is off.",
    wrong_code: "This code is not correct, or it was used already. Please wait for the next one.",
    away: "Your code cannot be checked at the moment. Please try again in a few minutes, or ask your administrator.",
    not_here: "Two-step sign-in is for users whose password is kept here. Yours is kept elsewhere.",
};

pub(super) const KOREAN: FactorWords = FactorWords {
    code_wanted: "인증 코드 입력",
    code_explained: "비밀번호가 확인되었습니다. 인증 앱에 표시된 6자리 숫자나 복구 코드 중 하나를 입력해 주세요.",
    code: "인증 코드",
    go_on: "계속",
    start_again: "처음부터 다시",
    factor: "2단계 인증",
    enrol_first: "로그인하려면 2단계 인증이 필요합니다. 지금 설정해 주세요.",
    enrol_explained: "인증 앱으로 이 QR 코드를 스캔하거나 키를 입력해 주세요. 그런 다음 앱에 표시된 코드를 입력해 주세요.",
    picture: "인증 앱에 등록할 키가 담긴 QR 코드",
    secret: "키",
    first_code: "앱에 표시된 코드",
    confirm: "사용 시작",
    codes: "복구 코드",
    codes_explained: "이 코드를 안전한 곳에 보관해 주세요. 각 코드는 앱의 코드 대신 한 번씩 사용할 수 있으며, 다시 표시되지 않습니다.",
    codes_kept: "보관했습니다",
    is_on: "2단계 인증을 사용하고 있습니다.",
    codes_left: "남은 복구 코드:",
    change_explained: "설정을 변경하려면 앱에 표시된 코드나 복구 코드를 입력해 주세요.",
    new_codes: "새 복구 코드 만들기",
    remove: "사용 중지",
    removed: "2단계 인증을 사용하지 않습니다.",
    wrong_code: "코드가 올바르지 않거나 이미 사용되었습니다. 다음 코드가 나올 때까지 기다려 주세요.",
    away: "지금은 코드를 확인할 수 없습니다. 몇 분 후에 다시 시도하거나 관리자에게 문의해 주세요.",
    not_here: "2단계 인증은 이곳에 비밀번호가 저장된 사용자만 사용할 수 있습니다. 사용자의 비밀번호는 다른 곳에 저장되어 있습니다.",
};
