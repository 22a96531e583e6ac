//! Load: makes load for proxies, and is the application behind them, in one thread on one epoll.
//!
//! `load LISTEN_ADDRESS` listens as the application (`upstream.rs`), says `{"event":"ready"}`, and does the jobs that
//! standard input names, one JSON object a line, one after the other, until its end. While no job runs the application
//! answers all the same, and the next line is read only when a job is over.
//!
//! `load logins TARGET COUNT OUT_COOKIES OUT_USERS [CONNECTIONS] --users FILE` signs the users of `FILE` (a line is a name,
//! a blank, a password) in at a Cloakroom by plain HTTP, in turn, until there are `COUNT` sessions, and writes `name=value`
//! of each cookie and, in the other file, whose it is. The gateway must allow it: `login.throttle` with large numbers, and
//! hashes that cost little, such as argon2id with `m=8,t=1,p=1`, and `session.memory.max_sessions` a quarter above `COUNT`: an
//! eighth of it is for anonymous visitors. It checks one password per two cores at a time and has
//! room for 64 that wait, so that more than 64 connections only make it answer 503, which is tried again.
//!
//! # Fields of a job
//!
//! | field | default | what it says |
//! |---|---|---|
//! | `target` | none | address of the proxy, `127.0.0.1:9002`; the application's own will do |
//! | `tls` | `false` | TLS; every certificate is trusted, its signature verified |
//! | `resume` | `false` | new connections resume sessions of earlier ones; otherwise each handshake is a full one |
//! | `post_quantum` | `false` | offers X25519MLKEM768 before X25519 |
//! | `server_name` | `"localhost"` | for TLS and `Host` |
//! | `connections` | `64` | at most 64 of them wait for their first response at the same time |
//! | `seconds` | `2.0` | measured time; 60 at most by default with `requests` or `idle` |
//! | `warmup` | `0.3` | before it; up to 8 seconds longer while connections wait for their first response |
//! | `requests` | `null` | stop after so many |
//! | `method`, `path` | `"GET"`, `"/"` | `/bytes/N`: N bytes, everything else: 100 |
//! | `headers` | `[]` | more lines, each `"Name: value"` |
//! | `cookies` | `null` | a file with one value of `Cookie` a line |
//! | `cookie_per` | `"connection"` | each connection has a line of its own; `"request"`: any line each time |
//! | `body` | `0` | bytes to upload; with `websocket`, bytes of a message |
//! | `keep_alive` | `true` | `false`: each request has a new connection, which the client closes; latency begins with it |
//! | `rate` | `null` | requests per second, at intended times whatever the responses do; latency begins with those |
//! | `websocket` | `false` | upgrade, then messages, one at a time per connection; an echo counts as a request |
//! | `idle` | `false` | one request on each connection, which then stays open until the line `{"release":true}` |
//! | `expect_user` | `null` | whom the application must have been told; `"cookie-line"`: the line of `users` for the cookie |
//! | `users` | `null` | a file with one user a line, as in `cookies` |
//! | `expect_status` | `200` | of every response |
//!
//! A request is about 300 bytes like a browser's, and claims to be from `X-Auth-User: mallory`, which is for the proxy to
//! replace. The application says in `X-Seen-User` what it was told.
//!
//! # What is said
//!
//! `{"event":"measuring"}` when the warm-up is over, and `{"event":"done",…}` when the measured time is, with `requests`
//! completed in it, `rps`, latencies in microseconds, `bytes` received, `handshakes` and how many of these `resumed`,
//! `unfinished` requests at the end, and how much of the time this thread was `busy` (with `rate` it does not sleep: looking
//! for work in vain does not count). `errors` (connections that failed) and `wrong` (responses with another status or
//! user) count from the first moment on; `first_error` is the first of either. A job with `idle` says
//! `{"event":"idle",…}` instead, and its release `{"event":"released",…}`, with how many the proxy had closed. What cannot be
//! done is `{"event":"failed","error":…}`.
#![forbid(unsafe_code)]

mod body;
mod engine;
mod exchange;
mod form;
mod head;
mod job;
mod lines;
mod link;
mod logins;
mod pace;
mod request;
mod run;
mod serve;
mod tally;
mod tickets;
mod tls;
mod upstream;
mod websocket;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use logins::Wanted;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let address = |text: &str| text.parse().map_err(|_| io::Error::other(format!("{text} is no address")));
    let outcome = open_files().and_then(|()| match words[..] {
        [at] if !at.starts_with('-') => serve::serve(address(at)?),
        ["logins", target, count, cookies, names, ref rest @ ..] => {
            let number =
                |text: &str| text.parse().map_err(|_| io::Error::other(format!("{text} is no number")));
            let (connections, users) = match *rest {
                ["--users", users] => (64, users),
                [connections, "--users", users] | ["--users", users, connections] => {
                    (number(connections)?, users)
                }
                _ => return Err(io::Error::other(USAGE)),
            };
            let wanted = Wanted {
                target: address(target)?,
                count: number(count)?,
                cookies: Path::new(cookies),
                names: Path::new(names),
                users: Path::new(users),
                connections,
            };
            logins::logins(&wanted).map(|said| println!("{said}"))
        }
        _ => Err(io::Error::other(USAGE)),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

const USAGE: &str = "usage: load LISTEN_ADDRESS\n       load logins TARGET COUNT OUT_COOKIES OUT_USERS [CONNECTIONS] --users FILE";

/// Lets this process have as many connections as the system allows it.
fn open_files() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).map_err(io::Error::from)
}
