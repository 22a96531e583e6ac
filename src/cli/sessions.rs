//! `cloakroom sessions`: looks at the sessions of a running gateway, and ends them.
//!
//! Comes in: the configuration of the gateway, which says where its admin listener is. Goes out: a table or JSON. Speaks
//! with the gateway only, never with a store, so it works whoever keeps the sessions. Exit code 1 when there is no such
//! session, or the gateway does not answer.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::ConfigArgs;
use crate::admin::Settings;
use crate::clock::civil::Civil;
use crate::clock::{Clock, Timestamp};
use crate::config;

/// Arguments of `sessions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List living sessions, in the order of their ids
    List {
        /// Only those of this user
        #[arg(long)]
        user: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Those behind this id
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// JSON instead of a table
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Show one session
    Show {
        /// Its id: 32 hex digits, or the 8 that logs show
        id: String,
        /// JSON instead of a table
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// End sessions: one, those of a user, or all
    #[command(group = clap::ArgGroup::new("whose").required(true))]
    Revoke {
        /// The session's id: 32 hex digits, or the 8 that logs show
        #[arg(group = "whose")]
        id: Option<String>,
        /// All sessions of this user
        #[arg(long, group = "whose")]
        user: Option<String>,
        /// All sessions
        #[arg(long, group = "whose")]
        all: bool,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

/// Asks the gateway and prints what it says.
///
/// # Errors
/// No configuration, no gateway, or one that answers with an error.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.action {
        Action::List { user, limit, after, json, config } => {
            let query = match (user, after) {
                (Some(user), _) => format!("user={}", escaped(user)),
                (None, Some(after)) => format!("limit={limit}&after={}", escaped(after)),
                (None, None) => format!("limit={limit}"),
            };
            let found = Gateway::of(config)?.ask("GET", &format!("/api/v1/sessions?{query}"))?;
            let sessions = found["sessions"].as_array().cloned().unwrap_or_default();
            let text = if *json { pretty(&found) } else { table(&sessions, &found["next"]) };
            Ok(super::print(&text))
        }
        Action::Show { id, json, config } => {
            let found = Gateway::of(config)?.ask("GET", &format!("/api/v1/sessions/{}", escaped(id)))?;
            Ok(super::print(&if *json { pretty(&found) } else { facts(&found) }))
        }
        Action::Revoke { id, user, all: _, config } => {
            let target = match (id, user) {
                (Some(id), _) => format!("/{}", escaped(id)),
                (None, Some(user)) => format!("?user={}", escaped(user)),
                (None, None) => "?all=true".to_owned(),
            };
            let done = Gateway::of(config)?.ask("DELETE", &format!("/api/v1/sessions{target}"))?;
            let ended = done["ended"].as_u64().unwrap_or_default();
            Ok(super::print(&format!("ended {ended} session{}\n", if ended == 1 { "" } else { "s" })))
        }
    }
}

/// The gateway's admin listener.
struct Gateway(Settings);

impl Gateway {
    /// The one that a configuration describes.
    fn of(args: &ConfigArgs) -> anyhow::Result<Self> {
        let source = args.source().context("cannot read standard input")?;
        let config = config::inspect(&source).map_err(|problems| anyhow::anyhow!("{problems}"))?;
        config.admin.map(Self).context("this gateway has no admin listener (`admin: off`)")
    }

    /// Asks by the socket where there is one, else by TCP with the token.
    fn ask(&self, method: &str, target: &str) -> anyhow::Result<Value> {
        let socket = self.0.socket.as_ref().filter(|path| self.0.token.is_none() || path.exists());
        let answer = match socket {
            Some(path) => {
                let stream = UnixStream::connect(path);
                let stream = stream.with_context(|| format!("no gateway answers at {}", path.display()))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                exchange(stream, method, target, None)?
            }
            None => {
                let stream = TcpStream::connect_timeout(&self.0.address, Duration::from_secs(5));
                let stream = stream.with_context(|| format!("no gateway answers at {}", self.0.address))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                exchange(stream, method, target, self.0.token.as_ref())?
            }
        };
        let (head, body) = answer.split_once("\r\n\r\n").context("the gateway's answer is cut off")?;
        let value: Value = serde_json::from_str(body).context("the gateway's answer is not JSON")?;
        if head.split(' ').nth(1) == Some("200") {
            return Ok(value);
        }
        bail!("{}", value["error"].as_str().unwrap_or("the gateway refused"))
    }
}

/// To end a million sessions takes a while.
const PATIENCE: Duration = Duration::from_secs(300);

fn exchange(
    mut stream: impl std::io::Read + Write,
    method: &str,
    target: &str,
    token: Option<&SecretString>,
) -> anyhow::Result<String> {
    let token = token.map(|token| format!("Authorization: Bearer {}\r\n", token.expose_secret()));
    let token = token.unwrap_or_default();
    // HTTP/1.0, so that the answer ends with the connection.
    stream.write_all(format!("{method} {target} HTTP/1.0\r\nHost: admin\r\n{token}\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

const COLUMNS: [&str; 6] = ["LOG ID", "USER", "SIGNED IN", "LAST SEEN", "ENDS IN", "WHERE"];

/// One line each.
fn table(sessions: &[Value], next: &Value) -> String {
    let mut lines = vec![COLUMNS.map(str::to_owned)];
    lines.extend(sessions.iter().map(|session| {
        let text = |key: &str| session[key].as_str().map(str::to_owned);
        let places = [text("address"), text("browser"), text("system")];
        [
            text("log_id").unwrap_or_default(),
            text("user").unwrap_or_else(|| "-".to_owned()),
            moment(&session["created"]),
            moment(&session["last_seen"]),
            length(&session["expires_in"]),
            places.into_iter().flatten().collect::<Vec<_>>().join(" "),
        ]
    }));
    let widths: [usize; 6] =
        std::array::from_fn(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0));
    let mut out = String::new();
    for line in &lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    if let Some(next) = next.as_str() {
        out.push_str(&format!("more: --after {next}\n"));
    }
    out
}

/// One fact a line.
fn facts(session: &Value) -> String {
    let all = session.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let shown = all.map(|(name, value)| {
        let value = match (name.as_str(), value) {
            ("created" | "last_seen", value) => moment(value),
            ("expires_in", value) => length(value),
            (_, Value::String(text)) => text.clone(),
            (_, value) => value.to_string(),
        };
        format!("{name:<11} {value}\n")
    });
    shown.collect()
}

fn moment(seconds: &Value) -> String {
    let at = Timestamp::from_unix_millis(seconds.as_u64().unwrap_or_default().saturating_mul(1000));
    let ago = Clock::System.now().since(at).as_secs();
    if ago < 48 * 3600 { format!("{} ago", span(ago)) } else { Civil::from(at).http_date() }
}

fn length(seconds: &Value) -> String {
    span(seconds.as_u64().unwrap_or_default())
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_session_and_says_how_to_go_on() {
        let session = json!({
            "log_id": "0a1b2c3d", "user": "alice", "created": 0, "last_seen": 0, "expires_in": 1800,
            "address": "192.0.2.1", "browser": "Firefox", "system": null
        });
        let text = table(&[session, json!({ "log_id": "ffffffff", "user": null })], &json!("aa"));
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("LOG ID    USER"), "{text}");
        assert!(lines[1].contains("alice") && lines[1].ends_with("30 min   192.0.2.1 Firefox"), "{text}");
        assert!(lines[2].starts_with("ffffffff  -"), "{text}");
        assert_eq!(lines[3], "more: --after aa");
    }

    #[test]
    fn facts_are_shown_one_a_line_and_nothing_that_is_not_known() {
        let text = facts(&json!({ "user": "alice", "browser": null, "expires_in": 200_000 }));
        assert_eq!(text, "expires_in  2 d\nuser        alice\n");
    }
}
