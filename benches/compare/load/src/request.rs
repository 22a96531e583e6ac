//! Request: what is sent, written once.
//!
//! Comes in: a job. Goes out: the bytes of a request; only the cookie differs from one to the next.

use crate::job::Job;
use crate::websocket;

/// A request with room for a cookie.
#[derive(Debug)]
pub struct Request {
    /// Up to the cookie's value.
    before: Vec<u8>,
}

/// What browsers send with everything, and an identity that is not for clients to claim.
const USUAL: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    X-Auth-User: mallory\r\n";

impl Request {
    pub fn new(job: &Job) -> Self {
        let (method, path, host) = (&job.method, &job.path, &job.server_name);
        let port = job.target.port();
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{USUAL}");
        for line in &job.headers {
            text += &format!("{line}\r\n");
        }
        if job.websocket {
            let key = websocket::KEY;
            text += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
            text += &format!("Sec-WebSocket-Key: {key}\r\n");
        } else if job.body > 0 {
            text += &format!("Content-Type: application/octet-stream\r\nContent-Length: {}\r\n", job.body);
        }
        if job.cookies.is_some() {
            text += "Cookie: ";
        }
        Self { before: text.into_bytes() }
    }

    /// Writes a request. Its body, if it has one, follows.
    pub fn write(&self, out: &mut Vec<u8>, cookie: Option<&[u8]>) {
        out.extend_from_slice(&self.before);
        if let Some(cookie) = cookie {
            out.extend_from_slice(cookie);
            out.extend_from_slice(b"\r\n\r\n");
        } else {
            out.extend_from_slice(b"\r\n");
        }
    }
}
