//! Events: a stream that tells a page what becomes of its session.
//!
//! Comes in: a session, looked at twice a second. Goes out: server-sent events (WHATWG HTML, section 9.2): what is known of
//! the session at once and after every warning that came to nothing, a warning before it ends, its end. Never extends the
//! session, and never goes on when the gateway stops: browsers come back by themselves.
//!
//! Of a sealed session only the browser has the newest: its stream ends a minute before the session does, and every few
//! seconds from then on, without a word, so that the browser comes back and shows what it has by then. Every event but the
//! last has an id. A browser that comes back shows it, and is told the end even if it missed it: a laptop was asleep, the
//! gateway was restarted.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use serde_json::json;

use super::watchers::Watch;
use crate::clock::{Clock, Timestamp};
use crate::deadline::Deadline;
use crate::login::facts;
use crate::session::Sessions;
use crate::session::record::{EndReason, Session};
use crate::wire::WireError;

/// So long before the end there is a warning.
const WARNING: Duration = Duration::from_secs(60);

/// How often the session is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How often something is sent where there is nothing to say, so that whoever is between here and the browser keeps the
/// connection, and a client that has gone is noticed.
const BEAT: Duration = Duration::from_secs(15);

/// After a warning, how often a browser shows its sealed session anew.
const SHOW_AGAIN: Duration = Duration::from_secs(5);

/// The stream of one page.
#[derive(Debug)]
pub struct Events {
    session: Arc<Session>,
    sessions: Arc<Sessions>,
    clock: Clock,
    stopping: Rc<Cell<bool>>,
    look: Deadline,
    beat: Deadline,
    begun: Option<Timestamp>,
    /// Which end was warned of.
    warned: Option<Timestamp>,
    over: bool,
    _watch: Watch,
}

impl Events {
    /// A stream about `session`; `stopping` is set when the gateway stops.
    pub fn new(
        session: Arc<Session>,
        watch: Watch,
        (sessions, clock): (Arc<Sessions>, Clock),
        stopping: Rc<Cell<bool>>,
    ) -> Self {
        Self {
            session,
            sessions,
            clock,
            stopping,
            look: Deadline::default(),
            beat: Deadline::default(),
            begun: None,
            warned: None,
            over: false,
            _watch: watch,
        }
    }

    /// The whole stream of somebody who comes back and whose session has ended meanwhile.
    pub fn farewell(reason: EndReason) -> Bytes {
        Bytes::from(ended(reason))
    }

    /// The next events, or the end.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        loop {
            if self.over || self.stopping.get() {
                return Poll::Ready(None);
            }
            let is_due = self.begun.is_none() || self.look.poll(cx).is_ready();
            if is_due {
                self.look.set(LOOK);
                let said = self.say(self.clock.now());
                if !said.is_empty() {
                    self.beat.set(BEAT);
                    return Poll::Ready(Some(Ok(Frame::data(Bytes::from(said)))));
                }
            } else if self.beat.poll(cx).is_ready() {
                self.beat.set(BEAT);
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n")))));
            } else {
                return Poll::Pending;
            }
        }
    }

    /// What there is to say at `now`, and whether that is the last of it.
    fn say(&mut self, now: Timestamp) -> String {
        let ends = match self.sessions.outlook(&self.session, now) {
            Ok(ends) => ends,
            Err(reason) => {
                self.over = true;
                // Somebody signed in again: the browser comes back with another session. A sealed one may live on.
                let silent = reason == EndReason::Replaced || !self.sessions.has_roster();
                return if silent { String::new() } else { ended(reason) };
            }
        };
        let near = ends.since(now) <= WARNING;
        if let Some(begun) = self.begun
            && !self.sessions.has_roster()
        {
            let was_near = ends.since(begun) <= WARNING;
            self.over = if was_near { now.since(begun) >= SHOW_AGAIN } else { near };
            return String::new();
        }
        let extended = self.warned.is_some_and(|warned| ends > warned.plus(Duration::from_secs(1)));
        let mut said = String::new();
        if self.begun.is_none() || extended {
            said = event("session", &facts(Some(&self.session), None, &self.sessions).to_string());
            self.warned = None;
        }
        self.begun.get_or_insert(now);
        if near && self.warned.is_none() {
            self.warned = Some(ends);
            let seconds = ends.since(now).as_millis().div_ceil(1000);
            said.push_str(&event("ending", &json!({ "seconds": seconds }).to_string()));
        }
        said
    }
}

/// An event with an id, so that a browser that comes back says that it was here.
fn event(name: &str, data: &str) -> String {
    format!("id: 1\nevent: {name}\ndata: {data}\n\n")
}

/// The last event takes the id back: a browser that comes back once more has no session.
fn ended(reason: EndReason) -> String {
    format!("id\nevent: ended\ndata: {}\n\n", json!({ "reason": reason.as_str() }))
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use secrecy::SecretBox;
    use tokio::time::Instant;

    use super::*;
    use crate::identity::Identity;
    use crate::session::accounts::NoAccounts;
    use crate::session::keeper::Loading;
    use crate::session::memory::{Crowding, MemoryStore, Room};
    use crate::session::sign::Arrival;
    use crate::session::{Keeper, Key, Settings, Visitor};

    const HOUR: Duration = Duration::from_secs(3600);

    /// A stream about a session that lives for another hour.
    async fn stream(clock: &Clock, stopping: &Rc<Cell<bool>>) -> Events {
        let key = Key { id: "k".to_owned(), secret: SecretBox::new(vec![7; 32].into_boxed_slice()) };
        let settings = Settings { idle: HOUR, keys: vec![key], ..Settings::default() };
        let memory = MemoryStore::new(Room { sessions: 10, bytes: 1 << 20 }, Crowding::Ends);
        let keeper = Arc::new(Keeper::Memory(memory, Loading::nothing()));
        let sessions = Arc::new(Sessions::new(settings, keeper, Arc::new(NoAccounts)));
        let identity = Identity::new("alice", None, None, &[]).expect("a plain name");
        let arrival =
            Arrival { identity, credential: 0, remember: false, origin: Default::default(), notes: vec![] };
        let signed_in = sessions.sign_in(&Visitor::nobody(), arrival, clock.now()).await;
        let (_, session) = signed_in.expect("memory is never away");
        let watch =
            Arc::<super::super::watchers::Watchers>::default().admit(session.digest()).expect("the first");
        Events::new(session, watch, (sessions, clock.clone()), stopping.clone())
    }

    async fn next(events: &mut Events) -> Option<String> {
        let frame = poll_fn(|cx| events.poll_frame(cx)).await?.expect("a stream of ours does not fail");
        let data = frame.into_data().expect("it has no trailers");
        Some(String::from_utf8(data.to_vec()).expect("UTF-8"))
    }

    #[tokio::test(start_paused = true)]
    async fn something_is_sent_every_fifteen_seconds_and_nothing_once_the_gateway_stops() {
        let (clock, stopping) =
            (Clock::manual(Timestamp::from_unix_millis(1_800_000_000_000)), Rc::default());
        let mut events = stream(&clock, &stopping).await;
        assert!(next(&mut events).await.is_some_and(|first| first.contains("event: session")));
        for n in 1..5 {
            let before = Instant::now();
            assert_eq!(next(&mut events).await.as_deref(), Some(":\n\n"), "{n}");
            assert_eq!(before.elapsed().as_secs(), 15, "{n}");
        }
        stopping.set(true);
        assert_eq!(next(&mut events).await, None);
    }
}
