//! Exchange: one request's response, or one message's echo, as it arrives.
//!
//! Comes in: bytes of a connection. Goes out: when the response is complete, and whether it was the expected one. Never
//! sends anything.

use std::io;

use crate::body::Body;
use crate::head;
use crate::websocket::Frames;

/// What the responses of a job are to look like.
#[derive(Debug)]
pub struct Expected {
    pub status: u16,
    /// Responses have no body, whatever their head says.
    pub is_head: bool,
    /// Bytes of an echo, when the connection is to become a WebSocket.
    pub echo: Option<u64>,
}

/// The receiving side of a connection.
#[derive(Debug)]
pub struct Exchange {
    stage: Stage,
    /// A head whose end is still to come.
    held: Vec<u8>,
    /// The connection is not to be used again.
    pub closes: bool,
    /// What was not as expected.
    pub wrong: Option<String>,
}

#[derive(Debug)]
enum Stage {
    Idle,
    Head,
    Body(Body),
    Upgraded { frames: Frames, waits: bool },
}

/// What came of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    More,
    Upgraded,
    Complete,
}

impl Exchange {
    pub const fn new() -> Self {
        Self { stage: Stage::Idle, held: Vec::new(), closes: false, wrong: None }
    }

    /// A request or a message was sent.
    pub fn begin(&mut self) {
        match &mut self.stage {
            Stage::Upgraded { waits, .. } => *waits = true,
            stage => *stage = Stage::Head,
        }
    }

    pub const fn is_upgraded(&self) -> bool {
        matches!(self.stage, Stage::Upgraded { .. })
    }

    /// Whether a response is awaited.
    pub const fn is_under_way(&self) -> bool {
        !matches!(self.stage, Stage::Idle | Stage::Upgraded { waits: false, .. })
    }

    /// Takes what belongs to the response off the front of `bytes`; `user` is whom the upstream must have been told.
    pub fn take(&mut self, bytes: &mut &[u8], expected: &Expected, user: Option<&[u8]>) -> io::Result<Step> {
        match &mut self.stage {
            Stage::Idle => Err(io::Error::other("bytes that nobody asked for")),
            Stage::Head => {
                let Some(head) = head::take(&mut self.held, bytes)? else { return Ok(Step::More) };
                self.read_head(&head, expected, user)?;
                // Bodies may be empty: then nothing else would say that this one is complete.
                if matches!(self.stage, Stage::Body(_)) {
                    self.take(bytes, expected, user)
                } else {
                    Ok(self.after_head())
                }
            }
            Stage::Body(body) => {
                let complete = body.take(bytes)?;
                Ok(if complete { self.complete() } else { Step::More })
            }
            Stage::Upgraded { frames, waits } => {
                while let Some(part) = frames.take(bytes) {
                    if !*waits || Some(part.length) != expected.echo || part.opcode() != 1 {
                        return Err(io::Error::other("a frame that is no echo"));
                    }
                    if part.ends {
                        *waits = false;
                        return Ok(Step::Complete);
                    }
                }
                Ok(Step::More)
            }
        }
    }

    /// The connection has ended. Whether that completes a response; an error when it cuts one off.
    pub fn end(&mut self) -> io::Result<bool> {
        match &self.stage {
            Stage::Idle => Ok(false),
            Stage::Body(Body::UntilEnd) => Ok(self.complete() == Step::Complete),
            Stage::Head => Err(io::Error::other("closed before the response")),
            Stage::Body(_) => Err(io::Error::other("closed within the response")),
            Stage::Upgraded { .. } => Err(io::Error::other("the WebSocket was closed")),
        }
    }

    fn complete(&mut self) -> Step {
        self.stage = Stage::Idle;
        Step::Complete
    }

    /// A head that is no response's with a body: interim, or the switch to a WebSocket.
    const fn after_head(&self) -> Step {
        if self.is_upgraded() { Step::Upgraded } else { Step::More }
    }

    fn read_head(&mut self, head: &[u8], expected: &Expected, user: Option<&[u8]>) -> io::Result<()> {
        let line = head::first_line(head);
        let digits = line.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
        let status: u16 = digits
            .and_then(|digits| digits.parse().ok())
            .filter(|_| line.starts_with(b"HTTP/1."))
            .ok_or_else(|| io::Error::other("no status line"))?;
        if (100..200).contains(&status) && status != 101 {
            return Ok(());
        }
        let mut body = Body::UntilEnd;
        let mut seen: &[u8] = b"";
        for (name, value) in head::fields(head) {
            let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
            match name.len() {
                14 if is("Content-Length") => body = Body::Length(head::number(value)?),
                17 if is("Transfer-Encoding") => body = Body::CHUNKED,
                11 if is("X-Seen-User") => seen = value,
                10 if is("Connection") && value.eq_ignore_ascii_case(b"close") => self.closes = true,
                _ => {}
            }
        }
        let wanted = if expected.echo.is_some() { 101 } else { expected.status };
        if status != wanted {
            self.wrong = Some(format!("status {status}"));
        } else if user.is_some_and(|user| user != seen) {
            self.wrong = Some(format!("the user was {:?}", String::from_utf8_lossy(seen)));
        }
        if status == 101 {
            self.stage = Stage::Upgraded { frames: Frames::default(), waits: false };
            return Ok(());
        }
        if matches!(body, Body::UntilEnd) {
            self.closes = true;
        }
        self.stage =
            Stage::Body(if expected.is_head || matches!(status, 204 | 304) { Body::Length(0) } else { body });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_complete_at_its_last_byte_however_it_is_cut() {
        let expected = Expected { status: 200, is_head: false, echo: None };
        let responses: [&[u8]; 3] = [
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nX-Seen-User: a\r\nContent-Length: 3\r\n\r\nabc",
            b"HTTP/1.1 200 OK\r\nX-Seen-User: a\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX-Seen-User: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        ];
        for response in responses {
            for size in 1..=response.len() {
                let mut exchange = Exchange::new();
                exchange.begin();
                let mut steps = Vec::new();
                for mut piece in response.chunks(size) {
                    while !piece.is_empty() {
                        steps.push(exchange.take(&mut piece, &expected, Some(b"a")).expect("well-formed"));
                    }
                }
                assert_eq!(steps.pop(), Some(Step::Complete));
                assert!(steps.iter().all(|step| *step == Step::More));
                assert!(exchange.wrong.is_none() && !exchange.is_under_way());
            }
        }
    }

    #[test]
    fn what_is_not_expected_is_said() {
        let expected = Expected { status: 200, is_head: false, echo: None };
        let wrong = |mut response: &[u8]| {
            let mut exchange = Exchange::new();
            exchange.begin();
            exchange.take(&mut response, &expected, Some(b"a")).map(|_| exchange.wrong)
        };
        let status = wrong(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n").expect("a response");
        assert_eq!(status.as_deref(), Some("status 401"));
        let user =
            wrong(b"HTTP/1.1 200 OK\r\nX-Seen-User: b\r\nContent-Length: 0\r\n\r\n").expect("a response");
        assert_eq!(user.as_deref(), Some("the user was \"b\""));
        assert!(wrong(b"SSH-2.0-x\r\n\r\n").is_err());
    }
}
