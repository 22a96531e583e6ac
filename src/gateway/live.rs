//! Live: an event stream, for as long as the session it belongs to lives and the gateway goes on.
//!
//! Comes in: an upstream's stream without end. Goes out: the same, and its end within a second of the session's.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;

use crate::clock::Clock;
use crate::deadline::Deadline;
use crate::session::Sessions;
use crate::session::record::Session;
use crate::upstream::exchange::ResponseBody;
use crate::wire::WireError;
use crate::wire::framing::Framing;

use super::settings::Settings;

/// How often it is asked whether the stream may go on.
const LOOK: Duration = Duration::from_millis(500);

/// An event stream on its way.
#[derive(Debug)]
pub struct Live {
    body: ResponseBody,
    session: Option<Arc<Session>>,
    sessions: Arc<Sessions>,
    clock: Clock,
    stopping: Rc<Cell<bool>>,
    look: Deadline,
}

impl Live {
    /// A stream that belongs to `session`, if to any; `stopping` is set when the gateway stops.
    pub fn new(
        body: ResponseBody,
        session: Option<Arc<Session>>,
        settings: &Settings,
        stopping: Rc<Cell<bool>>,
    ) -> Self {
        let mut look = Deadline::default();
        look.set(LOOK);
        // Not the settings themselves: a stream may outlive many of them.
        let (sessions, clock) = (settings.sessions.clone(), settings.clock.clone());
        Self { body, session, sessions, clock, stopping, look }
    }

    /// How its end is announced.
    pub fn framing(&self) -> Framing {
        self.body.framing()
    }

    /// Goes on sending the request while the client does not take the response.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) {
        self.body.poll_request(cx);
    }

    /// The next piece, or the end.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        while self.look.poll(cx).is_ready() {
            let now = self.clock.now();
            let over = self.session.as_ref().is_some_and(|session| !self.sessions.is_alive(session, now));
            if over || self.stopping.get() {
                return Poll::Ready(None);
            }
            self.look.set(LOOK);
        }
        self.body.poll_frame(cx)
    }
}
