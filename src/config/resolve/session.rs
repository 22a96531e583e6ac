//! Session: limits, and a cookie that browsers accept.
//!
//! Comes in: `session:` as written, and whether https is in use. Goes out: settings in which `auto` is decided. Never
//! makes a cookie that a browser would drop.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::{Context, is_https, is_local, rights};
use crate::config::file::{Cookie, CreateSession, File, SameSiteWord, Secure, Session, StoreWord};
use crate::config::units;
use crate::gateway::settings::PublicUrl;
use crate::headers::Host;
use crate::peer::Scheme;
use crate::server::{ListenAddress, ListenerSettings};
use crate::session::{CookieSettings, Create, SameSite, Settings, StoreKind};

/// Session settings, still without keys.
pub(super) fn resolve(
    context: &mut Context,
    file: &File,
    listeners: &[ListenerSettings],
    public_url: Option<&PublicUrl>,
) -> Settings {
    let given = &file.session;
    for (key, limit) in [
        ("idle_timeout", given.idle_timeout),
        ("absolute_timeout", given.absolute_timeout),
        ("anonymous_timeout", given.anonymous_timeout),
    ] {
        if limit.0.is_zero() {
            context.error(
                &format!("session.{key}"),
                "a session without a limit\nwrite a duration such as `30m`",
            );
        }
    }
    if given.absolute_timeout < given.idle_timeout {
        let message = format!(
            "shorter than `idle_timeout`, which is {}\n`absolute_timeout` ends a session however busy it is",
            given.idle_timeout
        );
        context.error("session.absolute_timeout", message);
    }
    Settings {
        idle: given.idle_timeout.0,
        absolute: given.absolute_timeout.0,
        anonymous: given.anonymous_timeout.0,
        remember: given.remember_for.0,
        rotate_every: rotation(context, given),
        touch_interval: touch_interval(context, given),
        max_per_user: context.number("session.max_per_user", given.max_per_user.0, 0),
        max_bytes: context.number("session.max_bytes", given.max_bytes.0, 64),
        timezone: timezone(context, &given.timezone),
        preferences: rights::preferences(context, file),
        preferences_for: given.preferences_for.0,
        store: match given.store {
            StoreWord::Memory => StoreKind::Memory,
            StoreWord::Redis => StoreKind::Redis,
            StoreWord::Sql => StoreKind::Sql,
            StoreWord::Cookie => StoreKind::Cookie,
            StoreWord::Django => StoreKind::Django,
        },
        memory_bytes: context.number("session.memory.max_bytes", given.memory.max_bytes.0, 1 << 20),
        cookie: cookie(context, file, listeners, public_url),
        max_sessions: context.number("session.memory.max_sessions", given.memory.max_sessions.0, 1),
        snapshot: given.memory.snapshot.as_deref().map(|given| snapshot(context, file, given)),
        keys: Vec::new(),
        create: match given.create {
            CreateSession::Lazy => Create::Lazy,
            CreateSession::Always => Create::Always,
            CreateSession::Never => Create::Never,
        },
    }
}

/// Where sessions wait while the gateway is down.
fn snapshot(context: &mut Context, file: &File, given: &str) -> PathBuf {
    const AT: &str = "session.memory.snapshot";
    let path = context.path(given);
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let state_dir = file.state_dir.as_deref().map(|given| context.path(given));
    // The first start makes `state_dir` together with a key.
    let will_be = file.keys.is_empty() && state_dir.is_some_and(|state_dir| state_dir == directory);
    if given.is_empty() || given.ends_with('/') || path.is_dir() {
        context.error(AT, "a file is needed\nwrite a path such as `/var/lib/cloakroom/sessions`");
    } else if !directory.is_dir() && !will_be {
        context.error(AT, format!("there is no directory for {}", path.display()));
    }
    if file.keys.is_empty() && file.state_dir.is_none() {
        context.warn(
            AT,
            "the key is made in memory, and nobody can read the snapshot after a restart\n\
             add `state_dir: /var/lib/cloakroom`, or `keys`",
        );
    }
    path
}

/// An id must have had the time to be shown.
fn rotation(context: &mut Context, given: &Session) -> Duration {
    let every = given.rotate_every.0;
    if !every.is_zero() && every < Duration::from_secs(60) {
        context.error(
            "session.rotate_every",
            "ids would be replaced faster than browsers can follow\nwrite at least `1m`, or `0s` for never",
        );
    }
    every
}

/// How far behind a store may be with the last use of a session. Unless it is written, short limits make it short.
fn touch_interval(context: &mut Context, given: &Session) -> Duration {
    const AT: &str = "session.touch_interval";
    const MOST: Duration = Duration::from_secs(600);
    let (interval, shortest) = (given.touch_interval.0, given.idle_timeout.0.min(given.anonymous_timeout.0));
    let most = MOST.min(shortest / 2);
    if !context.document.has(AT) {
        return interval.min(most);
    }
    if interval < Duration::from_secs(1) || interval > most && !shortest.is_zero() {
        let message = format!(
            "`{}` is not between `1s` and `{}`\n\
             a store that does not hear of a session in time takes it for an idle one: at most `10m`, and half of \
             `idle_timeout` and `anonymous_timeout`",
            given.touch_interval,
            units::Duration(most)
        );
        context.error(AT, message);
    }
    interval
}

fn timezone(context: &mut Context, name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or_else(|_| {
        let message = format!("`{name}` is not a time zone\nwrite a name such as `Asia/Seoul` or `UTC`");
        context.error("session.timezone", message);
        TimeZone::UTC
    })
}

fn cookie(
    context: &mut Context,
    file: &File,
    listeners: &[ListenerSettings],
    public_url: Option<&PublicUrl>,
) -> CookieSettings {
    let given = &file.session.cookie;
    let https = match public_url {
        Some(url) => url.scheme == Scheme::Https,
        None => listeners.iter().any(|listener| listener.tls.is_some()),
    };
    let secure = match given.secure.0 {
        Secure::Auto => https,
        Secure::True => true,
        Secure::False => false,
    };
    if given.secure.0 == Secure::True && !https && !context.document.is_damaged("listen") {
        context.error(
            "session.cookie.secure",
            "browsers drop a Secure cookie that comes over plain http\n\
             add `tls` to the listener, or `public_url: https://…` if TLS ends in front of this gateway, or write `auto`",
        );
    }
    let beyond = |listener: &ListenerSettings| {
        matches!(&listener.address, ListenAddress::Tcp(address) if !is_local(address)) || is_https(public_url)
    };
    if given.secure.0 == Secure::False && !file.allow_insecure.0 && listeners.iter().any(beyond) {
        context.error(
            "session.cookie.secure",
            "a cookie that is not Secure can be read on the way\nwrite `auto`, or `allow_insecure: true` if you mean it",
        );
    }
    check_attributes(context, given, secure);
    let prefixed = secure && given.domain.is_none() && given.path == "/";
    let usual = if prefixed { "__Host-cloakroom" } else { "cloakroom" };
    let name = given.name.clone().unwrap_or_else(|| usual.to_owned());
    check_name(context, &name, given, secure);
    CookieSettings {
        name,
        secure,
        same_site: match given.same_site {
            SameSiteWord::Lax => SameSite::Lax,
            SameSiteWord::Strict => SameSite::Strict,
            SameSiteWord::None => SameSite::None,
        },
        path: given.path.clone(),
        domain: given.domain.as_ref().map(|domain| domain.trim_start_matches('.').to_ascii_lowercase()),
        partitioned: given.partitioned.0,
    }
}

fn check_attributes(context: &mut Context, given: &Cookie, secure: bool) {
    if given.same_site == SameSiteWord::None && !secure {
        context.error(
            "session.cookie.same_site",
            "`none` needs a Secure cookie, and this one is not\nserve https, or write `lax`",
        );
    }
    if given.partitioned.0 && !secure {
        context
            .error("session.cookie.partitioned", "a partitioned cookie must be Secure, and this one is not");
    }
    let in_path = |byte: u8| byte.is_ascii_graphic() && byte != b';';
    if !given.path.starts_with('/') || !given.path.bytes().all(in_path) {
        context
            .error("session.cookie.path", format!("`{}` is not a path for a cookie\nwrite `/`", given.path));
    }
    let domain = given.domain.as_deref().map(|domain| domain.trim_start_matches('.'));
    if domain.is_some_and(|name| Host::parse(name).is_none_or(|host| host.port().is_some())) {
        context.error("session.cookie.domain", "this is not a domain\nwrite `example.com`");
    }
}

/// Names and their prefixes (RFC 6265bis, section 4.1.3).
fn check_name(context: &mut Context, name: &str, given: &Cookie, secure: bool) {
    const AT: &str = "session.cookie.name";
    let lower = name.to_ascii_lowercase();
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        context
            .error(AT, format!("`{name}` is not a name for a cookie\nletters, digits, `-` and `_` are safe"));
    }
    if crate::login::OWN_COOKIES.contains(&name) {
        context.error(AT, format!("`{name}` is a cookie of the login page\nuse another name"));
    }
    let Some(prefix) =
        ["__Host-", "__Secure-"].into_iter().find(|prefix| lower.starts_with(&prefix.to_lowercase()))
    else {
        return;
    };
    if !name.starts_with(prefix) {
        context.error(AT, format!("the prefix is written `{prefix}`"));
    } else if !secure {
        context.error(
            AT,
            format!(
                "a `{prefix}` cookie must be Secure, and this one is not\nserve https, or use another name"
            ),
        );
    } else if prefix == "__Host-" && given.domain.is_some() {
        context.error(AT, "a `__Host-` cookie has no domain\nleave `domain` out, or use another name");
    } else if prefix == "__Host-" && given.path != "/" {
        context.error(AT, "a `__Host-` cookie has the path `/`\nleave `path` out, or use another name");
    }
}
