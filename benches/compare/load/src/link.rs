//! Link: one TCP connection, with TLS or without, that never waits.
//!
//! Comes in: bytes to send, and the news that the socket is ready. Goes out: plain bytes that arrived. What the socket does
//! not take is kept until it does.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ClientConnection;

/// Where bodies come from.
static FILLER: [u8; 256 * 1024] = [b'x'; 256 * 1024];

/// TLS keeps up to so many plain bytes of a record that arrives in pieces.
const RECORD: usize = 32 * 1024;

/// A connection.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// What is to be sent: write to it, then call [`Link::send`].
    pub out: Vec<u8>,
    filler: usize,
}

/// Buffers that all connections of a thread share.
#[derive(Debug)]
pub struct Room {
    wire: Box<[u8]>,
    plain: Box<[u8]>,
}

/// What one call of [`Link::receive`] found.
#[derive(Debug)]
pub struct Piece<'r> {
    /// Plain bytes.
    pub bytes: &'r [u8],
    /// There may be more to read now.
    pub more: bool,
    /// Nothing more will ever come.
    pub end: bool,
}

impl Room {
    pub fn new() -> Self {
        let wire = vec![0; FILLER.len()].into_boxed_slice();
        let plain = vec![0; FILLER.len() + RECORD].into_boxed_slice();
        Self { wire, plain }
    }
}

impl Link {
    /// Begins to connect. May be written to at once.
    pub fn connect(to: SocketAddr, tls: Option<ClientConnection>) -> io::Result<Self> {
        Ok(Self::new(TcpStream::connect(to)?, tls))
    }

    pub fn new(stream: TcpStream, tls: Option<ClientConnection>) -> Self {
        // Refused only for a socket that is broken, which the first use will say.
        let _ = stream.set_nodelay(true);
        Self { stream, tls: tls.map(Box::new), out: Vec::new(), filler: 0 }
    }

    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.stream)
    }

    /// The TLS session, if there is one.
    pub fn tls(&self) -> Option<&ClientConnection> {
        self.tls.as_deref()
    }

    /// Sends `out`, and then a body of `filler` bytes.
    pub fn send(&mut self, filler: usize) -> io::Result<()> {
        self.filler += filler;
        self.flush()
    }

    /// Whether nothing waits to be sent.
    pub fn is_flushed(&self) -> bool {
        self.out.is_empty() && self.filler == 0
    }

    /// Sends what the socket takes.
    pub fn flush(&mut self) -> io::Result<()> {
        let Self { stream, tls, out, filler } = self;
        loop {
            let writing = match tls {
                Some(tls) => {
                    let taken = match out.is_empty() {
                        false => tls.writer().write(out)?,
                        true => tls.writer().write(&FILLER[..FILLER.len().min(*filler)])?,
                    };
                    sent(out, filler, taken);
                    match tls.wants_write() {
                        true => tls.write_tls(stream).map(|_| ()),
                        // A handshake that waits for the other side takes no more.
                        false => return Ok(()),
                    }
                }
                None if out.is_empty() && *filler == 0 => return Ok(()),
                None if out.is_empty() => {
                    stream.write(&FILLER[..FILLER.len().min(*filler)]).map(|taken| sent(out, filler, taken))
                }
                None if *filler == 0 => stream.write(out).map(|taken| sent(out, filler, taken)),
                None => {
                    let pieces =
                        [io::IoSlice::new(out), io::IoSlice::new(&FILLER[..FILLER.len().min(*filler)])];
                    stream.write_vectored(&pieces).map(|taken| sent(out, filler, taken))
                }
            };
            match writing {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
    }

    /// Reads once. In TLS answers what has to be answered, too.
    pub fn receive<'r>(&mut self, room: &'r mut Room) -> io::Result<Piece<'r>> {
        let size = loop {
            match self.stream.read(&mut room.wire) {
                Ok(size) => break size,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Piece { bytes: &[], more: false, end: false });
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        let (more, mut end) = (size == room.wire.len(), size == 0);
        let Some(tls) = &mut self.tls else { return Ok(Piece { bytes: &room.wire[..size], more, end }) };
        let mut wire = &room.wire[..size];
        let mut filled = 0;
        while !wire.is_empty() && !end {
            tls.read_tls(&mut wire)?;
            tls.process_new_packets().map_err(io::Error::other)?;
            loop {
                match tls.reader().read(&mut room.plain[filled..]) {
                    Ok(0) => break end = true,
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        if !end {
            self.flush()?;
        }
        Ok(Piece { bytes: &room.plain[..filled], more, end })
    }

    /// Says goodbye where the protocol has a word for it.
    pub fn close(mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // Nobody waits for it.
            let _ = tls.write_tls(&mut self.stream);
        }
    }
}

/// Whether the other side has ended the connection.
pub fn has_ended(event: &Event) -> bool {
    event.is_read_closed() || event.is_error()
}

/// Takes what was sent off what is to be sent.
fn sent(out: &mut Vec<u8>, filler: &mut usize, taken: usize) {
    let head = taken.min(out.len());
    out.drain(..head);
    *filler -= taken - head;
}
