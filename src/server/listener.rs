//! Listener: sockets that clients come in by, and what happens to a client before its first request.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, Protocol, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;

use super::crowd::Seat;
use super::http1::Connection;
use super::tls::{self, Tls};
use super::worker::{Busy, Worker};
use super::{ListenAddress, ListenerSettings, http2};
use crate::gateway::refusal::Refusal;
use crate::peer::{Certificate, Peer, Scheme};
use crate::stream::Stream;
use crate::wire::WireError;
use crate::wire::receive::Receiver;

/// A listener's settings, ready to use.
#[derive(Debug)]
pub struct Door {
    /// Where.
    pub address: ListenAddress,
    tls: Option<Tls>,
    redirect_to_https: bool,
}

impl Door {
    /// Reads certificates and keys.
    pub fn new(settings: &ListenerSettings) -> Result<Self, tls::TlsError> {
        let tls = settings.tls.as_ref().map(Tls::new).transpose()?;
        Ok(Self { address: settings.address.clone(), tls, redirect_to_https: settings.redirect_to_https })
    }
}

/// A bound socket.
#[derive(Debug)]
pub enum Socket {
    /// TCP; each worker has its own on the same port.
    Tcp(StdTcpListener),
    /// A Unix socket, shared by all workers.
    Unix(StdUnixListener),
}

/// Longest queue of connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// Clients beyond the cap that are told so at the same time; more are closed without a word.
const AT_THE_DOOR: usize = 64;
/// Pause after the system had no descriptors left: short enough to recover at once, long enough not to spin.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

/// Binds one socket for each worker. `ours` are addresses this process listens on already.
pub fn bind(address: &ListenAddress, workers: usize, ours: &[SocketAddr]) -> io::Result<Vec<Socket>> {
    match address {
        ListenAddress::Tcp(address) => {
            if !ours.contains(address) {
                refuse_shared(*address)?;
            }
            let first = bind_tcp(*address)?;
            let bound = first.local_addr()?;
            let others = (1..workers).map(|_| bind_tcp(bound));
            std::iter::once(Ok(first)).chain(others).map(|socket| socket.map(Socket::Tcp)).collect()
        }
        ListenAddress::Unix(path) => {
            remove_stale(path)?;
            let listener = StdUnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            (0..workers).map(|_| listener.try_clone().map(Socket::Unix)).collect()
        }
    }
}

/// Workers share a port, and so could two processes, which would split visitors between them. So the address is first
/// taken without sharing, which fails while anybody listens there.
fn refuse_shared(address: SocketAddr) -> io::Result<()> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

fn bind_tcp(address: SocketAddr) -> io::Result<StdTcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    // Connections have this from their listener.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket file that nobody listens on any more is in the way of a new one.
fn remove_stale(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listening {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        match self {
            Listening::Tcp(listener) => {
                listener.poll_accept(cx).map_ok(|(stream, address)| Accepted::Tcp(stream, address))
            }
            Listening::Unix(listener) => {
                listener.poll_accept(cx).map_ok(|(stream, _)| Accepted::Unix(stream))
            }
        }
    }

    fn port(&self) -> Option<u16> {
        match self {
            Listening::Tcp(listener) => listener.local_addr().ok().map(|address| address.port()),
            Listening::Unix(_) => None,
        }
    }

    /// Whoever waits at the socket right now, whether the runtime has heard of them or not; then it is closed.
    fn last_round(self) -> Vec<Accepted> {
        let mut accepted = Vec::new();
        match self {
            Listening::Tcp(listener) => {
                let Ok(socket) = listener.into_std() else { return accepted };
                while let Ok((stream, remote)) = socket.accept() {
                    let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                    accepted.extend(stream.map(|stream| Accepted::Tcp(stream, remote)));
                }
            }
            Listening::Unix(listener) => {
                let Ok(socket) = listener.into_std() else { return accepted };
                while let Ok((stream, _)) = socket.accept() {
                    let stream = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
                    accepted.extend(stream.map(Accepted::Unix));
                }
            }
        }
        accepted
    }
}

/// Takes clients in until the worker stops or the listener is no longer configured.
pub async fn accept(worker: Rc<Worker>, socket: Socket, door: watch::Receiver<Arc<Door>>) {
    let listening = match socket {
        Socket::Tcp(socket) => TcpListener::from_std(socket).map(Listening::Tcp),
        Socket::Unix(socket) => UnixListener::from_std(socket).map(Listening::Unix),
    };
    let listening = match listening {
        Ok(listening) => listening,
        Err(error) => return tracing::error!("a listener could not start: {error}"),
    };
    let (port, mut complaining) = (listening.port(), false);
    let mut settings = door.clone();
    let closed = async move { while settings.changed().await.is_ok() {} };
    let (mut draining, mut closed) = (pin!(worker.draining()), pin!(closed));
    loop {
        // Whoever was waiting at the door when it closes is still let in: the last round of a worker that stops, or of
        // a listener that is no longer configured.
        let accepted = std::future::poll_fn(|cx| match listening.poll_accept(cx) {
            Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
            Poll::Pending if closed.as_mut().poll(cx).is_ready() => Poll::Ready(None),
            Poll::Pending => draining.as_mut().poll(cx).map(|()| None),
        });
        let Some(accepted) = accepted.await else { break };
        match accepted {
            Ok(accepted) => {
                complaining = false;
                welcome(&worker, accepted, port, door.borrow().clone());
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut complaining, true) {
                    tracing::error!("no connection can be accepted: {error}");
                }
                tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
            }
        }
    }
    for accepted in listening.last_round() {
        welcome(&worker, accepted, port, door.borrow().clone());
    }
}

/// Errors of a connection that went away before it was accepted, not of the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn welcome(worker: &Rc<Worker>, stream: Accepted, local_port: Option<u16>, door: Arc<Door>) {
    let scheme = if door.tls.is_some() { Scheme::Https } else { Scheme::Http };
    let remote = match stream {
        Accepted::Tcp(_, remote) => Some(remote),
        Accepted::Unix(_) => None,
    };
    let peer = Peer { remote, local_port, scheme, certificate: None };
    let gateway = worker.gateway();
    let limits = &gateway.settings().limits;
    let seat = worker.crowd().enter(peer.ip(), limits.connections, limits.connections_per_ip);
    let Some(seat) = seat else {
        let at_the_door = worker.crowd().enter(None, limits.connections + AT_THE_DOOR, 0);
        let host = worker.clone();
        return match at_the_door {
            Some(seat) => worker.spawn(|busy| turn_away(host, stream, peer, door, seat, busy)),
            None => drop(gateway.unreadable(&Refusal::Crowded, &peer, http::Version::HTTP_11)),
        };
    };
    let host = worker.clone();
    worker.spawn(|busy| serve(host, stream, peer, door, seat, busy));
}

fn accepted_stream(accepted: Accepted) -> Stream {
    match accepted {
        Accepted::Tcp(stream, _) => Stream::Tcp(stream),
        Accepted::Unix(stream) => Stream::Unix(stream),
    }
}

/// Says that the house is full; over TLS that would cost more than letting the client in.
async fn turn_away(
    worker: Rc<Worker>,
    accepted: Accepted,
    peer: Peer,
    door: Arc<Door>,
    _seat: Seat,
    busy: Busy,
) {
    let gateway = worker.gateway();
    if door.tls.is_some() {
        drop(gateway.unreadable(&Refusal::Crowded, &peer, http::Version::HTTP_11));
        return;
    }
    let stream = accepted_stream(accepted);
    Connection::new(stream, Receiver::new(Bytes::new()), Rc::new(peer), worker, busy).turn_away().await;
}

/// Each phase has its own allocation, so that a connection that waits holds little.
async fn serve(
    worker: Rc<Worker>,
    accepted: Accepted,
    mut peer: Peer,
    door: Arc<Door>,
    seat: Seat,
    busy: Busy,
) {
    let _seat = seat;
    let redirect = door.redirect_to_https;
    let patience = worker.gateway().settings().timeouts.header;
    let begun = Box::pin(within(patience, begin(accepted, door))).await;
    if let Some((stream, ..)) = &begun {
        peer.certificate = stream.client_certificate().map(Certificate::verified);
    }
    let serving: Pin<Box<dyn Future<Output = ()>>> = match begun {
        None => return,
        Some((stream, mut receiver, true)) => {
            let start = receiver.take_buffered();
            Box::pin(http2::serve(stream, start, Rc::new(peer), worker, busy, redirect))
        }
        Some((stream, receiver, false)) => Box::pin(
            Connection::new(stream, receiver, Rc::new(peer), worker, busy)
                .redirecting_to_https(redirect)
                .serve(),
        ),
    };
    serving.await;
}

/// What a connection carries, what has been read of it, and whether that is HTTP/2.
async fn begin(accepted: Accepted, door: Arc<Door>) -> Option<(Stream, Receiver, bool)> {
    let mut receiver = Receiver::new(Bytes::new());
    match (&door.tls, accepted) {
        (Some(tls), Accepted::Tcp(stream, _)) => {
            let accepting = tls.accept(stream).await;
            let stream =
                accepting.inspect_err(|error| tracing::debug!("TLS handshake failed: {error}")).ok()?;
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Some((Stream::Tls(Box::new(stream.into())), receiver, is_http2))
        }
        (_, accepted) => {
            let mut stream = accepted_stream(accepted);
            let is_http2 = is_http2(&mut stream, &mut receiver).await.ok()?;
            Some((stream, receiver, is_http2))
        }
    }
}

async fn within<T>(longest: Duration, work: impl Future<Output = Option<T>>) -> Option<T> {
    if longest.is_zero() { work.await } else { tokio::time::timeout(longest, work).await.ok().flatten() }
}

/// Whether the client begins with HTTP/2's preface (prior knowledge, RFC 9113, section 3.3).
async fn is_http2(stream: &mut Stream, receiver: &mut Receiver) -> Result<bool, WireError> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    loop {
        let buffered = receiver.buffered();
        let same = buffered.iter().zip(PREFACE).take_while(|(a, b)| a == b).count();
        if same == PREFACE.len() {
            return Ok(true);
        }
        if same < buffered.len() {
            return Ok(false);
        }
        if std::future::poll_fn(|cx| receiver.poll_fill(cx, stream)).await? == 0 {
            return Ok(false);
        }
    }
}
