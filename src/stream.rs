//! Stream: a connection's bytes, whatever carries them: TCP, a Unix socket, TLS over either end.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

/// One connection.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over TCP, either end of it.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Whether the other side has closed or reset the connection, or sent something nobody asked for.
    /// Asks the socket itself where it can, so what has arrived is seen at once.
    pub fn is_stale(&self) -> bool {
        let reference = match self {
            Stream::Tcp(stream) => socket2::SockRef::from(stream),
            Stream::Tls(stream) if !stream.get_ref().1.wants_read() => return true,
            Stream::Tls(stream) => socket2::SockRef::from(stream.get_ref().0),
            Stream::Unix(stream) => socket2::SockRef::from(stream),
        };
        let mut byte = [std::mem::MaybeUninit::uninit()];
        !would_block(reference.peek(&mut byte))
    }

    /// The certificate that a client showed, as DER, where it was asked for one and its chain is trusted. A resumed
    /// connection has that of the one before.
    pub fn client_certificate(&self) -> Option<&[u8]> {
        let Stream::Tls(stream) = self else { return None };
        let TlsStream::Server(stream) = &**stream else { return None };
        stream.get_ref().1.peer_certificates()?.first().map(|certificate| &**certificate)
    }

    /// The same as far as the runtime has heard, which costs no system call. What has arrived may be lost: only a
    /// connection of which this is false can be used.
    pub fn has_news(&self) -> bool {
        let read = match self {
            Stream::Tcp(stream) => stream.try_read(&mut [0]),
            // Something has been read and decrypted already, or the server has said goodbye.
            Stream::Tls(stream) if !stream.get_ref().1.wants_read() => return true,
            Stream::Tls(stream) => stream.get_ref().0.try_read(&mut [0]),
            Stream::Unix(stream) => stream.try_read(&mut [0]),
        };
        !would_block(read)
    }

    /// Lets the other side see a reset instead of an orderly end, once this is dropped.
    pub fn reset_when_dropped(&self) {
        let socket = match self {
            Stream::Tcp(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
            Stream::Unix(_) => return,
        };
        let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
    }
}

fn would_block(read: io::Result<usize>) -> bool {
    matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(_) | Stream::Unix(_) => Poll::Ready(Ok(())),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
