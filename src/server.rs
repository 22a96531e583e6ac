//! Server: workers, their listeners, and the connections on them.
//!
//! Comes in: settings. Goes out: running threads that can be given a new configuration and told to stop. Never looks
//! into a request: that is the gateway's.

pub mod crowd;
mod http1;
mod http2;
mod listener;
pub mod tls;
mod tunnel;
mod worker;

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::gateway::settings::Settings;
use crowd::Crowd;
use listener::{Door, Socket};
use worker::{Command, Handle};

/// One entry of `listen:`.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// Where to listen.
    pub address: ListenAddress,
    /// With TLS, if given.
    pub tls: Option<TlsSettings>,
    /// Answer every request with a redirect to https.
    pub redirect_to_https: bool,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// A path in the file system.
    Unix(PathBuf),
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(f),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// TLS of a listener.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Certificate chain and key files (PEM), at least one; the first serves clients that name no host.
    pub certificates: Vec<(PathBuf, PathBuf)>,
    /// Only TLS 1.3 (`min_version: "1.3"`); otherwise 1.2 as well.
    pub only_tls13: bool,
    /// Clients are asked for certificates.
    pub clients: Option<ClientCertificates>,
}

/// Which certificates clients may show.
#[derive(Clone, Debug)]
pub struct ClientCertificates {
    /// File with the authorities they must come from (PEM).
    pub ca: PathBuf,
    /// Nobody gets in without one.
    pub required: bool,
}

/// Why the server cannot start, or cannot go on with a new configuration.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {0}: {1}")]
    Bind(ListenAddress, io::Error),
    /// A certificate or key cannot be used.
    #[error("cannot use TLS on {0}: {1}")]
    Tls(ListenAddress, tls::TlsError),
    /// No thread could be started.
    #[error("cannot start a worker: {0}")]
    Thread(io::Error),
}

/// Running workers.
pub struct Server {
    workers: Vec<Handle>,
    bound: HashSet<ListenAddress>,
    addresses: Vec<SocketAddr>,
}

impl Server {
    /// Binds every listener, then starts the workers: either all is up, or nothing was started.
    pub fn start(
        workers: usize,
        listeners: &[ListenerSettings],
        settings: &Arc<Settings>,
    ) -> Result<Self, ServerError> {
        let crowd = Arc::new(Crowd::default());
        let doors = doors(listeners)?;
        let mut sockets = bind(&doors, workers, &HashSet::new(), &[])?;
        let addresses =
            sockets[..].iter().flatten().filter_map(|sockets| address_of(sockets.first()?)).collect();
        let start = |number| {
            let mine = doors
                .iter()
                .zip(&mut sockets)
                .map(|(door, sockets)| (sockets.as_mut().and_then(Vec::pop), door.clone()));
            Handle::start(number, settings.clone(), mine.collect(), crowd.clone())
        };
        let workers = (0..workers).map(start).collect::<Result<_, _>>()?;
        Ok(Self { workers, bound: addresses_of(&doors), addresses })
    }

    /// Goes on with a new configuration. Listeners that stay keep their sockets, connections stay open; on any error
    /// nothing has changed.
    pub fn reload(
        &mut self,
        listeners: &[ListenerSettings],
        settings: &Arc<Settings>,
    ) -> Result<(), ServerError> {
        let doors = doors(listeners)?;
        let mut sockets = bind(&doors, self.workers.len(), &self.bound, &self.addresses)?;
        self.addresses.extend(first_addresses(&sockets));
        for worker in &self.workers {
            let mine = doors
                .iter()
                .zip(&mut sockets)
                .map(|(door, sockets)| (sockets.as_mut().and_then(Vec::pop), door.clone()));
            worker.tell(Command::Reload(settings.clone(), mine.collect()));
        }
        let bound = addresses_of(&doors);
        self.bound.difference(&bound).for_each(remove_file);
        self.bound = bound;
        Ok(())
    }

    /// The TCP addresses bound so far, with the ports that were chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Every listener that is open, as configured.
    pub fn listeners(&self) -> impl Iterator<Item = &ListenAddress> {
        self.bound.iter()
    }

    /// Stops accepting, lets requests under way finish within `longest` (zero: as long as they need), and ends.
    pub fn stop(self, longest: Duration) {
        self.workers.iter().for_each(|worker| worker.tell(Command::Drain(longest)));
        self.workers.into_iter().for_each(Handle::join);
        self.bound.iter().for_each(remove_file);
    }
}

/// A Unix socket that nobody listens on any more leaves no file behind.
fn remove_file(address: &ListenAddress) {
    if let ListenAddress::Unix(path) = address {
        let _ = std::fs::remove_file(path);
    }
}

fn doors(listeners: &[ListenerSettings]) -> Result<Vec<Arc<Door>>, ServerError> {
    let door = |settings: &ListenerSettings| {
        Door::new(settings).map(Arc::new).map_err(|error| ServerError::Tls(settings.address.clone(), error))
    };
    listeners.iter().map(door).collect()
}

/// Sockets for every door that is not open yet, one for each worker.
fn bind(
    doors: &[Arc<Door>],
    workers: usize,
    open: &HashSet<ListenAddress>,
    ours: &[SocketAddr],
) -> Result<Vec<Option<Vec<Socket>>>, ServerError> {
    let bind = |door: &Arc<Door>| {
        if open.contains(&door.address) {
            return Ok(None);
        }
        let sockets = listener::bind(&door.address, workers, ours);
        sockets.map(Some).map_err(|error| ServerError::Bind(door.address.clone(), error))
    };
    doors.iter().map(bind).collect()
}

fn addresses_of(doors: &[Arc<Door>]) -> HashSet<ListenAddress> {
    doors.iter().map(|door| door.address.clone()).collect()
}

/// Where new TCP listeners ended up.
fn first_addresses(sockets: &[Option<Vec<Socket>>]) -> Vec<SocketAddr> {
    sockets.iter().flatten().filter_map(|sockets| address_of(sockets.first()?)).collect()
}

fn address_of(socket: &Socket) -> Option<SocketAddr> {
    match socket {
        Socket::Tcp(socket) => socket.local_addr().ok(),
        Socket::Unix(_) => None,
    }
}
