//! Deadline: a moment by which something must have happened, cheap to move.
//!
//! A deadline that moves into the future, as it does with every request on a connection, costs nothing: the timer
//! below it fires at the old moment and is set again. Only a deadline that comes nearer touches the timer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A deadline, or none yet.
#[derive(Debug, Default)]
pub struct Deadline {
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// Expires `after` from now; zero means never.
    pub fn set(&mut self, after: Duration) {
        self.at = (!after.is_zero()).then(|| Instant::now() + after);
    }

    /// Never expires.
    pub fn clear(&mut self) {
        self.at = None;
    }

    /// Whether a moment is set.
    pub fn is_set(&self) -> bool {
        self.at.is_some()
    }

    /// Ready once the moment has come; otherwise the task is woken when it does.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= at {
                return Poll::Ready(());
            }
            timer.as_mut().reset(at);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moves_away_expires_at_the_new_moment() {
        let (start, mut deadline) = (Instant::now(), Deadline::default());
        deadline.set(Duration::from_secs(1));
        std::future::poll_fn(|cx| {
            assert!(deadline.poll(cx).is_pending());
            deadline.set(Duration::from_secs(5));
            Poll::Ready(())
        })
        .await;
        std::future::poll_fn(|cx| deadline.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 5);
        deadline.set(Duration::from_secs(1));
        std::future::poll_fn(|cx| deadline.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 6);
    }
}
