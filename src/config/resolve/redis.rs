//! Redis: which servers keep the sessions.
//!
//! Comes in: `session.redis:` as written. Goes out: settings of the store. Never shows a password, and never connects.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::{Context, certificate};
use crate::config::file::{Redis, RedisMode, Secret};
use crate::headers::Host;
use crate::session::redis::{Mode, RedisSettings, Server, Tls};

/// What a response can wait for, and a person with it.
const LONGEST: Duration = Duration::from_secs(60);

/// Settings of the store.
pub(super) fn redis(context: &mut Context, given: &Redis) -> RedisSettings {
    const AT: &str = "session.redis";
    let mut servers = Vec::new();
    let (mut plain, mut secure) = (false, false);
    let usual = if given.mode == RedisMode::Sentinel { 26_379 } else { 6379 };
    for (n, Secret(url)) in given.servers.iter().enumerate() {
        match server(url.expose_secret(), usual) {
            Ok((server, tls)) => {
                (plain, secure) = (plain | !tls, secure | tls);
                servers.push(server);
            }
            Err(why) => context.error(&format!("{AT}.servers[{n}]"), why),
        }
    }
    if given.servers.is_empty() {
        context.missing(AT, "the server is missing\nadd `servers: [redis://127.0.0.1:6379]`");
    }
    if plain && secure {
        context.error(
            &format!("{AT}.servers"),
            "some by TLS and some without\nwrite `rediss://` for all of them, or `redis://`",
        );
    }
    if given.mode == RedisMode::Single && servers.len() > 1 {
        context.error(
            &format!("{AT}.servers"),
            "several servers, and the mode is for one\nadd `mode: sentinel` or `mode: cluster`",
        );
    }
    if given.timeout.0.is_zero() || given.timeout.0 > LONGEST {
        let message =
            format!("`{}` is no time to wait for Redis\nwrite a duration such as `500ms`", given.timeout);
        context.error(&format!("{AT}.timeout"), message);
    }
    let plain_text = |byte: u8| byte.is_ascii_graphic() && !b"{}[]*?\\^".contains(&byte);
    if given.prefix.is_empty() || !given.prefix.bytes().all(plain_text) {
        context.error(
            &format!("{AT}.prefix"),
            "keys cannot begin like this\nwrite letters, digits and `:`, such as `cloakroom:`",
        );
    }
    let tls = tls(context, given, secure);
    if plain && given.password.is_some() && servers.iter().any(|server| !is_here(&server.host)) {
        context.warn(
            &format!("{AT}.servers"),
            "the password and all sessions can be read on the way\nwrite `rediss://…`",
        );
    }
    RedisSettings {
        servers,
        mode: mode(context, given),
        username: given.username.clone(),
        password: given.password.as_ref().map(|Secret(password)| password.clone()),
        database: context.number("session.redis.database", given.database.0, 0),
        tls,
        prefix: given.prefix.clone(),
        timeout: given.timeout.0,
    }
}

fn tls(context: &mut Context, given: &Redis, secure: bool) -> Option<Tls> {
    let ca = given.tls.ca.as_deref();
    let ca = ca.map(|ca| certificate::authorities(context, "session.redis.tls.ca", ca));
    if ca.is_some() && !secure {
        context.error(
            "session.redis.tls",
            "TLS is for servers by `rediss`, and there is none\nwrite `rediss://…`",
        );
    }
    secure.then_some(Tls { ca })
}

fn mode(context: &mut Context, given: &Redis) -> Mode {
    match (given.mode, &given.sentinel_name) {
        (RedisMode::Sentinel, Some(name)) if !name.is_empty() => Mode::Sentinel { name: name.clone() },
        (RedisMode::Sentinel, _) => {
            context.missing(
                "session.redis",
                "which primary the Sentinels are to name is missing\nadd `sentinel_name: mymaster`",
            );
            Mode::Single
        }
        (mode, Some(_)) => {
            context.error("session.redis.sentinel_name", "this is for `mode: sentinel`\nleave it out");
            if mode == RedisMode::Cluster { Mode::Cluster } else { Mode::Single }
        }
        (RedisMode::Cluster, None) => {
            if given.database.0 != 0 {
                context.error("session.redis.database", "a Cluster has only database 0\nleave it out");
            }
            Mode::Cluster
        }
        (RedisMode::Single, None) => Mode::Single,
    }
}

/// Where a server is, and whether it is reached by TLS. The text may hold a password, so nothing of it is shown.
fn server(url: &str, usual: u16) -> Result<(Server, bool), &'static str> {
    const FORM: &str = "this is not a server\nwrite `redis://host:6379`, or `rediss://host:6379` for TLS";
    let (scheme, place) = url.split_once("://").ok_or(FORM)?;
    let tls = match scheme {
        "redis" => false,
        "rediss" => true,
        _ => return Err(FORM),
    };
    if place.contains('@') {
        return Err(
            "user and password stand apart from the server\nwrite `username:` and `password:` under `redis:`",
        );
    }
    let place = place.trim_end_matches('/');
    if place.contains('/') {
        return Err("the database stands apart from the server\nwrite `database:` under `redis:`");
    }
    let host = Host::parse(place).ok_or(FORM)?;
    let name = host.name().trim_matches(['[', ']']).to_owned();
    Ok((Server { host: name, port: host.port().unwrap_or(usual) }, tls))
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Problems, Source, inspect};
    use crate::session::Storage;

    fn read(redis: &str) -> Result<RedisSettings, Problems> {
        let text = format!(
            "listen: 127.0.0.1:8080\nupstream: http://127.0.0.1:3000\nlogin: {{ local: {{ users_file: /dev/null }} }}\n\
             session: {{ store: redis, redis: {{ {redis} }} }}\n"
        );
        let config = inspect(&Source::Text { name: "cloakroom.yaml".to_owned(), text })?;
        match config.storage {
            Storage::Redis(settings) => Ok(*settings),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_is_enough() {
        let settings = read("servers: ['redis://cache.internal']").expect("accepted");
        assert_eq!(settings.servers, [Server { host: "cache.internal".to_owned(), port: 6379 }]);
        assert_eq!((settings.mode, settings.timeout), (Mode::Single, Duration::from_millis(500)));
        assert!(settings.tls.is_none());
        let settings =
            read("servers: ['rediss://[::1]:7000', 'rediss://b:7001'], mode: cluster").expect("accepted");
        assert_eq!(settings.servers[0], Server { host: "::1".to_owned(), port: 7000 });
        assert!(settings.mode == Mode::Cluster && settings.tls.is_some());
    }

    #[test]
    fn sentinels_have_a_port_of_their_own() {
        let text = "servers: ['redis://a', 'redis://b:7000'], mode: sentinel, sentinel_name: mymaster";
        let settings = read(text).expect("accepted");
        assert_eq!(settings.servers.iter().map(|server| server.port).collect::<Vec<_>>(), [26_379, 7000]);
        assert_eq!(settings.mode, Mode::Sentinel { name: "mymaster".to_owned() });
    }

    #[test]
    fn what_cannot_work_is_said_and_no_password_is_shown() {
        for (given, told) in [
            ("servers: []", "the server is missing"),
            ("servers: ['redis://u:hidden@h']", "stand apart"),
            ("servers: ['redis://h/3']", "`database:`"),
            ("servers: ['http://h']", "not a server"),
            ("servers: ['redis://a', 'redis://b']", "`mode: sentinel`"),
            ("servers: ['redis://a', 'rediss://b'], mode: cluster", "some by TLS"),
            ("servers: ['redis://a'], mode: sentinel", "`sentinel_name: mymaster`"),
            ("servers: ['redis://a'], sentinel_name: m", "leave it out"),
            ("servers: ['redis://a'], mode: cluster, database: 3", "only database 0"),
            ("servers: ['redis://a'], prefix: 'a{b}'", "cannot begin"),
            ("servers: ['redis://a'], timeout: 0s", "no time to wait"),
            ("servers: ['redis://a'], tls: { ca: nowhere.pem }", "by `rediss`"),
        ] {
            let problems = read(given).expect_err(given).to_string();
            assert!(problems.contains(told), "{given}: {problems}");
            assert!(!problems.contains("hidden"), "{problems}");
        }
    }
}
