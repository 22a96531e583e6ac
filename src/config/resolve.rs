//! Resolve: from the mirror of the file to runtime settings, with every rule that needs to know what a key means.
//!
//! Comes in: the file as read, and its places. Goes out: a [`Config`], and a diagnostic for everything that would not
//! work. Never guesses where guessing could let somebody in.

use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Severity};
use super::document::{Document, Part};
use super::file::{File, LogFormat, Workers};
use super::{Config, LogSettings, file, typed};
use crate::gateway::access_log;
use crate::gateway::settings::{Limits, PublicUrl, Timeouts};
use crate::headers::credentials::Bearer;
use crate::peer::Scheme;

mod access;
mod admin;
mod application;
mod assertion;
mod bearer;
mod certificate;
mod claims;
mod credentials;
mod django;
mod headers;
mod keys;
mod ldap;
mod listen;
pub(super) mod login;
mod looks;
mod oidc;
mod people;
mod public_url;
mod redis;
mod rights;
mod routes;
mod secret_file;
mod session;
mod sql;
mod storage;
mod totp;
mod upstreams;
mod vouching;

/// What resolving needs besides the file, and what it finds.
#[derive(Debug)]
pub(super) struct Context {
    pub document: Document,
    pub found: Vec<Diagnostic>,
    /// Files the configuration depends on.
    pub files: Vec<PathBuf>,
    /// Where relative paths start.
    pub directory: PathBuf,
    /// Whether keys may be made; otherwise nothing is written.
    pub makes_keys: bool,
}

impl Context {
    /// An error about the value at `path`; a hint may follow the message after a line feed.
    pub fn error(&mut self, path: &str, message: impl AsRef<str>) {
        self.found.push(typed::error(&self.document, path, Part::Value, message.as_ref()));
    }

    /// An error about the key at `path`.
    pub fn key_error(&mut self, path: &str, message: impl AsRef<str>) {
        self.found.push(typed::error(&self.document, path, Part::Key, message.as_ref()));
    }

    /// Something is not there; not said of a place from which something wrong has been cut out.
    pub fn missing(&mut self, path: &str, message: impl AsRef<str>) {
        if !self.document.is_damaged(path) {
            self.key_error(path, message);
        }
    }

    /// Something to look at.
    pub fn warn(&mut self, path: &str, message: impl AsRef<str>) {
        let found = typed::error(&self.document, path, Part::Value, message.as_ref());
        self.found.push(Diagnostic { severity: Severity::Warning, ..found });
    }

    /// A path as given, from the directory of the configuration file.
    pub fn path(&self, given: &str) -> PathBuf {
        self.directory.join(Path::new(given))
    }

    /// A file the configuration depends on.
    pub fn file(&mut self, given: &str) -> PathBuf {
        let path = self.path(given);
        self.files.push(path.clone());
        path
    }

    /// A whole number as the type it has at runtime, and at least `least`.
    pub fn number<T: TryFrom<u64> + PartialOrd + std::fmt::Display>(
        &mut self,
        path: &str,
        number: u64,
        least: T,
    ) -> T {
        match T::try_from(number) {
            Ok(number) if number >= least => return number,
            Ok(number) => self.error(path, format!("`{number}` is too small\nat least {least} is needed")),
            Err(_) => self.error(path, format!("`{number}` is too large")),
        }
        least
    }
}

/// Turns the file into settings. What is wrong is in `context.found`; then the result is not to be used.
pub(super) fn resolve(context: &mut Context, file: &File) -> Config {
    let public_url = public_url::resolve(context, file.public_url.as_deref());
    let listeners = listen::resolve(context, file, public_url.as_ref());
    let upstreams = upstreams::resolve(context, file, &listeners);
    let reserved_prefix = routes::reserved_prefix(context, file.reserved_prefix.as_deref());
    let routes = routes::resolve(context, file, &upstreams, &reserved_prefix);
    access::check_addresses(context, file, &listeners);
    let mut login = login::resolve(context, file);
    vouching::resolve(context, file, &listeners, &mut login);
    let state_dir = file.state_dir.as_deref().map(|given| context.path(given));
    let session = session::resolve(context, file, &listeners, public_url.as_ref());
    login.applications = application::resolve(context, &file.login.upstream, &routes, session.store);
    let around = oidc::Surroundings {
        public_url: public_url.as_ref(),
        listeners: &listeners,
        store: session.store,
        others: login.has_others_than_oidc() || routes.iter().any(|route| route.session.may_log_in()),
    };
    login.oidc = oidc::resolve(context, &file.login.oidc, &around);
    login.oidc.tells_access = credentials::tells(&routes, Bearer::AccessToken);
    credentials::check_tokens(context, &routes, &login.oidc, session.store);
    people::check(context, file, &routes, &login, session.store);
    let storage = storage::resolve(context, &file.session, session.store);
    let own_tls = listeners.iter().any(|listener| listener.tls.is_some());
    let https = own_tls || is_https(public_url.as_ref());
    let mut config = Config {
        workers: workers(file.workers.0),
        trusted_proxies: headers::trusted_proxies(context, &file.trusted_proxies, https && !own_tls),
        limits: limits(context, &file.limits),
        timeouts: timeouts(&file.timeouts),
        assertion: None,
        identity: headers::identity(context, &file.identity),
        headers: headers::response(context, &file.headers, https),
        access_log: access_log(context, &file.access_log.0),
        log: log(context, &file.log),
        admin: admin::resolve(context, &file.admin.0, &listeners, state_dir.as_deref()),
        listeners,
        public_url,
        state_dir,
        upstreams,
        routes,
        session,
        storage,
        login,
        reserved_prefix,
        warnings: Vec::new(),
        files: Vec::new(),
    };
    context.makes_keys &= context.found.iter().all(|found| found.severity == Severity::Warning);
    let state_dir = config.state_dir.as_deref();
    config.session.keys = keys::resolve(context, file, state_dir);
    config.assertion = assertion::resolve(context, file, config.public_url.as_ref(), state_dir);
    config
}

fn workers(given: Workers) -> usize {
    match given {
        Workers::Auto => std::thread::available_parallelism().map_or(1, usize::from),
        Workers::Number(number) => usize::try_from(number).unwrap_or(1),
    }
}

fn limits(context: &mut Context, given: &file::Limits) -> Limits {
    let limits = Limits {
        header_bytes: context.number("limits.header_bytes", given.header_bytes.0, 1024),
        headers: context.number("limits.headers", given.headers.0, 8),
        request_line: context.number("limits.request_line", given.request_line.0, 256),
        body: given.body.0,
        connections: context.number("limits.connections", given.connections.0, 1),
        connections_per_ip: context.number("limits.connections_per_ip", given.connections_per_ip.0, 0),
    };
    if limits.request_line > limits.header_bytes {
        context.error(
            "limits.request_line",
            "a request line is part of the header block\n`request_line` cannot be larger than `header_bytes`",
        );
    }
    if limits.header_bytes > 1 << 20 {
        context.error(
            "limits.header_bytes",
            "a header block of more than 1MiB would let any client fill memory",
        );
    }
    limits
}

fn timeouts(given: &file::Timeouts) -> Timeouts {
    Timeouts {
        header: given.header.0,
        idle: given.idle.0,
        body: given.body.0,
        request: given.request.0,
        drain: given.drain.0,
    }
}

fn log(context: &mut Context, given: &file::Log) -> LogSettings {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let level = given.level.to_ascii_lowercase();
    if !LEVELS.contains(&level.as_str()) {
        let hint =
            typed::did_you_mean(&level, &LEVELS).or_else(|| typed::listed(&LEVELS)).unwrap_or_default();
        context.error("log.level", format!("unknown value `{}`\n{hint}", given.level));
    }
    LogSettings { level, json: given.format == LogFormat::Json }
}

fn access_log(context: &mut Context, given: &file::AccessLog) -> access_log::Settings {
    let format = match given.format {
        file::AccessLogFormat::Json => access_log::Format::Json,
        file::AccessLogFormat::Combined => access_log::Format::Combined,
        file::AccessLogFormat::Common => access_log::Format::Common,
        file::AccessLogFormat::Off => access_log::Format::Off,
    };
    let output = match given.output.as_str() {
        "stdout" => access_log::Output::Stdout,
        "stderr" | "" => {
            context.error("access_log.output", "lines go to `stdout` or to a file\nwrite `stdout` or a path");
            access_log::Output::Stdout
        }
        path => {
            let path = context.path(path);
            let directory =
                path.parent().map(|parent| if parent == Path::new("") { Path::new(".") } else { parent });
            if !directory.is_some_and(Path::is_dir) {
                context.error("access_log.output", format!("there is no directory for {}", path.display()));
            }
            access_log::Output::File(path)
        }
    };
    access_log::Settings { format, output }
}

/// Whether an address can be reached from this machine only.
fn is_local(address: &std::net::SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Whether browsers speak https to the gateway or to what stands before it.
fn is_https(public_url: Option<&PublicUrl>) -> bool {
    public_url.is_some_and(|url| url.scheme == Scheme::Https)
}
