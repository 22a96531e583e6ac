//! Notice: something said to everybody until they do not want to hear it, and something said once.
//!
//! Comes in: whoever is asking, or their wish not to see it. Goes out: HTML, and until when to leave it away. The gateway
//! forgets the wish by itself when its time is over.

use super::form::Form;
use super::instructions::{Change, End, Instructions};
use super::reader::{Reader, keys};

const WELCOMED: &str = "welcomed";
const DAY: sfv::Integer = sfv::integer(86_400);

/// Pages with the notice on them.
const PAGES: [&str; 2] = ["/", "/shop/"];

/// The notice as HTML, on the page with this path; nothing for those who hid it.
pub fn notice(reader: &Reader, path: &str) -> String {
    if reader.flag(keys::HIDE_NOTICE) {
        return String::new();
    }
    format!(
        "<section class=\"notice\" aria-labelledby=\"notice\"><h2 id=\"notice\">{heading}</h2><p>{text}</p>\
         <form method=\"post\" action=\"/preferences/notice\"><input type=\"hidden\" name=\"back\" value=\"{path}\">\
         <button name=\"until\" value=\"midnight\">{midnight}</button>\
         <button name=\"until\" value=\"tomorrow\">{day}</button></form></section>",
        heading = reader.say("Closed for stocktaking", "재고 조사로 쉽니다"),
        text = reader.say(
            "The shop is closed on the 31st. This notice comes back when its time is over; until then it stays away, also \
             after signing out.",
            "31일에는 가게를 쉽니다. 이 안내는 정한 시간이 지나면 다시 나타나며, 그때까지는 로그아웃한 뒤에도 보이지 \
             않습니다."
        ),
        midnight = reader.say("Not again today", "오늘 하루 보지 않기"),
        day = reader.say("Not for 24 hours", "24시간 동안 보지 않기"),
    )
}

/// `POST /preferences/notice`: hides it.
pub fn hide(_: &Reader, form: &Form) -> Change {
    let end = if form.get("until") == "midnight" { End::Midnight } else { End::Seconds(DAY) };
    Change {
        instructions: Instructions::default().set_until(keys::HIDE_NOTICE, true.into(), end),
        to: PAGES.into_iter().find(|page| *page == form.get("back")).unwrap_or("/shop/"),
    }
}

/// A dialog for those who have not seen it, without any script.
pub fn welcome(reader: &Reader) -> String {
    if reader.flag(WELCOMED) {
        return String::new();
    }
    format!(
        "<dialog open aria-labelledby=\"welcome\"><h2 id=\"welcome\">{}</h2><p>{}</p>\
         <form method=\"dialog\"><button>{}</button></form></dialog>",
        reader.say("Welcome", "환영합니다"),
        reader.say(
            "You see this once: the answer that showed it also asked the gateway to remember that.",
            "이 창은 한 번만 나타납니다. 이 창을 보여 준 응답이 게이트웨이에 그렇게 기억해 달라고 했습니다."
        ),
        reader.say("Close", "닫기"),
    )
}

/// Remembers that the dialog was shown.
pub fn welcomed(reader: &Reader, instructions: Instructions) -> Instructions {
    if reader.flag(WELCOMED) { instructions } else { instructions.set(WELCOMED, true.into()) }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn hidden(form: &[u8]) -> (String, &'static str) {
        let change = hide(&Reader::default(), &Form::parse(form));
        let mut headers = HeaderMap::new();
        change.instructions.write(&mut headers);
        (headers["session-set"].to_str().unwrap().to_owned(), change.to)
    }

    #[test]
    fn the_notice_is_hidden_until_midnight_or_for_a_day() {
        let midnight = ("shared.hide-notice;until=\"midnight\"".to_owned(), "/");
        assert_eq!(hidden(b"until=midnight&back=%2F"), midnight);
        let day = ("shared.hide-notice;max-age=86400".to_owned(), "/shop/");
        assert_eq!(hidden(b"until=tomorrow&back=https://elsewhere.example/"), day);
    }

    #[test]
    fn what_was_hidden_or_seen_is_not_shown() {
        let data = HeaderMap::from_iter([(
            http::HeaderName::from_static("session-data"),
            HeaderValue::from_static("shared.hide-notice, welcomed"),
        )]);
        let (stranger, known) = (Reader::default(), Reader::from_headers(&data));
        assert!(notice(&stranger, "/").contains("stocktaking") && notice(&known, "/").is_empty());
        assert!(welcome(&stranger).contains("<dialog open") && welcome(&known).is_empty());
    }
}
