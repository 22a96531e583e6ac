//! A browser: keeps cookies, fills in forms, follows nothing by itself.

use std::net::SocketAddr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Message, PASSWORD, Raw, TestGateway};

/// One person's browser, at one address.
pub struct Browser {
    address: SocketAddr,
    /// Names and values.
    pub cookies: Vec<(String, String)>,
    /// Sent with every request, with the cookies.
    pub fields: Vec<(String, String)>,
}

impl Browser {
    /// A browser at a gateway.
    pub fn of(gateway: &TestGateway) -> Self {
        Self::at(gateway.address())
    }

    /// A browser at an address.
    pub fn at(address: SocketAddr) -> Self {
        let own = [
            ("Host", address.to_string()),
            ("Accept", "text/html,*/*;q=0.8".to_owned()),
            ("Accept-Language", "en".to_owned()),
            ("Origin", format!("http://{address}")),
            ("Sec-Fetch-Site", "same-origin".to_owned()),
            ("Sec-Fetch-Mode", "navigate".to_owned()),
        ];
        let fields = own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { address, cookies: Vec::new(), fields }
    }

    /// Sends another value with every request from now on; an empty one sends none.
    pub fn set_field(&mut self, name: &str, value: &str) {
        self.fields.retain(|(found, _)| !found.eq_ignore_ascii_case(name));
        if !value.is_empty() {
            self.fields.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Fetches a page.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Message {
        self.request("GET", target, &[], b"")
    }

    /// Posts a form.
    #[track_caller]
    pub fn post(&mut self, target: &str, form: &[(&str, &str)]) -> Message {
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pairs: Vec<_> =
            form.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let fields = [("Content-Type", "application/x-www-form-urlencoded")];
        self.request("POST", target, &fields, pairs.join("&").as_bytes())
    }

    /// Sends any request, on a connection of its own.
    #[track_caller]
    pub fn request(&mut self, method: &str, target: &str, fields: &[(&str, &str)], body: &[u8]) -> Message {
        let mut request = self.head(method, target, fields).into_bytes();
        let end = if body.is_empty() && method != "POST" {
            "\r\n".to_owned()
        } else {
            format!("Content-Length: {}\r\n\r\n", body.len())
        };
        request.extend_from_slice(end.as_bytes());
        request.extend_from_slice(body);
        let mut client = Raw::connect(self.address);
        client.send(request);
        let response = client.response_to(method);
        self.keep_cookies(&response);
        response
    }

    /// The head this browser would send, with these fields added, without the empty line at its end.
    pub fn head(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> String {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        let own = self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let own = own.filter(|(name, _)| !fields.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)));
        for (name, value) in own.chain(fields.iter().copied()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.cookies.is_empty() {
            head.push_str(&format!("Cookie: {}\r\n", self.cookie_header()));
        }
        head
    }

    /// All cookies, as one field's value.
    pub fn cookie_header(&self) -> String {
        let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Keeps a cookie, in place of any of the same name.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.retain(|(found, _)| found != name);
        self.cookies.push((name.to_owned(), value.to_owned()));
    }

    /// The session's cookie over plain http, under its usual name.
    pub fn ticket(&self) -> Option<&str> {
        self.cookie("cloakroom")
    }

    fn keep_cookies(&mut self, response: &Message) {
        for cookie in response.headers("set-cookie") {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').expect("a pair");
            self.cookies.retain(|(found, _)| found != name);
            if !attributes.to_ascii_lowercase().contains("max-age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// Fills in the form on one of the gateway's pages and sends it.
    #[track_caller]
    pub fn submit(&mut self, page: &str, form: &[(&str, &str)]) -> Message {
        let shown = self.get(page);
        assert_eq!(shown.status, 200, "{}", shown.text());
        let token = hidden(&shown.text(), "token");
        let target = hidden(&shown.text(), "return");
        let action = page.split('?').next().expect("never empty");
        let mut form = form.to_vec();
        form.extend([("token", token.as_str()), ("return", target.as_str())]);
        self.post(action, &form)
    }

    /// Signs in on the login page; panics when it does not work.
    #[track_caller]
    pub fn sign_in(&mut self, user: &str) -> Message {
        let response = self.submit("/_cloakroom/login", &[("username", user), ("password", PASSWORD)]);
        assert_eq!(response.status, 303, "{}", response.text());
        response
    }

    /// Signs out on the logout page; panics when it does not work.
    #[track_caller]
    pub fn sign_out(&mut self) -> Message {
        let response = self.submit("/_cloakroom/logout", &[]);
        assert!(matches!(response.status, 200 | 303), "{}", response.text());
        response
    }
}

/// The value of a hidden field.
#[track_caller]
fn hidden(page: &str, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let rest = page.split_once(&start).map(|(_, rest)| rest).unwrap_or_else(|| panic!("no {name} in {page}"));
    let value = rest.split('"').next().unwrap_or_default();
    value.replace("&#x2f;", "/").replace("&quot;", "\"").replace("&amp;", "&")
}
