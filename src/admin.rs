//! Admin: the listener for operators, apart from the one for clients.
//!
//! Comes in: `/healthz` (is the process alive?), `/readyz` (does it take requests?) and, from those who may, `/api/v1/`.
//! Goes out: 200 or 503, or what `api` answers. Runs on a thread of its own, so it answers when the workers are busy.
//! Whoever can open the Unix socket may; by TCP it takes the token.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, io};

use arc_swap::{ArcSwap, ArcSwapOption};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::LocalSet;

use crate::clock::Clock;
use crate::session::Sessions;

mod api;

/// `admin:`
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen (default 127.0.0.1:9901).
    pub address: SocketAddr,
    /// A Unix socket as well, for its owner only.
    pub socket: Option<PathBuf>,
    /// The socket was asked for: without it there is no start.
    pub needs_socket: bool,
    /// What takes a client of `/api/v1/` in that comes by TCP.
    pub token: Option<SecretString>,
}

/// What the listener speaks of.
#[derive(Clone, Debug)]
pub struct Subjects {
    /// Whether requests are taken.
    pub readiness: Readiness,
    /// The sessions of the present configuration.
    pub sessions: Arc<ArcSwap<Sessions>>,
    /// What takes a client of the API in that comes by TCP, as configured now.
    pub token: Arc<ArcSwapOption<SecretString>>,
    /// What time it is.
    pub clock: Clock,
}

/// Whether requests are taken.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// From now on they are, or are not.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The running listener; dropping it closes the sockets.
#[derive(Debug)]
pub struct Admin {
    settings: Settings,
    address: SocketAddr,
    _stop: oneshot::Sender<Infallible>,
}

/// Connections at the same time; more wait.
const CONNECTIONS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(10);
/// To end a million sessions takes a while.
const LONGEST: Duration = Duration::from_secs(300);

impl Admin {
    /// Binds the addresses and starts the thread.
    pub fn start(settings: &Settings, subjects: Subjects) -> io::Result<Self> {
        let tcp = TcpListener::bind(settings.address)?;
        tcp.set_nonblocking(true)?;
        let address = tcp.local_addr()?;
        let unix = match settings.socket.as_deref().map(bind).transpose() {
            Err(error) if !settings.needs_socket => {
                let path = settings.socket.as_deref().unwrap_or(Path::new("")).display();
                tracing::warn!(
                    "no socket for operators at {path}: {error}; `admin.socket` names another place"
                );
                None
            }
            bound => bound?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<Infallible>();
        let file = settings.socket.clone().filter(|_| unix.is_some());
        let serve = move || {
            let by_tcp = Rc::new(Desk { subjects: subjects.clone(), by_socket: false });
            let by_socket = Rc::new(Desk { subjects, by_socket: true });
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    _ = stopped => {}
                    () = listen(Listener::tcp(tcp), by_tcp) => {}
                    () = listen(Listener::unix(unix), by_socket) => {}
                }
            });
            if let Some(file) = file {
                let _ = fs::remove_file(file);
            }
        };
        std::thread::Builder::new().name("admin".to_owned()).spawn(serve)?;
        Ok(Self { settings: settings.clone(), address, _stop: stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it listens where these settings ask for.
    pub fn is_at(&self, settings: &Settings) -> bool {
        self.settings.address == settings.address && self.settings.socket == settings.socket
    }
}

/// A socket that only its owner can use. One that a process before has left behind is taken away.
fn bind(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    use std::os::unix::net::{UnixListener, UnixStream};
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    if path.exists() {
        if UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("{} is in use", path.display())));
        }
        fs::remove_file(path)?;
    }
    let socket = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Where clients come in.
enum Listener {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
    Nowhere,
}

impl Listener {
    fn tcp(socket: TcpListener) -> Self {
        tokio::net::TcpListener::from_std(socket).map_or_else(Self::failed, Self::Tcp)
    }

    fn unix(socket: Option<std::os::unix::net::UnixListener>) -> Self {
        let Some(socket) = socket else { return Self::Nowhere };
        tokio::net::UnixListener::from_std(socket).map_or_else(Self::failed, Self::Unix)
    }

    fn failed(error: io::Error) -> Self {
        tracing::error!("the admin listener could not start: {error}");
        Self::Nowhere
    }

    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(socket) => Ok(Stream::Tcp(socket.accept().await?.0)),
            Self::Unix(socket) => Ok(Stream::Unix(socket.accept().await?.0)),
            Self::Nowhere => std::future::pending().await,
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

async fn listen(socket: Listener, desk: Rc<Desk>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        let Ok(stream) = socket.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let desk = desk.clone();
        tokio::task::spawn_local(async move {
            match stream {
                Stream::Tcp(stream) => serve(TokioIo::new(stream), desk).await,
                Stream::Unix(stream) => serve(TokioIo::new(stream), desk).await,
            }
            drop(place);
        });
    }
}

async fn serve(stream: impl hyper::rt::Read + hyper::rt::Write + Unpin, desk: Rc<Desk>) {
    let service = service_fn(|request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(desk.answer(&request).await) }
    });
    let mut http1 = hyper::server::conn::http1::Builder::new();
    http1.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(16 * 1024);
    let _ = tokio::time::timeout(LONGEST, http1.serve_connection(stream, service)).await;
}

/// What answers the clients of one listener.
struct Desk {
    subjects: Subjects,
    by_socket: bool,
}

impl Desk {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let (method, path) = (request.method(), request.uri().path());
        if let Some(path) = path.strip_prefix("/api/v1") {
            let (status, body) = match self.refused(request) {
                Some(refused) => refused,
                None => {
                    let sessions = self.subjects.sessions.load_full();
                    let (query, now) = (request.uri().query().unwrap_or_default(), self.subjects.clock.now());
                    api::answer(&sessions, method, path, query, now).await
                }
            };
            let mut response = respond(status, format!("{body}\n"));
            response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
            response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
            return response;
        }
        let (status, text) = match (method, path) {
            (&Method::GET | &Method::HEAD, "/healthz") => (StatusCode::OK, "ok\n"),
            (&Method::GET | &Method::HEAD, "/readyz") if self.subjects.readiness.get() => {
                (StatusCode::OK, "ready\n")
            }
            (&Method::GET | &Method::HEAD, "/readyz") => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            (_, "/healthz" | "/readyz") => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n"),
            _ => (StatusCode::NOT_FOUND, "try /healthz, /readyz or /api/v1/sessions\n"),
        };
        respond(status, text.to_owned())
    }

    /// Why a request for the API is not answered. A browser is never let in: what a page of another site has it send
    /// would come from this machine, too.
    fn refused(&self, request: &Request<Incoming>) -> Option<(StatusCode, serde_json::Value)> {
        let problem = |status, why: &str| Some((status, serde_json::json!({ "error": why })));
        if request.headers().contains_key("origin") || request.headers().contains_key("sec-fetch-site") {
            return problem(StatusCode::FORBIDDEN, "browsers are not served here");
        }
        if self.by_socket {
            return None;
        }
        let Some(token) = self.subjects.token.load_full() else {
            return problem(
                StatusCode::FORBIDDEN,
                "by TCP this needs `admin.token`; the Unix socket needs none",
            );
        };
        let shown = request.headers().get("authorization").map_or(&b""[..], |value| value.as_bytes());
        let shown = shown.strip_prefix(b"Bearer ").unwrap_or_default();
        let right = verify_slices_are_equal(shown, token.expose_secret().as_bytes()).is_ok();
        if right {
            None
        } else {
            problem(StatusCode::UNAUTHORIZED, "the token is missing or wrong (Authorization: Bearer)")
        }
    }
}

fn respond(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
