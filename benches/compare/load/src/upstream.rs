//! Upstream: the application behind the proxies.
//!
//! Comes in: connections and their requests. Goes out: `/bytes/N` is N bytes, everything else 100; `X-Seen-User` says what
//! `X-Auth-User` the request had; an upgrade to WebSocket becomes an echo. Never keeps a body, never reads a query.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use mio::event::Event;
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use slab::Slab;

use crate::body::Body;
use crate::head;
use crate::link::{Link, Room, has_ended};
use crate::websocket::{self, Frames};

/// Bytes of a response to a path that does not say how many.
const USUAL: usize = 100;

/// Bodies up to this size are copied behind their head, so that one plain write sends both.
const SMALL: usize = 4096;

/// The listener and all connections.
#[derive(Debug)]
pub struct Upstream {
    listener: TcpListener,
    connections: Slab<Connection>,
}

#[derive(Debug)]
struct Connection {
    link: Link,
    /// A head whose end is still to come.
    held: Vec<u8>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Head,
    /// In the body of a request. The head of the response is written already, and leaves with its body after this one.
    Body {
        body: Body,
        filler: usize,
        next: Next,
    },
    Echo(Frames),
    /// Everything was said; ends when it is sent.
    Closing,
}

/// What follows a response.
#[derive(Clone, Copy, Debug)]
enum Next {
    Head,
    Echo,
    Close,
}

/// A request, as far as it matters here.
#[derive(Debug)]
struct Asked<'h> {
    path: &'h [u8],
    user: &'h [u8],
    /// Of a WebSocket.
    key: &'h [u8],
    body: Body,
    is_head: bool,
    closes: bool,
    expects: bool,
}

impl Upstream {
    /// Listens.
    pub fn bind(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        let mut listener = TcpListener::bind(address)?;
        registry.register(&mut listener, token, Interest::READABLE)?;
        Ok(Self { listener, connections: Slab::new() })
    }

    /// Takes all connections that wait; the token of each is `first` and its number.
    pub fn accept(&mut self, registry: &Registry, first: usize) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    let entry = self.connections.vacant_entry();
                    let mut link = Link::new(stream, None);
                    link.register(registry, Token(first + entry.key()))?;
                    entry.insert(Connection { link, held: Vec::new(), stage: Stage::Head });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Something happened on a connection.
    pub fn on_event(&mut self, number: usize, event: &Event, room: &mut Room) {
        let Some(connection) = self.connections.get_mut(number) else { return };
        // Whatever goes wrong, the proxy is told by the end of the connection.
        if !connection.on_event(event, room).unwrap_or(false) {
            self.connections.remove(number);
        }
    }
}

impl Connection {
    /// Whether the connection goes on.
    fn on_event(&mut self, event: &Event, room: &mut Room) -> io::Result<bool> {
        if !matches!(self.stage, Stage::Body { .. }) {
            self.link.flush()?;
        }
        loop {
            let piece = self.link.receive(room)?;
            let mut bytes = piece.bytes;
            while !bytes.is_empty() {
                self.take(&mut bytes)?;
            }
            if piece.end {
                return Ok(false);
            }
            if !piece.more && !has_ended(event) {
                return Ok(!matches!(self.stage, Stage::Closing) || !self.link.is_flushed());
            }
        }
    }

    fn take(&mut self, bytes: &mut &[u8]) -> io::Result<()> {
        match &mut self.stage {
            Stage::Head => {
                let Some(head) = head::take(&mut self.held, bytes)? else { return Ok(()) };
                let asked = Asked::read(&head)?;
                if asked.expects {
                    self.link.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                    self.link.flush()?;
                }
                let (filler, next) = asked.answer(&mut self.link.out)?;
                self.stage = Stage::Body { body: asked.body, filler, next };
                self.take(bytes)
            }
            Stage::Body { body, filler, next } => {
                if !body.take(bytes)? {
                    return Ok(());
                }
                let filler = *filler;
                self.stage = match next {
                    Next::Head => Stage::Head,
                    Next::Echo => Stage::Echo(Frames::default()),
                    Next::Close => Stage::Closing,
                };
                self.link.send(filler)
            }
            Stage::Echo(frames) => {
                while let Some(part) = frames.take(bytes) {
                    if part.begins {
                        websocket::unmasked_head(&mut self.link.out, part.first, part.length);
                    }
                    self.link.out.extend(part.payload());
                    if part.ends && part.opcode() == websocket::CLOSE {
                        self.stage = Stage::Closing;
                        break;
                    }
                }
                self.link.flush()
            }
            Stage::Closing => {
                *bytes = &[];
                Ok(())
            }
        }
    }
}

impl<'h> Asked<'h> {
    fn read(head: &'h [u8]) -> io::Result<Self> {
        let mut words = head::first_line(head).split(|&byte| byte == b' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut asked = Self {
            path: target.split(|&byte| byte == b'?').next().unwrap_or_default(),
            user: b"-",
            key: b"",
            body: Body::Length(0),
            is_head: method == b"HEAD",
            closes: words.next() != Some(b"HTTP/1.1"),
            expects: false,
        };
        for (name, value) in head::fields(head) {
            let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
            match name.len() {
                11 if is("X-Auth-User") => asked.user = value,
                14 if is("Content-Length") => asked.body = Body::Length(head::number(value)?),
                17 if is("Transfer-Encoding") => asked.body = Body::CHUNKED,
                10 if is("Connection") && value.eq_ignore_ascii_case(b"close") => asked.closes = true,
                17 if is("Sec-WebSocket-Key") => asked.key = value,
                6 if is("Expect") => asked.expects = true,
                _ => {}
            }
        }
        Ok(asked)
    }

    /// Writes the response; says how many bytes of body are left to send, and what comes then.
    fn answer(&self, out: &mut Vec<u8>) -> io::Result<(usize, Next)> {
        if !self.key.is_empty() {
            let accept = websocket::accept(self.key);
            out.extend_from_slice(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
            );
            write!(out, "Sec-WebSocket-Accept: {accept}\r\nX-Seen-User: ")?;
            out.extend_from_slice(self.user);
            out.extend_from_slice(b"\r\n\r\n");
            return Ok((0, Next::Echo));
        }
        let size = match self.path.strip_prefix(b"/bytes/") {
            Some(digits) => usize::try_from(head::number(digits)?).map_err(io::Error::other)?,
            None => USUAL,
        };
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Seen-User: ");
        out.extend_from_slice(self.user);
        if self.closes {
            out.extend_from_slice(b"\r\nConnection: close");
        }
        write!(out, "\r\nContent-Length: {size}\r\n\r\n")?;
        let next = if self.closes { Next::Close } else { Next::Head };
        if self.is_head {
            return Ok((0, next));
        }
        if size <= SMALL {
            out.resize(out.len() + size, b'x');
            return Ok((0, next));
        }
        Ok((size, next))
    }
}
