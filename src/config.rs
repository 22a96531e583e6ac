//! Config: the YAML file becomes runtime settings, once.
//!
//! Comes in: a file, or a text with a name. Goes out: a [`Config`] that can be run, or [`Problems`]: everything that is
//! wrong, each with its place. Never shows a secret, and only [`load`] ever writes (a key that is not there yet).

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;

use crate::gateway::access_log;
use crate::gateway::settings::{Limits, PublicUrl, Timeouts};
use crate::headers::assertion::Signer;
use crate::headers::{IdentityNames, ResponseHeaders};
use crate::route::Route;
use crate::{admin, login, server, session, upstream};

pub use diagnostic::{Diagnostic, Place, Problems, Severity};

pub mod brief;
pub mod diagnostic;
mod document;
pub mod file;
mod interpolate;
mod resolve;
mod typed;
pub mod units;
pub mod users;

/// Where a configuration comes from.
#[derive(Clone)]
pub enum Source {
    /// A file; relative paths in it start at its directory.
    File(PathBuf),
    /// A text; relative paths in it start at the working directory.
    Text {
        /// What diagnostics call it.
        name: String,
        /// The YAML.
        text: String,
    },
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Source").field(&self.name()).finish()
    }
}

impl Source {
    /// Standard input, read to its end.
    pub fn stdin() -> std::io::Result<Self> {
        let mut text = String::new();
        std::io::stdin().take(document::LONGEST as u64 + 1).read_to_string(&mut text)?;
        Ok(Source::Text { name: "<stdin>".to_owned(), text })
    }

    /// What diagnostics call it.
    pub fn name(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::Text { name, .. } => name.clone(),
        }
    }
}

/// Everything a running gateway needs to know.
#[derive(Debug)]
pub struct Config {
    /// At least one.
    pub listeners: Vec<server::ListenerSettings>,
    /// Threads that serve requests, 1 to 1024.
    pub workers: usize,
    /// What browsers see.
    pub public_url: Option<PublicUrl>,
    /// For what must survive a restart.
    pub state_dir: Option<PathBuf>,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The most a client may send.
    pub limits: Limits,
    /// The longest a client may take.
    pub timeouts: Timeouts,
    /// Names of the identity headers.
    pub identity: IdentityNames,
    /// Who signs assertions; `None`: nobody.
    pub assertion: Option<Arc<Signer>>,
    /// Changes to every response.
    pub headers: ResponseHeaders,
    /// At least one; routes point into it.
    pub upstreams: Vec<upstream::Settings>,
    /// At least one; the first match wins.
    pub routes: Vec<Route>,
    /// Sessions, their cookie and the keys.
    pub session: session::Settings,
    /// What the store of sessions needs to know.
    pub storage: session::Storage,
    /// How people log in. `users` are those in the configuration; those in `users_file` come from [`users::load`].
    pub login: login::Settings,
    /// A line for every request.
    pub access_log: access_log::Settings,
    /// The program's own log.
    pub log: LogSettings,
    /// The listener for operators; `None`: off.
    pub admin: Option<admin::Settings>,
    /// Where the gateway's own pages are; starts and ends with a slash.
    pub reserved_prefix: String,
    /// What somebody should look at.
    pub warnings: Vec<Diagnostic>,
    /// Files this was made from: the configuration, certificates, users, interpolated files.
    pub files: Vec<PathBuf>,
}

/// `log:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// `off`, `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// JSON instead of text.
    pub json: bool,
}

/// Reads a configuration to run it; makes a key in `state_dir` when there is none.
pub fn load(source: &Source) -> Result<Config, Problems> {
    build(source, true)
}

/// Reads a configuration to look at it; writes nothing.
pub fn inspect(source: &Source) -> Result<Config, Problems> {
    build(source, false)
}

/// The JSON Schema of the configuration (draft 2020-12).
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(file::File).to_value()
}

fn build(source: &Source, makes_keys: bool) -> Result<Config, Problems> {
    let name = source.name();
    let (text, directory) = match source {
        Source::Text { text, .. } => (text.clone(), PathBuf::new()),
        Source::File(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| unreadable(&name, &error))?;
            (text, path.parent().unwrap_or(Path::new("")).to_path_buf())
        }
    };
    let parsed = document::parse(&name, &text, is_secret).map_err(|found| Problems::new(vec![*found]))?;
    let (mut document, mut value, mut found) = (parsed.document, parsed.value, parsed.twice);
    let mut lookup = interpolate::System::new(directory.clone());
    typed::prepare(&mut document, &mut value, keeps_all_keys, &mut lookup, &mut found);
    let file = typed::read(&mut document, value, &mut found);
    let mut files = lookup.files;
    if let Source::File(path) = source {
        files.insert(0, path.clone());
    }
    let mut context = resolve::Context { document, found, files, directory, makes_keys };
    let config = file.map(|file| resolve::resolve(&mut context, &file));
    let problems = Problems::new(context.found);
    match config {
        Some(config) if problems.errors() == 0 => {
            Ok(Config { warnings: problems.diagnostics().to_vec(), files: context.files, ..config })
        }
        _ => Err(problems),
    }
}

/// Maps whose keys are the operator's own.
fn keeps_all_keys(path: &str) -> bool {
    let of_a_route =
        path.starts_with("routes[") && (path.ends_with("].session_headers") || path.ends_with(".claims"));
    let of_a_token = path.starts_with("login.bearer.issuers[") && path.ends_with("].required");
    let others = ["login.local.users", "headers.response.set", "identity.extra_headers"];
    of_a_route || of_a_token || others.contains(&path)
}

/// Values that are never shown.
fn is_secret(path: &[&str]) -> bool {
    // A password under a key that is spelled wrong is one, too.
    const NO_PASSWORDS: [&str; 4] = ["user", "from_session", "from_login", "users_file"];
    if let [.., "credentials", "basic", key] = path {
        return !NO_PASSWORDS.contains(key);
    }
    matches!(
        path,
        ["keys", _, "secret"]
            | ["admin", "token"]
            | ["session", "sql", "url"]
            | ["session", "redis", "password" | "servers"]
            | ["session", "redis", "servers", _]
            | ["session", "django", "database" | "secret_key" | "secret_key_fallbacks"]
            | ["session", "django", "secret_key_fallbacks", _]
            | ["login", "ldap", "bind_password"]
            | ["login", "oidc", _, "client_secret"]
            | ["login", "local", "users", _]
            | ["login", "local", "users", _, "password"]
    )
}

fn unreadable(name: &str, error: &std::io::Error) -> Problems {
    Problems::new(vec![Diagnostic {
        severity: Severity::Error,
        message: format!("cannot read the configuration: {error}"),
        hint: (error.kind() == std::io::ErrorKind::NotFound)
            .then(|| "name a file with `-c FILE`, or make one with `cloakroom init`".to_owned()),
        key: String::new(),
        place: Place::file(name),
    }])
}
