//! HTTP/1 messages read from a socket, by a reader of the tests' own that shares no code with the gateway.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;

/// One message as it came.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// First line and fields with their line ends, and the empty line.
    pub head: String,
    /// The status; 0 for a request.
    pub status: u16,
    /// The body, freed from chunks.
    pub body: Vec<u8>,
    /// The trailer section as it came.
    pub trailers: String,
    /// The sizes of the chunks it came in.
    pub chunks: Vec<usize>,
    /// Every byte as it came.
    pub raw: Vec<u8>,
    /// Whether it ended as it said it would.
    pub complete: bool,
    /// On which connection it came, counted from zero.
    pub connection: usize,
}

impl Message {
    /// The first line.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// A request's method.
    pub fn method(&self) -> &str {
        self.line().split(' ').next().unwrap_or_default()
    }

    /// A request's target.
    pub fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or_default()
    }

    /// All fields in order: name as spelled, value.
    pub fn fields(&self) -> Vec<(&str, &str)> {
        let lines = self.head.split("\r\n").skip(1);
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim())).collect()
    }

    /// The values of every field of this name.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let found = self.fields().into_iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value).collect()
    }

    /// The value of the only field of this name.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.headers(name);
        assert!(values.len() < 2, "{name} came {} times:\n{}", values.len(), self.head);
        values.first().copied()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// Is told of every byte.
type Log = Box<dyn FnMut(&[u8]) + Send>;

/// Reads messages from a connection.
pub struct Reader {
    pub stream: TcpStream,
    pub buffer: Vec<u8>,
    /// Whether the connection has ended in an error.
    pub was_reset: bool,
    log: Log,
}

impl Reader {
    /// A reader that tells `log` of every byte.
    pub fn new(stream: TcpStream, log: impl FnMut(&[u8]) + Send + 'static) -> Self {
        stream.set_read_timeout(Some(super::PATIENCE)).expect("it is not zero");
        stream.set_write_timeout(Some(super::PATIENCE)).expect("it is not zero");
        stream.set_nodelay(true).expect("it is TCP");
        Self { stream, buffer: Vec::new(), was_reset: false, log: Box::new(log) }
    }

    /// Reads more: false at the end of the connection, however it ended.
    #[track_caller]
    pub fn more(&mut self) -> bool {
        let mut piece = vec![0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(count) => {
                (self.log)(&piece[..count]);
                self.buffer.extend_from_slice(&piece[..count]);
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let shown = &self.buffer[..self.buffer.len().min(500)];
                let (count, shown) = (self.buffer.len(), shown.escape_ascii());
                panic!("nothing came for too long, after {count} bytes: {shown}");
            }
            Err(_) => {
                self.was_reset = true;
                false
            }
        }
    }

    /// Exactly so many bytes.
    #[track_caller]
    pub fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.more() {
                return None;
            }
        }
        Some(self.buffer.drain(..count).collect())
    }

    /// Bytes up to and with this end.
    #[track_caller]
    pub fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|found| found == end) {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// Everything up to the end of the connection.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.buffer)
    }

    /// The head of the next message; `None` when the connection ends before.
    #[track_caller]
    pub fn head(&mut self) -> Option<Message> {
        let raw = self.until(b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&raw).into_owned();
        let status = match head.strip_prefix("HTTP/1.") {
            Some(rest) => rest.get(2..5).and_then(|digits| digits.parse().ok()).unwrap_or(0),
            None => 0,
        };
        Some(Message { head, status, raw, ..Message::default() })
    }

    /// The body that belongs to a head. `to_method` is that of the request, for a response.
    #[track_caller]
    pub fn body(&mut self, mut message: Message, to_method: Option<&str>) -> Message {
        let bodiless = message.status != 0
            && (to_method == Some("HEAD") || matches!(message.status, 100..200 | 204 | 304));
        let chunked = message.header("transfer-encoding").is_some_and(|coding| coding == "chunked");
        let length: Option<usize> =
            message.header("content-length").map(|text| text.parse().expect("digits"));
        message.complete = match (bodiless, chunked, length) {
            (true, ..) => true,
            (false, true, _) => self.chunks(&mut message).is_some(),
            (false, false, Some(length)) => self.piece(&mut message, length).is_some(),
            (false, false, None) if message.status == 0 => true,
            (false, false, None) => {
                let rest = self.rest();
                message.raw.extend_from_slice(&rest);
                message.body.extend_from_slice(&rest);
                true
            }
        };
        message
    }

    #[track_caller]
    fn chunks(&mut self, message: &mut Message) -> Option<()> {
        loop {
            let line = self.until(b"\r\n")?;
            message.raw.extend_from_slice(&line);
            let text = String::from_utf8_lossy(&line);
            let digits = text.trim_end().split(';').next().unwrap_or_default();
            let size =
                usize::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("odd chunk size {text:?}"));
            if size == 0 {
                break;
            }
            message.chunks.push(size);
            self.piece(message, size)?;
            let end = self.exactly(2)?;
            assert_eq!(end, b"\r\n");
            message.raw.extend_from_slice(&end);
        }
        loop {
            let line = self.until(b"\r\n")?;
            message.raw.extend_from_slice(&line);
            if line == b"\r\n" {
                return Some(());
            }
            message.trailers.push_str(&String::from_utf8_lossy(&line));
        }
    }

    /// Part of a body; what is there of it when the connection ends.
    #[track_caller]
    fn piece(&mut self, message: &mut Message, length: usize) -> Option<()> {
        let piece = self.exactly(length);
        let bytes = match &piece {
            Some(bytes) => bytes.clone(),
            None => std::mem::take(&mut self.buffer),
        };
        message.raw.extend_from_slice(&bytes);
        message.body.extend_from_slice(&bytes);
        piece.map(|_| ())
    }
}
