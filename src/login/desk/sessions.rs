//! Sessions: the page of somebody's own sessions, where each can be ended.
//!
//! Comes in: who is asking, and the form they posted. Goes out: the page, or what the form led to. Each form's token is
//! bound to the session that asks and to what the form does. Never shows or ends a session of somebody else.

use http::StatusCode;

use super::Desk;
use crate::clock::Timestamp;
use crate::clock::civil::Civil;
use crate::login::form::field;
use crate::login::page::{Page, Reply, Row, View};
use crate::session::protocol::Scope;
use crate::session::record::Session;
use crate::session::roster::{EndedOwn, Own};

/// So many are shown.
const MOST: usize = 100;

/// What is said on the page after a form did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    One,
    Before,
    Others,
}

impl Done {
    const ALL: [Self; 3] = [Self::One, Self::Before, Self::Others];

    /// As in the query.
    const fn word(self) -> &'static str {
        match self {
            Done::One => "one",
            Done::Before => "before",
            Done::Others => "others",
        }
    }
}

impl Desk<'_> {
    pub(in crate::login) async fn sessions_page(&self) -> Reply {
        match self.ask.visitor.session().filter(|session| session.identity().is_some()) {
            Some(session) => self.list(session, StatusCode::OK, None).await,
            None => self.to_login(StatusCode::FOUND),
        }
    }

    pub(in crate::login) async fn end_sessions(&self) -> Reply {
        if let Some(refused) = self.refuse_foreign() {
            return refused;
        }
        let Some(session) = self.ask.visitor.session().filter(|session| session.identity().is_some()) else {
            return self.to_login(StatusCode::SEE_OTHER);
        };
        let text = |name| field(self.ask.form, name).unwrap_or_default();
        let (deed, name) = (text("do"), text("session"));
        let bound = if deed == "end" { deed_of(&name) } else { deed.clone() };
        if !self.sessions.csrf_matches(session, &bound, &text("token")) {
            return self.list(session, StatusCode::FORBIDDEN, Some(self.language.words().stale)).await;
        }
        match deed.as_str() {
            "end" => self.end_one(session, &name).await,
            "others" => match self.leave(session, Scope::Others).await {
                Ok(_) => self.back(session, Done::Others),
                Err(reply) => *reply,
            },
            _ => self.list(session, StatusCode::BAD_REQUEST, Some(self.language.words().not_allowed)).await,
        }
    }

    async fn end_one(&self, session: &Session, name: &str) -> Reply {
        match self.sessions.end_own(self.ask.visitor, name, self.now).await {
            Ok(EndedOwn::This(tickets)) => self.left(&format!("{}/logout", self.login.prefix), &tickets),
            Ok(EndedOwn::Another) => self.back(session, Done::One),
            Ok(EndedOwn::Nothing) => self.back(session, Done::Before),
            Err(error) => self.store_away(&error),
        }
    }

    /// To the page again, which says what was done; a link from elsewhere cannot have it say so.
    fn back(&self, session: &Session, done: Done) -> Reply {
        let (prefix, word) = (&self.login.prefix, done.word());
        let token = self.sessions.csrf_token(session, &format!("said {word}"));
        Reply::see_other(&format!("{prefix}/sessions?done={word}&token={token}"))
    }

    fn said(&self, session: &Session) -> Option<&'static str> {
        let query = self.ask.query?.as_bytes();
        let word = field(query, "done")?;
        let token = field(query, "token")?;
        let done = Done::ALL.into_iter().find(|done| done.word() == word)?;
        let words = self.language.words();
        self.sessions.csrf_matches(session, &format!("said {word}"), &token).then_some(match done {
            Done::One => words.ended_one,
            Done::Before => words.ended_before,
            Done::Others => words.ended_others,
        })
    }

    async fn list(&self, session: &Session, status: StatusCode, error: Option<&str>) -> Reply {
        let own = match self.sessions.own(self.ask.visitor).await {
            Ok(own) => own,
            Err(error) => return self.store_away(&error),
        };
        let words = self.language.words();
        let lists = self.sessions.has_roster();
        let rows: Vec<_> = own.iter().take(MOST).map(|own| self.row(session, own)).collect();
        let view = View {
            heading: words.your_sessions,
            error,
            note: if lists { self.said(session) } else { Some(words.unlisted) },
            signed_in_as: session.identity().map(|identity| identity.user()),
            sessions: &rows,
            more: own.len() > MOST,
            others_token: &if own.len() > 1 {
                self.sessions.csrf_token(session, "others")
            } else {
                String::new()
            },
            token: &self.sessions.csrf_token(session, "logout"),
            offer_everywhere: lists,
            offer_factor: session.credential() != 0 && self.login.has_factors(),
            ..View::default()
        };
        self.login.pages.show(Page::Sessions, status, self.language, &view)
    }

    fn row(&self, session: &Session, own: &Own) -> Row {
        let words = self.language.words();
        let made_by: Vec<_> =
            [own.origin.browser_name(), own.origin.system_name()].into_iter().flatten().collect();
        Row {
            made_by: if made_by.is_empty() { words.unknown_browser.to_owned() } else { made_by.join(" · ") },
            address: own
                .origin
                .address
                .map_or(words.unknown_address.to_owned(), |address| address.to_string()),
            signed_in: minute(own.created),
            signed_in_ago: words.ago(self.now.since(own.created)),
            used: minute(own.last_seen),
            used_ago: words.ago(self.now.since(own.last_seen)),
            is_this: own.is_this,
            token: self.sessions.csrf_token(session, &deed_of(&own.name)),
            name: own.name.clone(),
        }
    }

    fn to_login(&self, status: StatusCode) -> Reply {
        let mut reply = Reply::see_other(
            &self.login.entrance_at(&format!("{}/sessions", self.login.prefix), Some(self.ask.host)),
        );
        reply.head.status = status;
        reply
    }
}

/// What the form of one session does, for its token.
fn deed_of(name: &str) -> String {
    format!("end {name}")
}

/// `2027-01-15 08:00 UTC`
fn minute(moment: Timestamp) -> String {
    let Civil { year, month, day, hour, minute, .. } = Civil::from(moment);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}
