//! News: what gateways tell each other through Redis.
//!
//! Comes in: messages on a channel. Goes out: what others did. Scripts publish what they do, in the same step. Never tells
//! anybody what they did themselves, never leaves a gap unsaid.

use redis::aio::MultiplexedConnection;
use redis::{Msg, PushInfo, PushKind};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval, sleep};

use super::link::{LASTING, Link, chance, pause};
use super::servers::Servers;
use crate::session::id::Digest;
use crate::session::record::EndReason;
use crate::session::store::{Listener, News};

/// How often the line is tried: one that is dead must be known to be so soon enough.
const EVERY: Duration = Duration::from_millis(500);

/// What a change is called; all others are reasons of ends.
const CHANGED: &str = "changed";

/// A message: who says it, of which session, and what happened.
pub(super) fn letter(sender: &str, digest: Digest, reason: Option<EndReason>) -> String {
    format!("{sender} {} {}", digest.to_hex(), reason.map_or(CHANGED, EndReason::as_str))
}

/// What a message says, unless it is one's own.
fn read_letter(text: &[u8], own: &str) -> Option<News> {
    let mut words = std::str::from_utf8(text).ok()?.split(' ');
    let (sender, digest, what) = (words.next()?, Digest::from_hex(words.next()?)?, words.next()?);
    if sender == own {
        return None;
    }
    Some(if what == CHANGED { News::Changed(digest) } else { News::Ended(digest, EndReason::named(what)) })
}

/// Hears what others say, until it is no longer polled. Each time it has begun, something may have been missed before.
pub(super) async fn hear(link: &Link, channel: &str, own: &str, listener: &Listener) {
    let (servers, mut failures) = (link.servers(), 0);
    loop {
        let (send, heard) = unbounded_channel();
        match servers.listen(channel, send).await {
            Ok(connection) => {
                let since = Instant::now();
                // Whoever forgets what may be old will ask at once.
                link.hurry();
                listener(News::Missed);
                follow(servers, connection, heard, own, listener).await;
                if since.elapsed() > LASTING {
                    failures = 0;
                }
                tracing::debug!("the line to the session store's news was cut");
            }
            Err(error) => {
                tracing::debug!(%error, "no news from the session store");
            }
        }
        failures += 1;
        sleep(pause(failures, chance())).await;
    }
}

/// Listens on one connection until it is cut.
async fn follow(
    servers: &Servers,
    mut connection: MultiplexedConnection,
    mut heard: UnboundedReceiver<PushInfo>,
    own: &str,
    listener: &Listener,
) {
    let mut trials = interval(EVERY);
    trials.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            push = heard.recv() => match push {
                None => return,
                Some(push) if push.kind == PushKind::Disconnection => return,
                Some(push) => {
                    let message = Msg::from_push_info(push);
                    if let Some(news) = message.and_then(|message| read_letter(message.get_payload_bytes(), own)) {
                        listener(news);
                    }
                }
            },
            _ = trials.tick() => {
                if !servers.is_good(&mut connection).await {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::id::SessionId;

    #[test]
    fn a_letter_says_what_happened_to_all_but_its_sender() {
        let digest = SessionId::mint().digest();
        let changed = letter("a1", digest, None);
        assert_eq!(read_letter(changed.as_bytes(), "b2"), Some(News::Changed(digest)));
        assert_eq!(read_letter(changed.as_bytes(), "a1"), None);
        let ended = letter("a1", digest, Some(EndReason::Theft));
        assert_eq!(read_letter(ended.as_bytes(), "b2"), Some(News::Ended(digest, EndReason::Theft)));
        for strange in ["", "a1", "a1 00", "a1 00 theft", "\u{0}"] {
            assert_eq!(read_letter(strange.as_bytes(), "b2"), None, "{strange}");
        }
    }
}
