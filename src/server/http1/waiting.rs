//! Waiting: keeping an eye on the client while its request is being answered.
//!
//! A client that resets its connection is gone. One that has only closed its sending side may still want the answer
//! (RFC 9112, section 9.6), and cannot be told from one that is gone until something is sent to it: so after a while it
//! is sent an interim response, which a client that is there passes over and one that is gone refuses.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;

use crate::deadline::Deadline;
use crate::message::Fields;
use crate::wire::link::Link;

/// When to ask a client that has closed its sending side: a first time, again to hear the answer, then rarely.
const PROBES: [Duration; 3] =
    [Duration::from_millis(750), Duration::from_millis(250), Duration::from_secs(15)];

/// Bytes of later requests that are read ahead while one is being answered.
const READ_AHEAD: usize = 64 * 1024;

/// An eye on a client.
pub struct Watch<'l> {
    link: &'l Rc<RefCell<Link>>,
    can_probe: bool,
    closed: bool,
    probes: usize,
    next: Deadline,
}

impl<'l> Watch<'l> {
    /// `can_probe`: the client understands interim responses.
    pub fn new(link: &'l Rc<RefCell<Link>>, can_probe: bool) -> Self {
        Self { link, can_probe, closed: false, probes: 0, next: Deadline::default() }
    }

    /// Goes on with `work`, and sends interim responses while it waits. `None` once the client is gone.
    pub fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        work: Pin<&mut impl Future<Output = T>>,
    ) -> Poll<Option<T>> {
        if let Poll::Ready(output) = work.poll(cx) {
            return Poll::Ready(Some(output));
        }
        if self.is_gone(cx) { Poll::Ready(None) } else { Poll::Pending }
    }

    fn is_gone(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let mut link = self.link.borrow_mut();
            let link = &mut *link;
            if let Poll::Ready(Err(_)) = link.transmitter.poll_flush(cx, &mut link.stream) {
                return true;
            }
            while !self.closed && link.receiver.is_done() && link.receiver.buffered().len() < READ_AHEAD {
                match link.receiver.poll_fill(cx, &mut link.stream) {
                    Poll::Ready(Ok(0)) => {
                        self.closed = true;
                        self.next.set(PROBES[0]);
                    }
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_)) => return true,
                    Poll::Pending => return false,
                }
            }
            if !self.closed || !self.can_probe || self.next.poll(cx).is_pending() {
                return false;
            }
            link.send_interim(StatusCode::PROCESSING, &Fields::default());
            self.probes += 1;
            self.next.set(PROBES[self.probes.min(PROBES.len() - 1)]);
        }
    }
}
