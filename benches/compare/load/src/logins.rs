//! Logins: signs many people in, as fast as the gateway takes them.
//!
//! Comes in: users with their passwords, and how many sessions are wanted. Goes out: two files, line by line the cookie of
//! a session and whose it is. Gives up when the gateway refuses, and waits when it is busy.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use mio::Registry;
use mio::event::Event;

use crate::body::Body;
use crate::engine::{Clients, Engine, client};
use crate::form::Form;
use crate::head;
use crate::link::{Link, Room, has_ended};

/// What is wanted.
#[derive(Debug)]
pub struct Wanted<'a> {
    pub target: SocketAddr,
    pub count: usize,
    pub cookies: &'a Path,
    pub names: &'a Path,
    pub users: &'a Path,
    pub connections: usize,
}

/// After so long without any login there will be none.
const PATIENCE: Duration = Duration::from_secs(10);

struct Logins {
    target: SocketAddr,
    registry: Registry,
    form: Form,
    /// Names and passwords.
    users: Vec<(String, String)>,
    connections: Vec<Connection>,
    begun: usize,
    done: usize,
    count: usize,
    /// Answers that said to come again.
    again: usize,
    cookies: BufWriter<File>,
    names: BufWriter<File>,
    failed: Option<io::Error>,
}

struct Connection {
    link: Link,
    /// A head whose end is still to come.
    held: Vec<u8>,
    body: Option<Body>,
    /// Number of the user who signs in here; `None` when there is nothing left to do.
    user: Option<usize>,
    cookie: Vec<u8>,
    closes: bool,
}

/// Signs people in; says how it went.
pub fn logins(wanted: &Wanted<'_>) -> io::Result<String> {
    let users = std::fs::read_to_string(wanted.users)?;
    let pair =
        |line: &str| line.split_once(' ').map(|(user, password)| (user.to_owned(), password.to_owned()));
    let users: Vec<_> = users.lines().filter_map(pair).collect();
    if users.is_empty() {
        return Err(io::Error::other("no line with a user and a password"));
    }
    let mut engine = Engine::new(None)?;
    let mut logins = Logins {
        target: wanted.target,
        registry: engine.registry()?,
        form: Form::fetch(wanted.target)?,
        users,
        connections: Vec::new(),
        begun: 0,
        done: 0,
        count: wanted.count,
        again: 0,
        cookies: BufWriter::new(File::create(wanted.cookies)?),
        names: BufWriter::new(File::create(wanted.names)?),
        failed: None,
    };
    let start = Instant::now();
    for number in 0..wanted.connections.min(wanted.count) {
        let connection = logins.connect(number)?;
        logins.connections.push(connection);
        logins.begin(number)?;
    }
    let (mut before, mut since) = (0, start);
    while logins.done < logins.count {
        engine.turn(Some(&mut logins), Some(Duration::from_secs(1)))?;
        if let Some(error) = logins.failed.take() {
            return Err(error);
        }
        if logins.done > before {
            (before, since) = (logins.done, Instant::now());
        } else if since.elapsed() > PATIENCE {
            return Err(io::Error::other("no login for too long"));
        }
    }
    logins.cookies.flush()?;
    logins.names.flush()?;
    let (seconds, again) = (start.elapsed().as_secs_f64(), logins.again);
    let rate = wanted.count as f64 / seconds;
    Ok(format!(
        r#"{{"event":"logins","count":{},"seconds":{seconds:.3},"per_second":{rate:.0},"again":{again}}}"#,
        wanted.count
    ))
}

impl Logins {
    fn connect(&self, number: usize) -> io::Result<Connection> {
        let mut link = Link::connect(self.target, None)?;
        link.register(&self.registry, client(number))?;
        Ok(Connection { link, held: Vec::new(), body: None, user: None, cookie: Vec::new(), closes: false })
    }

    /// The next login on this connection.
    fn begin(&mut self, number: usize) -> io::Result<()> {
        if self.begun < self.count {
            self.connections[number].user = Some(self.begun % self.users.len());
            self.begun += 1;
            self.post(number)?;
        }
        Ok(())
    }

    fn post(&mut self, number: usize) -> io::Result<()> {
        if self.connections[number].closes {
            let user = self.connections[number].user;
            self.connections[number] = Connection { user, ..self.connect(number)? };
        }
        let connection = &mut self.connections[number];
        let Some(user) = connection.user else { return Ok(()) };
        let (name, password) = &self.users[user];
        self.form.write(&mut connection.link.out, name, password);
        connection.link.send(0)
    }

    fn progress(&mut self, number: usize, event: &Event, room: &mut Room) -> io::Result<()> {
        loop {
            let connection = &mut self.connections[number];
            connection.link.flush()?;
            let piece = connection.link.receive(room)?;
            let mut bytes = piece.bytes;
            if piece.end {
                connection.closes = true;
                // Closed between two logins, or never needed again: only one that cuts an answer off is worth a word.
                return match connection.user {
                    Some(_) => Err(io::Error::other("closed before the answer")),
                    None => Ok(()),
                };
            }
            let more = piece.more || has_ended(event);
            let mut complete = false;
            while !bytes.is_empty() && !complete {
                complete = connection.take(&mut bytes, &self.form)?;
            }
            if complete {
                self.finish(number)?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Notes the cookie of a session that began; without one, the gateway was busy and is asked again.
    fn finish(&mut self, number: usize) -> io::Result<()> {
        let connection = &mut self.connections[number];
        let Some(user) = connection.user else { return Ok(()) };
        if connection.cookie.is_empty() {
            self.again += 1;
            return self.post(number);
        }
        connection.cookie.push(b'\n');
        self.cookies.write_all(&connection.cookie)?;
        writeln!(self.names, "{}", self.users[user].0)?;
        connection.cookie.clear();
        connection.user = None;
        self.done += 1;
        self.begin(number)
    }
}

impl Connection {
    /// Takes what belongs to the answer off the front of `bytes`. Whether it is complete.
    fn take(&mut self, bytes: &mut &[u8], form: &Form) -> io::Result<bool> {
        if self.body.is_none() {
            let Some(head) = head::take(&mut self.held, bytes)? else { return Ok(false) };
            self.body = Some(self.read_head(&head, form)?);
        }
        let complete = self.body.as_mut().map_or(Ok(false), |body| body.take(bytes))?;
        if complete {
            self.body = None;
        }
        Ok(complete)
    }

    fn read_head(&mut self, head: &[u8], form: &Form) -> io::Result<Body> {
        let line = head::first_line(head);
        let status = line.get(9..12).unwrap_or_default();
        if !matches!(status, b"303" | b"503") {
            return Err(io::Error::other(format!("the gateway answered {}", String::from_utf8_lossy(line))));
        }
        let mut body = Body::Length(0);
        for (name, value) in head::fields(head) {
            let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
            if is("Set-Cookie") && status == b"303" && !form.is_nonce(value) {
                self.cookie.extend(value.iter().take_while(|&&byte| byte != b';'));
            } else if is("Content-Length") {
                body = Body::Length(head::number(value)?);
            } else if is("Transfer-Encoding") {
                body = Body::CHUNKED;
            } else if is("Connection") && value.eq_ignore_ascii_case(b"close") {
                self.closes = true;
            }
        }
        if status == b"303" && self.cookie.is_empty() {
            return Err(io::Error::other("a login without a session"));
        }
        Ok(body)
    }
}

impl Clients for Logins {
    fn on_event(&mut self, number: usize, event: &Event, room: &mut Room) {
        if let Err(error) = self.progress(number, event, room) {
            self.failed.get_or_insert(error);
        }
    }
}
