//! Account: who is signed in, since when, and how to leave.
//!
//! Comes in: somebody who is logged in, or the button they pressed. Goes out: HTML, and which sessions end. The login page,
//! and whose name it fills in the next time, are the gateway's own.

use super::form::Form;
use super::instructions::{Change, Instructions};
use super::page::{escape, page};
use super::reader::Reader;

/// `/account/`
pub fn account(reader: &Reader) -> String {
    let seconds = |key| {
        let unit = reader.say("seconds", "초");
        reader.meta(key).map_or("-".to_owned(), |seconds| format!("{seconds} {unit}"))
    };
    let content = format!(
        "<section class=\"wide\"><table><tr><th>{what}</th><th>{value}</th></tr><tr><td>{user}</td><td>{name}</td></tr>\
         <tr><td>{since}</td><td>{age}</td></tr><tr><td>{left}</td><td>{expires}</td></tr></table></section>\
         <section><h2>{sign_out}</h2><p>{how}</p><form method=\"post\" action=\"/account/sign-out\">\
         <button name=\"which\" value=\"this\">{this}</button> <button name=\"which\" value=\"others\">{others}</button> \
         <button name=\"which\" value=\"all\">{all}</button></form></section><p>{remembered}</p>",
        what = reader.say("What", "항목"),
        value = reader.say("Value", "값"),
        user = reader.say("Signed in as", "로그인한 사람"),
        name = escape(reader.user.as_deref().unwrap_or("-")),
        since = reader.say("Signed in for", "로그인한 지"),
        age = seconds("auth-age"),
        left = reader.say("Signed out, if you do nothing, after", "아무것도 하지 않으면 로그아웃까지"),
        expires = seconds("expires-in"),
        sign_out = reader.say("Sign out", "로그아웃"),
        how = reader.say(
            "This application does it with a header, <code>Session-Logout</code>. What you chose under \
             <a href=\"/preferences/\">Preferences</a> stays.",
            "이 응용 프로그램은 <code>Session-Logout</code> 헤더로 로그아웃합니다. <a href=\"/preferences/\">설정</a>에서 고른 \
             것은 남습니다."
        ),
        this = reader.say("Here", "여기에서"),
        others = reader.say("In all other browsers", "다른 모든 브라우저에서"),
        all = reader.say("Everywhere", "모든 곳에서"),
        remembered = reader.say(
            "The next login page can have your name filled in already: the gateway remembers it, and this application has \
             no part in that.",
            "다음 로그인 페이지에는 이름이 미리 채워져 있을 수 있습니다. 게이트웨이가 기억하며, 이 응용 프로그램과는 \
             상관없습니다."
        ),
    );
    page("/account/", reader.say("Account", "계정"), reader, &content)
}

/// `POST /account/sign-out`: the message is for whoever is there afterwards, which may be a visitor without a login.
pub fn sign_out(reader: &Reader, form: &Form) -> Change {
    let (which, to, english, korean) = match form.get("which") {
        "others" => (
            "others",
            "/account/",
            "You are signed out in all other browsers.",
            "다른 모든 브라우저에서 로그아웃했습니다.",
        ),
        "all" => ("all", "/shop/", "You are signed out everywhere.", "모든 곳에서 로그아웃했습니다."),
        _ => ("this", "/shop/", "You are signed out.", "로그아웃했습니다."),
    };
    Change { instructions: Instructions::default().logout(which).message(reader.say(english, korean)), to }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn each_button_ends_what_it_says() {
        for (which, to) in [("this", "/shop/"), ("others", "/account/"), ("all", "/shop/")] {
            let change = sign_out(&Reader::default(), &Form::parse(format!("which={which}").as_bytes()));
            let mut headers = HeaderMap::new();
            change.instructions.write(&mut headers);
            assert_eq!((&headers["session-logout"], change.to), (&HeaderValue::from_static(which), to));
        }
    }

    #[test]
    fn the_session_says_how_long_it_lasts() {
        let mut headers = HeaderMap::new();
        let meta = HeaderValue::from_static("new=?0, version=7, expires-in=1740, auth-age=312");
        headers.insert("session-meta", meta);
        let page = account(&Reader::from_headers(&headers));
        assert!(page.contains("<td>312 seconds</td>") && page.contains("<td>1740 seconds</td>"), "{page}");
    }
}
