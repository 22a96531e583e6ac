//! A client that sends whatever bytes it is told to.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::{Message, Reader};

/// One connection to the gateway.
pub struct Raw {
    reader: Reader,
}

impl Raw {
    /// Connects.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        Self { reader: Reader::new(stream, |_| {}) }
    }

    /// Connects with so small a buffer that the gateway must wait for whoever reads.
    #[track_caller]
    pub fn connect_narrow(address: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.expect("a socket");
        socket.set_recv_buffer_size(16 * 1024).expect("it is TCP");
        socket.connect(&address.into()).expect("the gateway listens");
        Self { reader: Reader::new(socket.into(), |_| {}) }
    }

    /// Sends a request on a connection of its own, and reads the response.
    #[track_caller]
    pub fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Message {
        let mut client = Self::connect(address);
        let request = request.as_ref();
        client.send(request);
        client.response_to(if request.starts_with(b"HEAD ") { "HEAD" } else { "GET" })
    }

    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the gateway takes it");
    }

    /// Sends bytes to a gateway that may have closed already.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.reader.stream.write_all(bytes.as_ref())
    }

    /// The next response, to a GET.
    #[track_caller]
    pub fn response(&mut self) -> Message {
        self.response_to("GET")
    }

    /// The next response, interim ones passed over.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Message {
        loop {
            let head = self.head();
            if !matches!(head.status, 100 | 102..200) {
                return self.reader.body(head, Some(method));
            }
        }
    }

    /// The head of the next response, interim or not; its body, if any, is still to be read.
    #[track_caller]
    pub fn head(&mut self) -> Message {
        self.reader.head().expect("the gateway answers before it closes")
    }

    /// The body that belongs to a head.
    #[track_caller]
    pub fn body(&mut self, head: Message) -> Message {
        self.reader.body(head, Some("GET"))
    }

    /// Exactly so many bytes; fewer at the end of the connection.
    #[track_caller]
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        self.reader.exactly(count).unwrap_or_else(|| std::mem::take(&mut self.reader.buffer))
    }

    /// Everything until the gateway closes.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        self.reader.rest()
    }

    /// Waits until the gateway closes; panics if it sends anything more, or keeps the connection.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "more came: {:?}", String::from_utf8_lossy(&rest));
    }

    /// Waits for the end of the connection; whether it was a reset, which says that something is missing.
    #[track_caller]
    pub fn expect_reset(&mut self) -> bool {
        self.reader.rest();
        self.reader.was_reset
    }

    /// Closes the sending side.
    pub fn half_close(&self) {
        self.reader.stream.shutdown(Shutdown::Write).expect("it is open");
    }

    /// Resets the connection.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.reader.stream);
        socket.set_linger(Some(std::time::Duration::ZERO)).expect("it is TCP");
    }

    /// Whether something has arrived that has not been read.
    pub fn has_something(&self) -> bool {
        let socket = &self.reader.stream;
        socket.set_nonblocking(true).expect("it is open");
        let arrived = socket.peek(&mut [0]).is_ok();
        socket.set_nonblocking(false).expect("it is open");
        arrived
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.reader.stream
    }
}
