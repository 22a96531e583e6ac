//! Form: Cloakroom's login page, fetched once and filled in many times.
//!
//! Comes in: where the gateway is. Goes out: the bytes that sign somebody in. The page's token belongs to the nonce in its
//! cookie and is not used up by a login, so that one page serves for any number of them, as for a browser with many tabs.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PAGE: &str = "/_cloakroom/login";

/// How long the gateway may take to show its page.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Form {
    host: SocketAddr,
    /// `name=value`.
    nonce: String,
    token: String,
}

impl Form {
    pub fn fetch(host: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&host, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "GET {PAGE} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
        )?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        let between = |start: &str, end: char| {
            let (_, rest) = page.split_once(start)?;
            rest.split(end).next().map(str::to_owned)
        };
        let nonce = between("\r\nSet-Cookie: ", ';').or_else(|| between("\r\nset-cookie: ", ';'));
        let token = between("name=\"token\" value=\"", '"');
        match (nonce, token) {
            (Some(nonce), Some(token)) => Ok(Self { host, nonce, token }),
            _ => Err(io::Error::other(format!("no login form at http://{host}{PAGE}"))),
        }
    }

    /// Writes the request that signs this user in.
    pub fn write(&self, out: &mut Vec<u8>, user: &str, password: &str) {
        let Self { host, nonce, token } = self;
        let (user, password) = (encoded(user), encoded(password));
        let body = format!("username={user}&password={password}&token={token}&return=%2F");
        let length = body.len();
        let head = format!(
            "POST {PAGE} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {length}\r\nCookie: {nonce}\r\n\r\n"
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body.as_bytes());
    }

    /// Whether a `Set-Cookie` is about the form and not about a session.
    pub fn is_nonce(&self, set_cookie: &[u8]) -> bool {
        let name = self.nonce.split('=').next().unwrap_or_default();
        set_cookie.starts_with(name.as_bytes()) && set_cookie.get(name.len()) == Some(&b'=')
    }
}

/// As forms are sent (WHATWG URL, section 5.2), with everything escaped that could need it.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
