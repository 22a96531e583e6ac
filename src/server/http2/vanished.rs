//! Vanished: notices a peer that is no longer there, by asking it when nothing has been heard from it.
//!
//! Comes in: word that something was heard. Goes out: PING frames (RFC 9113, section 6.7), and the news that nobody
//! answers.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

const PING_AFTER: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(20);

/// Watches one connection.
pub struct Vanished {
    heard: Rc<Cell<bool>>,
    pings: Option<PingPong>,
    asked: bool,
    timer: Pin<Box<Sleep>>,
}

impl Vanished {
    /// `heard` is set by whoever reads from the connection.
    pub fn new(pings: Option<PingPong>, heard: Rc<Cell<bool>>) -> Self {
        Self { heard, pings, asked: false, timer: Box::pin(sleep(PING_AFTER)) }
    }

    /// Ready once the peer has not answered.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let heard = self.heard.replace(false);
            if self.asked && !heard {
                return Poll::Ready(());
            }
            self.asked = !heard;
            if let (true, Some(pings)) = (self.asked, &mut self.pings) {
                // An answer to an earlier one has been heard already; it only makes room for this one.
                let _ = pings.poll_pong(cx);
                let _ = pings.send_ping(Ping::opaque());
            }
            let next = if self.asked { PONG_WITHIN } else { PING_AFTER };
            self.timer.as_mut().reset(Instant::now() + next);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_is_not_heard_of_is_asked_and_then_given_up() {
        let (start, heard) = (Instant::now(), Rc::new(Cell::new(true)));
        let mut vanished = Vanished::new(None, heard);
        std::future::poll_fn(|cx| vanished.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), (PING_AFTER + PING_AFTER + PONG_WITHIN).as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_answers_is_left_alone() {
        let heard = Rc::new(Cell::new(false));
        let mut vanished = Vanished::new(None, heard.clone());
        for _ in 0..20 {
            // Asked after 30 seconds, heard of within the next 20.
            let watched = std::future::poll_fn(|cx| vanished.poll(cx));
            assert!(tokio::time::timeout(PING_AFTER + Duration::from_secs(1), watched).await.is_err());
            heard.set(true);
        }
    }
}
