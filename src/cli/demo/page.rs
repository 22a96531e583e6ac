//! Page: the frame that all pages of the demo application share.
//!
//! Comes in: a heading and content, and whoever is asking. Goes out: HTML in their language and theme, with the message
//! that is due. Everything a client or the gateway sent is escaped; nothing is remembered from one page to the next.

use std::fmt::Write as _;

use super::reader::{Reader, keys};

/// Path, name in English, name in Korean.
const LINKS: [(&str, &str, &str); 9] = [
    ("/", "Home", "처음"),
    ("/shop/", "Shop", "가게"),
    ("/preferences/", "Preferences", "설정"),
    ("/account/", "Account", "계정"),
    ("/public/", "Public", "공개"),
    ("/staff/", "Staff", "직원"),
    ("/finance/", "Finance", "재무"),
    ("/websocket", "WebSocket", "웹소켓"),
    ("/ticks", "Events", "이벤트"),
];

/// Puts a heading (text) and content (HTML) into the frame.
pub fn page(path: &str, heading: &str, reader: &Reader, content: &str) -> String {
    let heading = escape(heading);
    let mut links = String::new();
    for (to, english, korean) in LINKS {
        let current = if to == path { " aria-current=\"page\"" } else { "" };
        let _ = write!(links, "<a href=\"{to}\"{current}>{}</a>", reader.say(english, korean));
    }
    let who = match &reader.user {
        Some(user) => {
            let sign_out = reader.say("Sign out", "로그아웃");
            format!("{} · <a href=\"/_cloakroom/logout\">{sign_out}</a>", escape(user))
        }
        None => reader
            .say("not signed in, as far as this page is told", "이 페이지가 아는 한 로그인하지 않음")
            .to_owned(),
    };
    format!(
        "<!doctype html><html lang=\"{language}\"{theme}><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{heading} · Cloakroom demo</title>\
         <link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"/public/demo.css\"></head>\
         <body data-page=\"{path}\"><header><strong>{name}</strong><nav aria-label=\"{pages}\">{links}</nav>\
         <span class=\"who\">{who}</span></header><main>{messages}<h1>{heading}</h1>{content}</main>\
         <footer>{footer}</footer></body></html>",
        language = reader.language.tag(),
        theme = reader.theme.map(|theme| format!(" data-theme=\"{theme}\"")).unwrap_or_default(),
        name = reader.say("Old application", "오래된 응용 프로그램"),
        pages = reader.say("Pages", "페이지"),
        messages = messages(reader),
        footer = reader.say(
            "A demo application without any state. Cloakroom adds the rest.",
            "상태가 없는 데모 응용 프로그램입니다. 나머지는 Cloakroom이 더합니다."
        ),
    )
}

/// A short message under a heading.
pub fn message(reader: &Reader, heading: &str, text: &str) -> String {
    let home = reader.say("Home", "처음으로");
    page("", heading, reader, &format!("<p>{}</p><p><a href=\"/\">{home}</a></p>", escape(text)))
}

/// What the last form left to say, and whether it came too late. The gateway delivers either once only, so every page
/// shows them.
fn messages(reader: &Reader) -> String {
    let mut messages = String::new();
    if let Some(text) = reader.text(keys::MESSAGE) {
        let _ = write!(messages, "<p class=\"flash\" role=\"status\">{}</p>", escape(text));
    }
    if reader.conflict {
        let text = reader.say(
            "Nothing was saved: what you saw had been changed in the meantime. Look at it again.",
            "저장하지 않았습니다. 그사이에 내용이 바뀌었습니다. 다시 확인해 주세요.",
        );
        let _ = write!(messages, "<p class=\"flash late\" role=\"alert\">{text}</p>");
    }
    messages
}

/// Text as HTML, inside an element or a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::cli::demo::form::Form;
    use crate::cli::demo::{account, areas, home, live, notice, preferences, shop};

    fn reader(headers: &HeaderMap) -> Reader {
        Reader::from_headers(headers)
    }

    fn all(headers: &HeaderMap) -> Vec<String> {
        let reader = reader(headers);
        vec![
            home::home(&reader, headers),
            home::received(&reader, &Form::parse(b"<script>=%3Cscript%3E&a")),
            shop::shop(&reader),
            preferences::preferences(&reader),
            account::account(&reader),
            areas::staff(&reader),
            live::ticks(&reader),
            notice::notice(&reader, "/"),
            message(&reader, "<script>", "<script>"),
        ]
    }

    #[test]
    fn nothing_that_was_sent_becomes_markup() {
        let mut headers = HeaderMap::new();
        for name in ["x-auth-user", "x-auth-name", "x-auth-groups", "user-agent", "x-theme"] {
            headers.insert(name, HeaderValue::from_static("%3Cscript%3E<script>'\""));
        }
        let data = "message=\"<script>\", note=\"</textarea><script>\", shared.language=\"<script>\"";
        headers.insert("session-data", HeaderValue::from_static(data));
        for page in all(&headers) {
            assert!(!page.contains("<script>"), "{page}");
        }
    }

    #[test]
    fn pages_are_in_the_language_and_theme_that_were_chosen() {
        let mut headers = HeaderMap::new();
        headers.insert("session-data", HeaderValue::from_static("shared.language=\"ko\""));
        headers.insert("x-theme", HeaderValue::from_static("dark"));
        let page = message(&reader(&headers), "가", "나");
        assert!(
            page.contains("<html lang=\"ko\" data-theme=\"dark\">") && page.contains(">가게</a>"),
            "{page}"
        );
        let page = message(&Reader::default(), "a", "b");
        assert!(page.contains("<html lang=\"en\">") && page.contains(">Shop</a>"), "{page}");
    }

    #[test]
    fn what_is_due_is_said() {
        let mut headers = HeaderMap::new();
        headers.insert("session-data", HeaderValue::from_static("message=%\"%ea%b9%80 & co\""));
        headers.insert("session-conflict", HeaderValue::from_static("?1"));
        let page = message(&reader(&headers), "a", "b");
        assert!(page.contains("<p class=\"flash\" role=\"status\">김 &amp; co</p>"), "{page}");
        assert!(page.contains("Nothing was saved"), "{page}");
    }
}
