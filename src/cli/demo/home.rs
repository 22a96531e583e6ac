//! Home: a greeting, what to try, and the headers that came.
//!
//! Comes in: a request's headers, or a posted form. Goes out: HTML, and the visit to be counted.

use std::fmt::Write as _;

use http::HeaderMap;

use super::form::Form;
use super::instructions::Instructions;
use super::notice::{self, notice};
use super::page::{escape, page};
use super::reader::Reader;

const VISITS: &str = "visits";

/// `/`
pub fn home(reader: &Reader, headers: &HeaderMap) -> String {
    // The gateway counts this visit when it has the answer.
    let visits = (reader.number(VISITS) + 1).to_string();
    let content = format!(
        "{welcome}{notice}<p>{intro}</p><p>{visits}</p><section><h2>{things}</h2><ul>{list}</ul></section>\
         <section><h2>{post}</h2><form method=\"post\" action=\"/form\"><label>{text}\
         <input name=\"text\" value=\"안녕 &lt;b&gt;world&lt;/b&gt;\" autocomplete=\"off\"></label>\
         <button>{send}</button></form></section>\
         <section><h2>{received}</h2><p>{marked}</p>{table}</section>",
        welcome = notice::welcome(reader),
        notice = notice(reader, "/"),
        intro = reader.say(
            "This application has no login, no session and no cookie of its own. It took your name from a header, and the \
             header was set by Cloakroom, which stands in front of it. What it wants remembered it says in a header of its \
             response.",
            "이 응용 프로그램에는 로그인도, 세션도, 자체 쿠키도 없습니다. 이름은 헤더에서 읽었고, 그 헤더는 앞에 있는 \
             Cloakroom이 썼습니다. 기억할 것이 있으면 응답 헤더로 말합니다."
        ),
        visits = reader.say("Visits to this page: N.", "이 페이지 방문: N번.").replace('N', &visits),
        things = reader.say("Things to try", "해 볼 것"),
        list = reader.say(THINGS_TO_TRY, THINGS_TO_TRY_IN_KOREAN),
        post = reader.say("Post a form", "양식 보내기"),
        text = reader.say("Some text", "글"),
        send = reader.say("Send", "보내기"),
        received = reader.say("The headers that this application received", "이 응용 프로그램이 받은 헤더"),
        marked = reader.say(
            "The marked ones were written by Cloakroom. Send your own <code>X-Auth-User</code>: it does not arrive. Your \
             session cookie does not arrive either.",
            "표시된 것은 Cloakroom이 썼습니다. <code>X-Auth-User</code>를 직접 보내 보세요. 도착하지 않습니다. 세션 쿠키도 \
             도착하지 않습니다."
        ),
        table = header_table(reader, headers),
    );
    let heading = reader.say("Hello, NAME", "안녕하세요, NAME 님").replace("NAME", reader.greeting());
    page("/", &heading, reader, &content)
}

/// What is to be remembered when `/` has been shown.
pub fn seen(reader: &Reader) -> Instructions {
    notice::welcomed(reader, Instructions::default().count(VISITS))
}

const THINGS_TO_TRY: &str = "\
    <li><a href=\"/shop/\">A shop</a> that needs no login: fill the cart, sign in, and it is still full</li>\
    <li><a href=\"/preferences/\">Theme and language</a>: they outlive signing out</li>\
    <li><a href=\"/account/\">Your account</a>: sign out here, in all other browsers, or everywhere</li>\
    <li><a href=\"/public/\">A page for everybody</a>, also without signing in</li>\
    <li><a href=\"/staff/\">A page for the group staff</a>, which you belong to</li>\
    <li><a href=\"/finance/\">A page for the group finance</a>, which you do not belong to: the gateway says no</li>\
    <li><a href=\"/websocket\">A WebSocket</a> and <a href=\"/ticks\">an event stream</a>: keep one open and sign \
    out in another tab; it is closed within a second</li>\
    <li><a href=\"/slow?ms=3000\">A slow answer</a> of three seconds</li>\
    <li><a href=\"/_cloakroom/session\">Your session</a> as JSON, and <a href=\"/_cloakroom/logout\">signing out</a></li>";

const THINGS_TO_TRY_IN_KOREAN: &str = "\
    <li>로그인이 필요 없는 <a href=\"/shop/\">가게</a>: 장바구니를 채우고 로그인해도 그대로 있습니다</li>\
    <li><a href=\"/preferences/\">테마와 언어</a>: 로그아웃한 뒤에도 남습니다</li>\
    <li><a href=\"/account/\">계정</a>: 여기에서, 다른 모든 브라우저에서, 또는 모든 곳에서 로그아웃합니다</li>\
    <li>로그인하지 않아도 되는 <a href=\"/public/\">공개 페이지</a></li>\
    <li>속해 있는 그룹 staff의 <a href=\"/staff/\">페이지</a></li>\
    <li>속해 있지 않은 그룹 finance의 <a href=\"/finance/\">페이지</a>: 게이트웨이가 거절합니다</li>\
    <li><a href=\"/websocket\">웹소켓</a>과 <a href=\"/ticks\">이벤트 스트림</a>: 열어 두고 다른 탭에서 로그아웃하면 1초 \
    안에 닫힙니다</li>\
    <li>3초 걸리는 <a href=\"/slow?ms=3000\">느린 응답</a></li>\
    <li>JSON으로 보는 <a href=\"/_cloakroom/session\">세션</a>, 그리고 <a href=\"/_cloakroom/logout\">로그아웃</a></li>";

/// The answer to a form posted to `/form`: its fields.
pub fn received(reader: &Reader, form: &Form) -> String {
    let mut rows = String::new();
    for (name, value) in form.fields() {
        let _ = write!(rows, "<tr><td>{}</td><td>{}</td></tr>", escape(name), escape(value));
    }
    let content = format!(
        "<p>{}</p><section class=\"wide\"><table><tr><th>{}</th><th>{}</th></tr>{rows}</table></section>\
         <p><a href=\"/\">{}</a></p>",
        reader.say("These fields arrived, and are forgotten again.", "이 칸들이 도착했고, 다시 잊힙니다."),
        reader.say("Field", "칸"),
        reader.say("Value", "값"),
        reader.say("Back", "돌아가기"),
    );
    page("/form", reader.say("Form received", "양식을 받았습니다"), reader, &content)
}

/// The gateway's headers first, marked; then the client's.
fn header_table(reader: &Reader, headers: &HeaderMap) -> String {
    let (mut ours, mut theirs) = (String::new(), String::new());
    for (name, value) in headers {
        let (name, value) = (name.as_str(), String::from_utf8_lossy(value.as_bytes()));
        let is_ours = ["x-auth-", "x-forwarded-", "session-", "x-request-id", "x-theme"]
            .iter()
            .any(|start| name.starts_with(start));
        let (rows, class) = if is_ours { (&mut ours, " class=\"ours\"") } else { (&mut theirs, "") };
        let _ = write!(rows, "<tr{class}><td>{}</td><td>{}</td></tr>", escape(name), escape(&value));
    }
    let (header, value) = (reader.say("Header", "헤더"), reader.say("Value", "값"));
    format!(
        "<div class=\"wide\"><table><tr><th>{header}</th><th>{value}</th></tr>{ours}{theirs}</table></div>"
    )
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_percent_encoded_name_is_greeted_as_it_is_written() {
        let mut headers = HeaderMap::new();
        headers.insert("x-auth-user", HeaderValue::from_static("chulsoo"));
        headers.insert("x-auth-name", HeaderValue::from_static("%EA%B9%80 %EC%B2%A0%EC%88%98"));
        assert!(home(&Reader::from_headers(&headers), &headers).contains("<h1>Hello, 김 철수</h1>"));
    }

    #[test]
    fn a_visit_is_shown_and_counted() {
        let mut headers = HeaderMap::new();
        assert!(home(&Reader::from_headers(&headers), &headers).contains("Visits to this page: 1."));
        headers.insert("session-data", HeaderValue::from_static("visits=2, welcomed"));
        let reader = Reader::from_headers(&headers);
        assert!(home(&reader, &headers).contains("Visits to this page: 3."));
        let mut said = HeaderMap::new();
        seen(&reader).write(&mut said);
        assert_eq!(
            said,
            HeaderMap::from_iter([(
                HeaderName::from_static("session-add"),
                HeaderValue::from_static("visits=1")
            )])
        );
    }

    #[test]
    fn form_fields_are_listed() {
        let page = received(&Reader::default(), &Form::parse(b"text=a+b%26&empty"));
        assert!(page.contains("<td>text</td><td>a b&amp;</td>"));
    }
}
