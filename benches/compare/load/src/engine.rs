//! Engine: the one epoll of the one thread.
//!
//! Comes in: readiness of sockets. Goes out: each event to the upstream or to the job that runs. Both sides in one thread
//! means that no context switch happens on the core they share.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::{Events, Poll, Registry, Token, Waker};

use crate::link::Room;
use crate::upstream::Upstream;

const LISTENER: Token = Token(0);
/// There is a line to read.
const LINE: Token = Token(1);
/// Clients begin here, the upstream's connections far above them.
const CLIENTS: usize = 2;
const UPSTREAM: usize = 1 << 40;

/// Whoever has connections as a client.
pub trait Clients {
    fn on_event(&mut self, number: usize, event: &mio::event::Event, room: &mut Room);
}

#[derive(Debug)]
pub struct Engine {
    poll: Poll,
    events: Events,
    upstream: Option<Upstream>,
    pub room: Room,
}

/// The token of a client's connection.
pub const fn client(number: usize) -> Token {
    Token(CLIENTS + number)
}

impl Engine {
    /// `upstream`: where to listen, if at all.
    pub fn new(upstream: Option<SocketAddr>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let upstream =
            upstream.map(|address| Upstream::bind(address, poll.registry(), LISTENER)).transpose()?;
        Ok(Self { poll, events: Events::with_capacity(1024), upstream, room: Room::new() })
    }

    pub fn registry(&self) -> io::Result<Registry> {
        self.poll.registry().try_clone()
    }

    /// Ends a [`Engine::turn`] from another thread.
    pub fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), LINE)
    }

    /// Waits for events, no longer than `wait`, and handles them. How many there were.
    pub fn turn(
        &mut self,
        mut clients: Option<&mut dyn Clients>,
        wait: Option<Duration>,
    ) -> io::Result<usize> {
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
            other => other?,
        }
        let mut count = 0;
        for event in &self.events {
            count += 1;
            match (event.token(), &mut self.upstream, &mut clients) {
                (LISTENER, Some(upstream), _) => upstream.accept(self.poll.registry(), UPSTREAM)?,
                (Token(token), Some(upstream), _) if token >= UPSTREAM => {
                    upstream.on_event(token - UPSTREAM, event, &mut self.room);
                }
                (Token(token), _, Some(clients)) if token >= CLIENTS => {
                    clients.on_event(token - CLIENTS, event, &mut self.room);
                }
                _ => {}
            }
        }
        Ok(count)
    }
}
