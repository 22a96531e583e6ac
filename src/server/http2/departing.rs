//! Departing: a response on its way into an HTTP/2 stream, counted, with its line of the access log.
//!
//! A client that opens no window keeps hyper from asking for the next piece, and would keep the upstream's connection
//! for as long as it likes. So a watchman looks at every body that is still coming from an upstream, and lets go of one
//! that nobody has asked for in a while.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::UnderWay;
use crate::gateway::Response;
use crate::gateway::body::Body;
use crate::gateway::record::Record;
use crate::wire::WireError;
use crate::wire::framing::may_have_body;

/// A body on its way.
pub struct Departing {
    state: Rc<RefCell<State>>,
    _under_way: UnderWay,
}

struct State {
    body: Body,
    record: Record,
    /// Since when the last piece has been waiting for the client; `None` while the upstream is waited for.
    waiting: Option<Instant>,
    let_go: bool,
}

impl Departing {
    /// hyper's response from ours. `patience` is how long a client may take nothing (zero: any time).
    pub fn response(
        response: Response,
        method: &Method,
        under_way: UnderWay,
        patience: Duration,
    ) -> http::Response<Self> {
        let Response { head, body, record, .. } = response;
        let body = if may_have_body(head.status, method) { body } else { Body::Empty };
        let still_coming = matches!(body, Body::Upstream(_) | Body::Live(_));
        let waiting = Some(Instant::now());
        let state = Rc::new(RefCell::new(State { body, record, waiting, let_go: false }));
        if still_coming && !patience.is_zero() {
            tokio::task::spawn_local(watch(Rc::downgrade(&state), patience));
        }
        let mut response = http::Response::new(Self { state, _under_way: under_way });
        *response.status_mut() = head.status;
        *response.headers_mut() = (&head.fields).into();
        response
    }
}

async fn watch(state: Weak<RefCell<State>>, patience: Duration) {
    loop {
        tokio::time::sleep(patience / 2).await;
        let Some(state) = state.upgrade() else { return };
        let mut state = state.borrow_mut();
        if state.waiting.is_some_and(|since| since.elapsed() >= patience) {
            state.body = Body::Empty;
            state.let_go = true;
            return;
        }
    }
}

impl http_body::Body for Departing {
    type Data = Bytes;
    type Error = WireError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        let state = &mut *self.state.borrow_mut();
        if state.let_go {
            return Poll::Ready(Some(Err(WireError::TimedOut)));
        }
        let frame = Pin::new(&mut state.body).poll_frame(cx);
        state.waiting = frame.is_ready().then(Instant::now);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                state.record.sent(length as u64);
                if state.body.is_end_stream() {
                    state.record.complete();
                }
            }
            Poll::Ready(None) => state.record.complete(),
            _ => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        let state = self.state.borrow();
        state.body.is_end_stream() && !state.let_go
    }

    fn size_hint(&self) -> SizeHint {
        self.state.borrow().body.size_hint()
    }
}
