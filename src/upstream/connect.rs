//! Connect: a new connection to a server.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use rustls_pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::Server;
use crate::deadline::Deadline;
use crate::stream::Stream;
use crate::wire::receive::Receiver;
use crate::wire::transmit::Transmitter;

/// TLS towards a server: what to trust, and the name to verify.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// Trust and client certificate.
    pub config: Arc<rustls::ClientConfig>,
    /// The name to ask for and verify.
    pub name: ServerName<'static>,
}

/// A connection to a server, between requests or under one. It goes from hand to hand in a box of its own.
#[derive(Debug)]
pub struct Connection {
    /// The bytes.
    pub stream: Stream,
    /// What comes in.
    pub receiver: Receiver,
    /// What goes out.
    pub transmitter: Transmitter,
    /// How long the server may make no progress; kept with the connection, so that its timer is set once.
    pub progress: Deadline,
    /// Whether it has carried a request before: the server may be closing it just now.
    pub reused: bool,
}

/// Opens a connection; the caller limits the time.
pub async fn connect(server: &Server, tls: Option<&ServerTls>) -> io::Result<Box<Connection>> {
    let stream = match server {
        Server::Unix(path) => Stream::Unix(UnixStream::connect(path).await?),
        Server::Http(host, port) | Server::Https(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            keep_alive(&stream)?;
            match tls {
                None => Stream::Tcp(stream),
                Some(tls) => {
                    let connector = TlsConnector::from(tls.config.clone());
                    Stream::Tls(Box::new(connector.connect(tls.name.clone(), stream).await?.into()))
                }
            }
        }
    };
    let receiver = Receiver::new(Bytes::new());
    let (transmitter, progress) = (Transmitter::new(), Deadline::default());
    Ok(Box::new(Connection { stream, receiver, transmitter, progress, reused: false }))
}

/// Lets the kernel notice a server that vanished while a long answer or a tunnel was quiet.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let probes = socket2::TcpKeepalive::new().with_time(std::time::Duration::from_secs(60));
    socket2::SockRef::from(stream).set_tcp_keepalive(&probes)
}
