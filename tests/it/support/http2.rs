//! HTTP/2 clients: hyper's for what is well-formed, and one of our own that sends any frame and any field.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Collected, Full, combinators::BoxBody};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::runtime::{Builder, Runtime};

use super::{PATIENCE, Reader};

/// A body of any kind.
pub type AnyBody = BoxBody<Bytes, std::convert::Infallible>;

/// One connection by prior knowledge, blocking.
pub struct Http2 {
    runtime: Runtime,
    sender: SendRequest<AnyBody>,
}

impl Http2 {
    /// Connects.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("it can be built");
        let sender = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(address).await.expect("the gateway listens");
            stream.set_nodelay(true).expect("it is TCP");
            let (sender, connection) =
                handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("it speaks HTTP/2");
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender }
    }

    /// Sends a request and reads the whole response, with its trailers.
    #[track_caller]
    pub fn ask(&mut self, request: Request<AnyBody>) -> Response<Collected<Bytes>> {
        let sender = &mut self.sender;
        let answering = async {
            sender.ready().await.expect("the connection is open");
            let (head, body) = sender.send_request(request).await.expect("an answer").into_parts();
            Response::from_parts(head, body.collect().await.expect("a whole body"))
        };
        let answered = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, answering).await });
        answered.expect("an answer in time")
    }

    /// A GET with these fields.
    #[track_caller]
    pub fn get(&mut self, url: &str, fields: &[(&str, &str)]) -> Response<Collected<Bytes>> {
        self.ask(request("GET", url, fields, whole("")))
    }

    /// For what takes more than one call.
    pub fn parts(&mut self) -> (&Runtime, &mut SendRequest<AnyBody>) {
        (&self.runtime, &mut self.sender)
    }
}

/// A request.
pub fn request(method: &str, url: &str, fields: &[(&str, &str)], body: AnyBody) -> Request<AnyBody> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(body).expect("a valid request")
}

/// A body in one piece; its length is announced.
pub fn whole(body: &str) -> AnyBody {
    Full::new(Bytes::copy_from_slice(body.as_bytes())).boxed()
}

/// A body in pieces, of a length that is not announced, with trailers.
pub fn pieces(pieces: &[&str], trailers: &[(&str, &str)]) -> AnyBody {
    let data = |piece: &&str| http_body::Frame::data(Bytes::copy_from_slice(piece.as_bytes()));
    let mut frames: Vec<_> = pieces.iter().map(data).collect();
    if !trailers.is_empty() {
        let field = |(name, value): &(&str, &str)| {
            let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a valid name");
            (name, value.parse::<http::HeaderValue>().expect("a valid value"))
        };
        frames.push(http_body::Frame::trailers(trailers.iter().map(field).collect()));
    }
    Frames(frames.into_iter()).boxed()
}

/// Frames that are all there already.
struct Frames(std::vec::IntoIter<http_body::Frame<Bytes>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}

/// A connection on which any frame can be sent.
pub struct RawHttp2 {
    reader: Reader,
}

/// A frame as it came (RFC 9113, section 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// How a stream was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// With this status.
    Status(u16),
    /// The stream was reset, with this error code.
    Reset(u32),
    /// The connection was ended, with this error code.
    GoAway(u32),
    /// The connection was closed without a word.
    Closed,
}

impl RawHttp2 {
    /// Connects, sends the preface and settings that keep the gateway from using a dynamic table.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        let mut client = Self { reader: Reader::new(stream, |_| {}) };
        client.send_bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        client.send(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]);
        client
    }

    /// Sends bytes as they are; the gateway may have closed already.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.reader.stream.write_all(bytes);
    }

    /// Sends a frame.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(payload);
        self.send_bytes(&frame);
    }

    /// Sends a whole header block, whatever it says.
    pub fn headers(&mut self, stream: u32, fields: &[(&str, &str)], flags: u8) {
        self.send(HEADERS, flags | END_HEADERS, stream, &block(fields));
    }

    /// The next frame; `None` at the end of the connection.
    #[track_caller]
    pub fn frame(&mut self) -> Option<Frame> {
        let head = self.reader.exactly(9)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let payload = self.reader.exactly(length)?;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Waits until a stream is answered, reset, or its connection ends.
    #[track_caller]
    pub fn answer(&mut self, stream: u32) -> Answered {
        while let Some(frame) = self.frame() {
            match frame.kind {
                SETTINGS if frame.flags == 0 => self.send(SETTINGS, 1, 0, &[]),
                HEADERS if frame.stream == stream => return Answered::Status(status_of(&frame.payload)),
                RST_STREAM if frame.stream == stream => return Answered::Reset(number(&frame.payload)),
                GOAWAY => return Answered::GoAway(number(&frame.payload[4..])),
                _ => {}
            }
        }
        Answered::Closed
    }
}

/// A header block of literals without indexing (RFC 7541, section 6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// A length with a prefix of seven bits (RFC 7541, section 5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return block.push(u8::try_from(length).expect("below 127"));
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).expect("below 128") | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).expect("below 128"));
}

fn number(bytes: &[u8]) -> u32 {
    bytes[..4].iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte))
}

/// `:status`, which comes first: from the static table, or a literal of three digits in Huffman's code.
#[track_caller]
fn status_of(block: &[u8]) -> u16 {
    let start = block.iter().position(|byte| byte & 0xe0 != 0x20).expect("more than a change of the table");
    match block[start..] {
        [index @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(index - 0x88)],
        [_, 0x03, a, b, c, ..] => [a, b, c].iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')),
        [_, 0x82, a, b, ..] => digits(&[a, b]),
        [_, 0x83, a, b, c, ..] => digits(&[a, b, c]),
        _ => panic!("not a status: {block:?}"),
    }
}

/// Three digits in the code of RFC 7541, appendix B: five bits for 0 to 2, six for 3 to 9.
fn digits(bytes: &[u8]) -> u16 {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let five = bits[at..at + 5].iter().fold(0, |sum, bit| sum << 1 | u16::from(*bit));
        let (digit, length) =
            if five < 3 { (five, 5) } else { ((five << 1 | u16::from(bits[at + 5])) - 22, 6) };
        (at, number) = (at + length, number * 10 + digit);
    }
    number
}
