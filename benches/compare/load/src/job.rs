//! Job: what is to be done, as one line of JSON says it, and what is said of it.
//!
//! Comes in: a line. Goes out: a job with every default filled in, or what is wrong with it; lines for the driver.
//! The fields are explained in `main.rs`.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One line of input.
#[derive(Debug)]
pub enum Order {
    Run(Box<Job>),
    /// Closes the idle connections of earlier jobs.
    Release,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    pub target: SocketAddr,
    #[serde(default)]
    pub tls: bool,
    #[serde(default)]
    pub resume: bool,
    #[serde(default)]
    pub post_quantum: bool,
    #[serde(default = "localhost")]
    pub server_name: String,
    #[serde(default = "usual_connections")]
    pub connections: usize,
    pub seconds: Option<f64>,
    #[serde(default = "usual_warmup")]
    pub warmup: f64,
    pub requests: Option<u64>,
    #[serde(default = "get")]
    pub method: String,
    #[serde(default = "root")]
    pub path: String,
    #[serde(default)]
    pub headers: Vec<String>,
    pub cookies: Option<PathBuf>,
    #[serde(default)]
    pub cookie_per: CookiePer,
    #[serde(default)]
    pub body: usize,
    #[serde(default = "yes")]
    pub keep_alive: bool,
    pub rate: Option<f64>,
    #[serde(default)]
    pub websocket: bool,
    #[serde(default)]
    pub idle: bool,
    pub expect_user: Option<String>,
    pub users: Option<PathBuf>,
    #[serde(default = "ok")]
    pub expect_status: u16,
}

/// Which cookie a request carries.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum CookiePer {
    /// Each connection has its own, one line after the other.
    #[default]
    Connection,
    /// Any, each as likely as the other.
    Request,
}

/// One line of output.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Said {
    Ready,
    Measuring,
    Done(Box<Done>),
    Idle { connections: usize, errors: u64, wrong: u64, first_error: Option<String> },
    Released { connections: usize, closed_by_peer: usize },
    Failed { error: String },
}

/// How it went.
#[derive(Debug, Default, Serialize)]
pub struct Done {
    pub requests: u64,
    pub errors: u64,
    pub wrong: u64,
    pub unfinished: usize,
    pub seconds: f64,
    pub rps: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
    pub busy: f64,
    pub bytes: u64,
    pub handshakes: u64,
    pub resumed: u64,
    pub first_error: Option<String>,
}

impl Order {
    pub fn read(line: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Release {
            release: bool,
        }
        if matches!(serde_json::from_str(line), Ok(Release { release: true })) {
            return Ok(Order::Release);
        }
        let job: Job = serde_json::from_str(line).map_err(|error| error.to_string())?;
        job.check()?;
        Ok(Order::Run(Box::new(job)))
    }
}

impl Job {
    fn check(&self) -> Result<(), String> {
        let sane = |number: f64| number.is_finite() && (0.0..=86_400.0).contains(&number);
        let rules = [
            (self.connections > 0, "no connections"),
            (
                self.seconds.is_none_or(sane) && sane(self.warmup),
                "seconds and warmup must be from 0 to 86400",
            ),
            (self.rate.is_none_or(|rate| rate > 0.0 && rate <= 1e7), "rate must be from 0 to 10000000"),
            (!(self.idle && self.rate.is_some()), "idle connections have no rate"),
            (!self.websocket || self.keep_alive, "a WebSocket needs its connection"),
            (!self.expects_line() || self.users.is_some(), "`users` must say whose the cookies are"),
        ];
        rules.iter().find(|(kept, _)| !kept).map_or(Ok(()), |(_, broken)| Err((*broken).to_owned()))
    }

    /// Whether each response must name the user whose cookie was sent.
    pub fn expects_line(&self) -> bool {
        self.expect_user.as_deref() == Some("cookie-line")
    }
}

impl Said {
    pub fn say(&self) {
        println!("{}", serde_json::to_string(self).expect("it has no maps with odd keys"));
    }
}

fn localhost() -> String {
    "localhost".to_owned()
}

fn usual_connections() -> usize {
    64
}

fn usual_warmup() -> f64 {
    0.3
}

fn get() -> String {
    "GET".to_owned()
}

fn root() -> String {
    "/".to_owned()
}

fn yes() -> bool {
    true
}

fn ok() -> u16 {
    200
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_job_with_defaults_or_an_error() {
        let Ok(Order::Run(job)) = Order::read(r#"{"target":"127.0.0.1:1"}"#) else { panic!("not read") };
        assert_eq!((job.connections, job.warmup, job.expect_status), (64, 0.3, 200));
        assert!(job.keep_alive && !job.tls);
        assert!(matches!(Order::read(r#"{"release":true}"#), Ok(Order::Release)));
        for wrong in [
            r#"{"target":"127.0.0.1:1","conections":1}"#,
            r#"{"target":"127.0.0.1:1","connections":0}"#,
            "{}",
        ] {
            assert!(Order::read(wrong).is_err(), "{wrong}");
        }
    }
}
