//! Assembly: a configuration becomes a running gateway.
//!
//! Comes in: a [`Config`]. Goes out: a [`Running`] gateway that can be given a new one. Knows everybody and is known by
//! the commands only. What outlives a configuration (sessions, the throttle, the logs) is kept here.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::admin::{self, Admin, Readiness, Subjects};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::gateway::access_log::{self, AccessLog};
use crate::gateway::settings::Settings;
use crate::gateway::watchers::Watchers;
use crate::headers::OurCookies;
use crate::login::oidc::Oidc;
use crate::login::outside::OutsideError;
use crate::login::users::{UsersError, UsersSource};
use crate::login::{Lasting, Login, OWN_COOKIES};
use crate::server::{ListenAddress, Server, ServerError};
use crate::session::store::StoreError;
use crate::session::{Keeper, Sessions, StoreKind};
use crate::upstream;
use chores::{Chores, Present};

mod chores;
mod keeping;

/// Why a configuration cannot be run, though nothing is wrong with its text.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// Listeners.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// TLS towards an upstream.
    #[error("upstream {0}: {1}")]
    UpstreamTls(String, upstream::tls::TlsError),
    /// Users.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// Logins elsewhere.
    #[error("cannot ask the providers of `login.oidc`: {0}")]
    Oidc(OutsideError),
    /// The access log's file.
    #[error("cannot open the access log: {0}")]
    AccessLog(io::Error),
    /// The store of sessions.
    #[error("cannot use the session store: {0}")]
    Store(StoreError),
    /// Sessions cannot move while people are signed in.
    #[error("`session.store` was changed: that takes a restart")]
    OtherStore,
    /// The admin listener.
    #[error("cannot listen on {0} for operators (`admin: off` goes without): {1}")]
    Admin(SocketAddr, io::Error),
}

/// A running gateway.
pub struct Running {
    keeper: Arc<Keeper>,
    store: StoreKind,
    present: Arc<Present>,
    chores: Chores,
    lasting: Lasting,
    watchers: Arc<Watchers>,
    access_log: Arc<AccessLog>,
    log_settings: access_log::Settings,
    clock: Clock,
    server: Server,
    admin: Option<Admin>,
    subjects: Subjects,
    drain: Duration,
}

impl Running {
    /// Starts everything, or nothing.
    pub fn start(config: Config, clock: Clock) -> Result<Self, AssemblyError> {
        let keeper = Arc::new(keeping::keeper(&config.session, config.storage.clone(), &clock)?);
        let (watchers, lasting) = (Arc::default(), Lasting::default());
        let log_settings = config.access_log.clone();
        let access_log = Arc::new(AccessLog::open(&log_settings).map_err(AssemblyError::AccessLog)?);
        let (workers, listeners, drain) = (config.workers, config.listeners.clone(), config.timeouts.drain);
        let (store, admin) = (config.session.store, config.admin.clone());
        let settings = settings(config, &keeper, &lasting, &watchers, &access_log, &clock)?;
        let present = Arc::new(Present::from_pointee((settings.sessions.clone(), settings.login.clone())));
        let current = Arc::new(ArcSwap::new(settings.sessions.clone()));
        let token =
            Arc::new(ArcSwapOption::new(admin.as_ref().and_then(|admin| admin.token.clone()).map(Arc::new)));
        let subjects =
            Subjects { readiness: Readiness::default(), sessions: current, token, clock: clock.clone() };
        let admin = start_admin(admin.as_ref(), &subjects)?;
        let server = Server::start(workers, &listeners, &settings)?;
        let chores = Chores::start(&present, &clock).map_err(ServerError::Thread)?;
        subjects.readiness.set(true);
        Ok(Self {
            keeper,
            store,
            present,
            chores,
            lasting,
            watchers,
            access_log,
            log_settings,
            clock,
            server,
            admin,
            subjects,
            drain,
        })
    }

    /// Goes on with a new configuration; on any error everything is as before.
    pub fn reload(&mut self, config: Config) -> Result<(), AssemblyError> {
        if config.session.store != self.store {
            return Err(AssemblyError::OtherStore);
        }
        let access_log = match config.access_log == self.log_settings {
            true => self.access_log.clone(),
            false => Arc::new(AccessLog::open(&config.access_log).map_err(AssemblyError::AccessLog)?),
        };
        let moves = match (&config.admin, &self.admin) {
            (Some(wanted), Some(admin)) => !admin.is_at(wanted),
            (wanted, admin) => wanted.is_some() != admin.is_some(),
        };
        let wanted = config.admin.clone();
        let admin = if moves { start_admin(wanted.as_ref(), &self.subjects)? } else { None };
        let (log_settings, listeners, drain) =
            (config.access_log.clone(), config.listeners.clone(), config.timeouts.drain);
        let (lasting, watchers) = (&self.lasting, &self.watchers);
        let settings = settings(config, &self.keeper, lasting, watchers, &access_log, &self.clock)?;
        self.server.reload(&listeners, &settings)?;
        if let Some(shared) = self.keeper.shared() {
            shared.set_lifetime(*settings.sessions.lifetime());
        }
        self.present.store(Arc::new((settings.sessions.clone(), settings.login.clone())));
        self.subjects.sessions.store(settings.sessions.clone());
        self.subjects.token.store(wanted.and_then(|admin| admin.token).map(Arc::new));
        if moves {
            self.admin = admin;
        }
        (self.access_log, self.log_settings, self.drain) = (access_log, log_settings, drain);
        Ok(())
    }

    /// Opens log files anew, after they were moved away.
    pub fn reopen_logs(&self) {
        self.access_log.reopen();
    }

    /// Where clients come in by TCP.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// Where clients come in by Unix sockets.
    pub fn sockets(&self) -> impl Iterator<Item = &ListenAddress> {
        self.server.listeners().filter(|address| matches!(address, ListenAddress::Unix(_)))
    }

    /// Where operators look.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// The sessions, for looking.
    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// Finishes requests under way, writes the last lines, and ends.
    pub fn stop(self) {
        self.subjects.readiness.set(false);
        self.server.stop(self.drain);
        self.chores.stop(&self.present);
        self.access_log.close();
    }
}

fn start_admin(
    settings: Option<&admin::Settings>,
    subjects: &Subjects,
) -> Result<Option<Admin>, AssemblyError> {
    let start = |settings: &admin::Settings| {
        Admin::start(settings, subjects.clone())
            .map_err(|error| AssemblyError::Admin(settings.address, error))
    };
    settings.map(start).transpose()
}

/// The pipeline's settings, around what outlives them.
fn settings(
    config: Config,
    keeper: &Arc<Keeper>,
    lasting: &Lasting,
    watchers: &Arc<Watchers>,
    access_log: &Arc<AccessLog>,
    clock: &Clock,
) -> Result<Arc<Settings>, AssemblyError> {
    let mut upstreams = Vec::with_capacity(config.upstreams.len());
    for upstream in config.upstreams {
        let tls = upstream::tls::for_servers(&upstream);
        let tls = tls.map_err(|error| AssemblyError::UpstreamTls(upstream.name.clone(), error))?;
        upstreams.push((upstream, tls));
    }
    let users_file = config.login.local.as_ref().and_then(|local| local.users_file.clone());
    let source = users_file.map(users_source);
    let oidc = Oidc::new(config.login.oidc.clone(), lasting.used.clone()).map_err(AssemblyError::Oidc)?;
    let login = Login::new(config.login, &config.reserved_prefix, source, lasting.clone())?;
    let login = Arc::new(login.with_oidc(oidc));
    let our_cookies = OurCookies::new(&config.session.cookie.name, &OWN_COOKIES);
    Ok(Arc::new(Settings {
        our_cookies,
        names: config.identity,
        assertion: config.assertion,
        response_headers: config.headers,
        trusted_proxies: config.trusted_proxies,
        routes: config.routes,
        upstreams,
        limits: config.limits,
        timeouts: config.timeouts,
        reserved_prefix: config.reserved_prefix.trim_end_matches('/').to_owned(),
        public_url: config.public_url,
        sessions: Arc::new(Sessions::new(config.session, keeper.clone(), login.clone())),
        login,
        watchers: watchers.clone(),
        access_log: access_log.clone(),
        clock: clock.clone(),
    }))
}

fn users_source(path: PathBuf) -> UsersSource {
    Box::new(move || config::users::load(&path).map_err(|problems| problems.to_string()))
}
