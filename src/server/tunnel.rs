//! Tunnel: an upgraded connection, bytes both ways, for as long as its session lives.
//!
//! Comes in: both ends. Goes out: every byte as it came. When the session ends a WebSocket is told so (close code 1008,
//! RFC 6455, section 7.4.1), at the next frame's beginning; when the gateway stops, 1001.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::worker::Worker;
use crate::gateway::record::Record;
use crate::session::record::Session;
use crate::upstream::exchange::Tunnel;
use crate::wire::link::Link;

mod frames;

use frames::Frames;

/// How often it is asked whether the session still lives.
const LOOK: Duration = Duration::from_millis(500);
/// How long one direction may go on when the other has ended.
const LAST_WORD: Duration = Duration::from_secs(2);
const BUFFER: usize = 16 * 1024;

/// Close codes of RFC 6455, section 7.4.1.
const GOING_AWAY: u16 = 1001;
const POLICY_VIOLATION: u16 = 1008;

/// An upgraded connection, ready to carry bytes.
pub struct Upgraded {
    /// The upstream's end.
    pub tunnel: Box<Tunnel>,
    /// Whose it is, if anybody's.
    pub session: Option<Arc<Session>>,
    /// Its line in the access log.
    pub record: Record,
}

impl Upgraded {
    /// Carries bytes until one end closes, the session ends, or the gateway stops.
    pub async fn run(self, mut link: Link, worker: &Worker) {
        let Self { tunnel, session, mut record } = self;
        let early = link.receiver.take_buffered();
        let (client_in, mut client_out) = tokio::io::split(&mut link.stream);
        let Tunnel { stream, start, place: _place } = *tunnel;
        let (upstream_in, upstream_out) = tokio::io::split(stream);
        let mut frames = Frames::default();
        let ended = {
            let down = downwards(upstream_in, &mut client_out, &start, &mut frames, &mut record);
            let up = upwards(client_in, upstream_out, &early);
            tokio::select! {
                () = both(up, down) => None,
                code = end(session.as_ref(), worker) => Some(code),
            }
        };
        if let Some(code) = ended
            && frames.is_boundary()
        {
            let [high, low] = code.to_be_bytes();
            let _ = tokio::time::timeout(LOOK, client_out.write_all(&[0x88, 2, high, low])).await;
        }
        let _ = tokio::time::timeout(LOOK, client_out.shutdown()).await;
    }
}

/// A tunnel is over when one direction has ended and the other had a moment to say its last word.
async fn both(up: impl Future<Output = ()>, down: impl Future<Output = ()>) {
    let (mut up, mut down) = (pin!(up), pin!(down));
    tokio::select! {
        () = &mut up => drop(tokio::time::timeout(LAST_WORD, down).await),
        () = &mut down => drop(tokio::time::timeout(LAST_WORD, up).await),
    }
}

/// Waits until the session has ended or the gateway stops; says with which code to close.
async fn end(session: Option<&Arc<Session>>, worker: &Worker) -> u16 {
    loop {
        tokio::time::sleep(LOOK).await;
        if worker.is_draining() {
            return GOING_AWAY;
        }
        if session.is_some_and(|session| !worker.gateway().is_alive(session)) {
            return POLICY_VIOLATION;
        }
    }
}

async fn upwards(mut client: impl AsyncRead + Unpin, mut upstream: impl AsyncWrite + Unpin, early: &[u8]) {
    let mut buffer = vec![0; BUFFER];
    let mut sent = upstream.write_all(early).await;
    while sent.is_ok() {
        let Ok(count @ 1..) = client.read(&mut buffer).await else { break };
        sent = upstream.write_all(&buffer[..count]).await;
    }
    let _ = upstream.shutdown().await;
}

async fn downwards(
    mut upstream: impl AsyncRead + Unpin,
    client: &mut (impl AsyncWrite + Unpin),
    start: &[u8],
    frames: &mut Frames,
    record: &mut Record,
) {
    let mut buffer = vec![0; BUFFER];
    let mut sent = pass(client, start, frames, record).await;
    while sent.is_ok() {
        let Ok(count @ 1..) = upstream.read(&mut buffer).await else { break };
        sent = pass(client, &buffer[..count], frames, record).await;
    }
    let _ = client.shutdown().await;
}

async fn pass(
    client: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    frames: &mut Frames,
    record: &mut Record,
) -> std::io::Result<()> {
    frames.writing();
    client.write_all(bytes).await?;
    frames.written(bytes);
    record.sent(bytes.len() as u64);
    Ok(())
}
