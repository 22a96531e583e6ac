//! Pages of the demo application.
//!
//! Comes in: a request's headers and form. Goes out: HTML. Everything a client or the gateway sent is escaped; nothing is
//! remembered from one page to the next.

use std::borrow::Cow;
use std::fmt::Write as _;

use http::HeaderMap;
use percent_encoding::percent_decode_str;

const LINKS: [(&str, &str); 6] = [
    ("/", "Home"),
    ("/public/", "Public"),
    ("/staff/", "Staff"),
    ("/finance/", "Finance"),
    ("/websocket", "WebSocket"),
    ("/ticks", "Events"),
];

/// Who is asking, as the gateway's headers say.
pub struct Reader {
    user: Option<String>,
    name: Option<String>,
    groups: Option<String>,
}

impl Reader {
    /// Reads `X-Auth-User`, `X-Auth-Name` and `X-Auth-Groups`: percent-encoded UTF-8.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let read = |name: &str| {
            let value = headers.get(name)?.to_str().ok()?;
            Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
        };
        Self { user: read("x-auth-user"), name: read("x-auth-name"), groups: read("x-auth-groups") }
    }

    fn greeting(&self) -> &str {
        self.name.as_deref().or(self.user.as_deref()).unwrap_or("stranger")
    }
}

/// `/`: a greeting, what to try, and the headers that came.
pub fn home(reader: &Reader, headers: &HeaderMap) -> String {
    let content = format!(
        "<p>This application has no login, no session and no cookie of its own. It took your name from a header, and the \
         header was set by Cloakroom, which stands in front of it.</p>\
         <section><h2>Things to try</h2><ul>\
         <li><a href=\"/public/\">A page for everybody</a>, also without signing in</li>\
         <li><a href=\"/staff/\">A page for the group staff</a>, which you belong to</li>\
         <li><a href=\"/finance/\">A page for the group finance</a>, which you do not belong to: the gateway says no</li>\
         <li><a href=\"/websocket\">A WebSocket</a> and <a href=\"/ticks\">an event stream</a>: keep one open and sign \
         out in another tab; it is closed within a second</li>\
         <li><a href=\"/slow?ms=3000\">A slow answer</a> of three seconds</li>\
         <li><a href=\"/_cloakroom/session\">Your session</a> as JSON, and <a href=\"/_cloakroom/logout\">signing \
         out</a></li></ul></section>\
         <section><h2>Post a form</h2><form method=\"post\" action=\"/form\"><label>Some text\
         <input name=\"text\" value=\"안녕 &lt;b&gt;world&lt;/b&gt;\" autocomplete=\"off\"></label>\
         <button>Send</button></form></section>\
         <section><h2>The headers that this application received</h2>\
         <p>The marked ones were written by Cloakroom. Send your own <code>X-Auth-User</code>: it does not arrive. Your \
         session cookie does not arrive either.</p>{}</section>",
        header_table(headers)
    );
    page("/", &format!("Hello, {}", reader.greeting()), reader, &content)
}

/// `/public/`: for everybody.
pub fn public(reader: &Reader) -> String {
    let content = "<p>Anybody may read this page: its route says <code>access: public</code>. The gateway does not even \
        look at your session here, and it tells this application nobody's name.</p>\
        <p><a href=\"/\">The home page</a> needs a login. Not signed in? You will be asked, and then brought there.</p>";
    page("/public/", "Everybody is welcome", reader, content)
}

/// `/staff/`: for the group staff; the gateway has checked that.
pub fn staff(reader: &Reader) -> String {
    let groups = escape(reader.groups.as_deref().unwrap_or("none"));
    let content = format!(
        "<p>You are here because the gateway let you: the route says <code>access: {{ groups: [staff] }}</code>. This \
         application checks nothing. Your groups: <code>{groups}</code>.</p>"
    );
    page("/staff/", "Staff only", reader, &content)
}

/// `/finance/`: for a group that the demo's user is not in, so nobody sees it.
pub fn finance(reader: &Reader) -> String {
    page("/finance/", "Finance only", reader, "<p>You belong to finance, says the gateway.</p>")
}

/// `/websocket`: talks to `/echo`.
pub fn websocket(reader: &Reader) -> String {
    let content = "<p>What you send comes back over the same connection, through the gateway. Sign out in another tab, \
        and the gateway closes it.</p><section><form><label>Message<input name=\"text\" autocomplete=\"off\" required>\
        </label><button>Send</button></form><output aria-live=\"polite\" tabindex=\"0\" aria-label=\"Log\"></output></section>\
        <script src=\"/public/demo.js\" defer></script>";
    page("/websocket", "WebSocket echo", reader, content)
}

/// `/ticks`: listens to `/events`.
pub fn ticks(reader: &Reader) -> String {
    let content = "<p>One event a second, as server-sent events. The gateway passes each one on at once.</p>\
        <section><output aria-live=\"off\" tabindex=\"0\" aria-label=\"Log\"></output></section><script src=\"/public/demo.js\" defer></script>";
    page("/ticks", "Event stream", reader, content)
}

/// The answer to a posted form: its fields.
pub fn form(reader: &Reader, body: &[u8]) -> String {
    let mut rows = String::new();
    for field in body.split(|byte| *byte == b'&').filter(|field| !field.is_empty()) {
        let (name, value) = match field.iter().position(|byte| *byte == b'=') {
            Some(at) => (&field[..at], &field[at + 1..]),
            None => (field, &b""[..]),
        };
        let (name, value) = (form_decode(name), form_decode(value));
        let _ = write!(rows, "<tr><td>{}</td><td>{}</td></tr>", escape(&name), escape(&value));
    }
    let content = format!(
        "<p>These fields arrived, and are forgotten again.</p><section class=\"wide\">\
         <table><tr><th>Field</th><th>Value</th></tr>{rows}</table></section><p><a href=\"/\">Back</a></p>"
    );
    page("/form", "Form received", reader, &content)
}

/// A short message under a heading.
pub fn message(reader: &Reader, heading: &str, text: &str) -> String {
    page("", heading, reader, &format!("<p>{}</p><p><a href=\"/\">Home</a></p>", escape(text)))
}

/// Puts a heading (text) and content (HTML) into the frame that all pages share.
fn page(path: &str, heading: &str, reader: &Reader, content: &str) -> String {
    let heading = escape(heading);
    let mut links = String::new();
    for (to, label) in LINKS {
        let current = if to == path { " aria-current=\"page\"" } else { "" };
        let _ = write!(links, "<a href=\"{to}\"{current}>{label}</a>");
    }
    let who = match &reader.user {
        Some(user) => format!("{} · <a href=\"/_cloakroom/logout\">Sign out</a>", escape(user)),
        None => "not signed in, as far as this page is told".to_owned(),
    };
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{heading} · Cloakroom demo</title>\
         <link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"/public/demo.css\"></head>\
         <body data-page=\"{path}\"><header><strong>Old application</strong><nav aria-label=\"Pages\">{links}</nav>\
         <span class=\"who\">{who}</span></header><main><h1>{heading}</h1>{content}</main>\
         <footer>A demo application without any state. Cloakroom adds the rest.</footer></body></html>"
    )
}

/// The gateway's headers first, marked; then the client's.
fn header_table(headers: &HeaderMap) -> String {
    let (mut ours, mut theirs) = (String::new(), String::new());
    for (name, value) in headers {
        let (name, value) = (name.as_str(), String::from_utf8_lossy(value.as_bytes()));
        let is_ours =
            name.starts_with("x-auth-") || name.starts_with("x-forwarded-") || name == "x-request-id";
        let (rows, class) = if is_ours { (&mut ours, " class=\"ours\"") } else { (&mut theirs, "") };
        let _ = write!(rows, "<tr{class}><td>{}</td><td>{}</td></tr>", escape(name), escape(&value));
    }
    format!("<div class=\"wide\"><table><tr><th>Header</th><th>Value</th></tr>{ours}{theirs}</table></div>")
}

fn form_decode(text: &[u8]) -> String {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    String::from_utf8_lossy(&Cow::from(percent_encoding::percent_decode(&spaced))).into_owned()
}

/// Text as HTML, inside an element or a quoted attribute.
fn escape(text: &str) -> String {
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
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_percent_encoded_name_is_greeted_as_it_is_written() {
        let mut headers = HeaderMap::new();
        headers.insert("x-auth-user", HeaderValue::from_static("chulsoo"));
        headers.insert("x-auth-name", HeaderValue::from_static("%EA%B9%80 %EC%B2%A0%EC%88%98"));
        assert!(home(&Reader::from_headers(&headers), &headers).contains("<h1>Hello, 김 철수</h1>"));
    }

    #[test]
    fn nothing_that_was_sent_becomes_markup() {
        let mut headers = HeaderMap::new();
        for name in ["x-auth-user", "x-auth-name", "x-auth-groups", "user-agent"] {
            headers.insert(name, HeaderValue::from_static("%3Cscript%3E<script>'\""));
        }
        let reader = Reader::from_headers(&headers);
        let pages = [home(&reader, &headers), staff(&reader), form(&reader, b"<script>=%3Cscript%3E&a")];
        for page in pages {
            assert!(!page.contains("<script>"), "{page}");
        }
    }

    #[test]
    fn form_fields_are_decoded() {
        let reader = Reader::from_headers(&HeaderMap::new());
        assert!(form(&reader, b"text=a+b%26&empty").contains("<td>text</td><td>a b&amp;</td>"));
    }
}
