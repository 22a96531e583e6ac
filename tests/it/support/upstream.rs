//! An application behind the gateway: says what it saw, or whatever a test has it say.
//!
//! One thread for each connection, plain blocking sockets, no code of the gateway's.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::{Message, PATIENCE, Reader, wait_until};

/// A server that keeps every byte it was sent; it stops when dropped.
pub struct EchoUpstream {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Message>>,
    news: Condvar,
    raw: Mutex<Vec<Vec<u8>>>,
    streams: Mutex<Vec<TcpStream>>,
    accepted: AtomicUsize,
    ended: AtomicUsize,
    stopped: AtomicBool,
}

impl EchoUpstream {
    /// Answers every request with its head and body as plain text.
    pub fn start() -> Self {
        Self::speaking(|mut conversation| {
            while let Some(request) = conversation.request() {
                let length = request.raw.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
                );
                let body = if request.method() == "HEAD" { &b""[..] } else { &request.raw };
                if conversation.try_send([head.as_bytes(), body].concat()).is_err() {
                    return;
                }
            }
        })
    }

    /// Answers every whole request with these bytes, and keeps the connection.
    pub fn answering(answer: impl AsRef<[u8]>) -> Self {
        let answer = answer.as_ref().to_vec();
        Self::speaking(
            move |mut conversation| {
                while conversation.request().is_some() && conversation.try_send(&answer).is_ok() {}
            },
        )
    }

    /// Answers one whole request on each connection with these bytes, then closes it.
    pub fn answering_once(answer: impl AsRef<[u8]>) -> Self {
        let answer = answer.as_ref().to_vec();
        Self::speaking(move |mut conversation| {
            if conversation.request().is_some() {
                let _ = conversation.try_send(&answer);
            }
        })
    }

    /// Has every connection dealt with by `speak`, on a thread of its own; when it returns the connection is closed.
    pub fn speaking(speak: impl Fn(Conversation) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        Self::on(listener, address, speak)
    }

    /// The same on an address that is known already, such as that of an upstream that has been stopped.
    pub fn on(
        listener: TcpListener,
        address: SocketAddr,
        speak: impl Fn(Conversation) + Send + Sync + 'static,
    ) -> Self {
        let (seen, speak) = (Arc::<Seen>::default(), Arc::new(speak));
        let shared = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
                shared.raw.lock().expect("whole").push(Vec::new());
                shared.streams.lock().expect("whole").push(stream.try_clone().expect("it is open"));
                let conversation = Conversation::new(stream, number, shared.clone());
                let speak = speak.clone();
                thread::spawn(move || speak(conversation));
            }
        });
        Self { address, seen }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every whole request so far, in the order of their ends.
    pub fn requests(&self) -> Vec<Message> {
        self.seen.requests.lock().expect("whole").clone()
    }

    /// Waits until there have been so many whole requests.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Message> {
        let requests = self.seen.requests.lock().expect("whole");
        let waited = self.seen.news.wait_timeout_while(requests, PATIENCE, |requests| requests.len() < count);
        let (requests, timeout) = waited.expect("whole");
        assert!(!timeout.timed_out(), "only {} of {count} requests came", requests.len());
        requests.clone()
    }

    /// The one request there has been.
    #[track_caller]
    pub fn only_request(&self) -> Message {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{:?}", requests.iter().map(Message::line).collect::<Vec<_>>());
        requests.remove(0)
    }

    /// Every byte that ever came, over all connections, also of requests that were not whole.
    pub fn bytes(&self) -> Vec<u8> {
        self.seen.raw.lock().expect("whole").concat()
    }

    /// How many connections there have been.
    pub fn connections(&self) -> usize {
        self.seen.accepted.load(Ordering::SeqCst)
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.connections() - self.seen.ended.load(Ordering::SeqCst)
    }

    /// Waits until so many connections are open.
    #[track_caller]
    pub fn wait_for_open_connections(&self, count: usize) {
        wait_until("the upstream's open connections", || self.open_connections() == count);
    }
}

impl Drop for EchoUpstream {
    fn drop(&mut self) {
        self.seen.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        for stream in self.seen.streams.lock().expect("whole").iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// One connection from the gateway, as the upstream sees it.
pub struct Conversation {
    reader: Reader,
    number: usize,
    seen: Arc<Seen>,
}

impl Conversation {
    fn new(stream: TcpStream, number: usize, seen: Arc<Seen>) -> Self {
        let log = seen.clone();
        let reader = Reader::new(stream, move |bytes| {
            log.raw.lock().expect("whole")[number].extend_from_slice(bytes);
        });
        // A connection may wait for its next request as long as the test takes.
        reader.stream.set_read_timeout(None).expect("none is fine");
        Self { reader, number, seen }
    }

    /// Which connection this is, counted from zero.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The next whole request; `None` when the connection ends before.
    pub fn request(&mut self) -> Option<Message> {
        let head = self.head()?;
        self.body(head)
    }

    /// The head of the next request.
    pub fn head(&mut self) -> Option<Message> {
        let head = self.reader.head()?;
        Some(Message { connection: self.number, ..head })
    }

    /// The body that belongs to a head; only now the request counts as seen.
    pub fn body(&mut self, head: Message) -> Option<Message> {
        let request = self.reader.body(head, None);
        if !request.complete {
            return None;
        }
        self.seen.requests.lock().expect("whole").push(request.clone());
        self.seen.news.notify_all();
        Some(request)
    }

    /// Exactly so many bytes, for protocols other than HTTP.
    pub fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        self.reader.exactly(count)
    }

    /// Sends bytes; the gateway may have closed already.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.reader.stream.write_all(bytes.as_ref())
    }

    /// Waits until the gateway closes the connection.
    pub fn wait_for_end(&mut self) -> Vec<u8> {
        self.reader.rest()
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.reader.stream
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        let _ = self.reader.stream.shutdown(Shutdown::Both);
        self.seen.ended.fetch_add(1, Ordering::SeqCst);
    }
}
