//! Configuration of sessions: what they hold, who may know it, how long they live; and what an operator is told who wrote
//! something else.

use std::time::Duration;

use cloakroom::session::data::DataKey;
use cloakroom::session::rights::Use;
use cloakroom::session::{Create, StoreKind};

use crate::config::{accepted, said, with};
use crate::support::{EchoUpstream, Raw, TestGateway};

/// Two upstreams, and a route to `app` with this in it.
fn route(more: &str) -> String {
    format!(
        "listen: 127.0.0.1:8080\nupstreams: {{ app: http://a, shop: http://b }}\n\
         routes: [{{ path: /, upstream: app, {more} }}, {{ path: /, host: b.example, upstream: shop }}]\n\
         login: {{ local: {{ users: {{ alice: \"HASH\" }} }} }}"
    )
    .replace("[{ path: /, upstream: app", "[{ path: /a, upstream: app")
}

#[track_caller]
fn assert_said(text: &str, expected: &str) {
    let said = said(text);
    assert!(
        said.len() == 1 && said[0].contains(expected),
        "{text}\nis said to be\n{said:#?}\nnot\n{expected}"
    );
}

#[test]
fn everything_about_sessions_can_be_set() {
    let config = accepted(&with(
        "session: { rotate_every: 1m, touch_interval: 2m, max_per_user: 3, max_bytes: 1KiB, timezone: Asia/Seoul,\n\
         \x20 preferences: [shared.theme, default.lang], preferences_for: 30d, create: never, store: cookie,\n\
         \x20 memory: { max_bytes: 2MiB } }",
    ));
    let session = config.session;
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    assert_eq!((session.rotate_every, session.touch_interval), (minutes(1), minutes(2)));
    assert_eq!((session.max_per_user, session.max_bytes, session.memory_bytes), (3, 1024, 2 << 20));
    assert_eq!(session.timezone.iana_name(), Some("Asia/Seoul"));
    assert_eq!(session.preferences, [DataKey::new("shared", "theme"), DataKey::new("default", "lang")]);
    assert_eq!(session.preferences_for, minutes(30 * 24 * 60));
    assert_eq!((session.create, session.store), (Create::Never, StoreKind::Cookie));
    let never = accepted(&with("session: { rotate_every: 0s }"));
    assert_eq!(never.session.rotate_every, Duration::ZERO);
}

#[test]
fn short_limits_are_told_to_a_store_in_time() {
    let touched = |limits: &str| accepted(&with(&format!("session: {{ {limits} }}"))).session.touch_interval;
    assert_eq!(touched("idle_timeout: 30m"), Duration::from_secs(60));
    assert_eq!(touched("idle_timeout: 1m"), Duration::from_secs(30));
    assert_eq!(touched("anonymous_timeout: 20s"), Duration::from_secs(10));
}

#[test]
fn an_upstream_may_do_what_its_route_says() {
    let config = accepted(&route(
        "activity: false, session: { read: [theme, shared.x, \"shop.*\"], write: [], login: true },\n\
         \x20 session_headers: { X-Theme: theme, x-cart: shop.cart, X.Lang: shared.x }",
    ));
    let first = &config.routes[0];
    let read = |key| first.session.to_internal(key, Use::Read).map(|key| key.to_string());
    assert_eq!(read("theme").as_deref(), Some("app.theme"));
    assert_eq!(read("shop.any").as_deref(), Some("shop.any"));
    assert_eq!((read("cart"), read("shared.y")), (None, None));
    assert_eq!(first.session.to_internal("theme", Use::Write), None);
    assert!(first.session.may_log_in() && !first.activity);
    let headers: Vec<_> =
        first.session_headers.iter().map(|header| (header.name.as_str(), header.key.to_string())).collect();
    let expected = [("X-Theme", "app.theme"), ("X.Lang", "shared.x"), ("x-cart", "shop.cart")];
    assert_eq!(headers, expected.map(|(name, key)| (name, key.to_owned())));
    let other = &config.routes[1];
    assert!(other.activity && !other.session.may_log_in());
    assert_eq!(other.session.space(), "shop");
    assert!(other.session.to_internal("shared.x", Use::Write).is_some());
    assert!(other.session.to_internal("app.theme", Use::Read).is_none());
}

#[test]
fn wrong_limits_are_told_what_to_do() {
    let cases = [
        ("rotate_every: 59s", "write at least `1m`, or `0s` for never"),
        ("touch_interval: 500ms", "`500ms` is not between `1s` and `5m`"),
        ("touch_interval: 6m", "at most `10m`, and half of `idle_timeout` and `anonymous_timeout`"),
        (
            "anonymous_timeout: 1h, idle_timeout: 1h, touch_interval: 11m",
            "`11m` is not between `1s` and `10m`",
        ),
        ("idle_timeout: 0s, touch_interval: 1m", "a session without a limit"),
        ("max_bytes: 10B", "at least 64 is needed"),
        ("memory: { max_bytes: 1KiB }", "at least 1048576 is needed"),
        ("timezone: Asia/Soul", "`Asia/Soul` is not a time zone | write a name such as `Asia/Seoul`"),
        ("create: nevr", "did you mean `never`?"),
        ("store: reddis", "did you mean `redis`?"),
        ("preferences: [theme]", "`theme` is not a key with its name space | write `shared.theme`"),
        ("preferences: [shared.Theme]", "is not a key with its name space"),
        ("preferences: [\"shared.*\"]", "is not a key with its name space"),
        ("preferences: [shard.theme]", "no upstream has the name space `shard` | did you mean `shared`?"),
    ];
    for (setting, expected) in cases {
        assert_said(&with(&format!("session: {{ {setting} }}")), expected);
    }
}

#[test]
fn wrong_rights_are_told_what_to_do() {
    let cases = [
        ("session: { read: [shpo.cart] }", "no upstream has the name space `shpo` | did you mean `shop`?"),
        ("session: { write: [Theme] }", "`Theme` is not a key | write `theme` for the upstream's own"),
        ("session: { raed: [theme] }", "unknown key `raed` | did you mean `read`?"),
        ("session_headers: { X-Theme: shop.theme }", "`shop.theme` is not a key that this upstream may read"),
        ("session_headers: { X-Theme: \"*\" }", "`*` is not a key that this upstream may read"),
        ("session: { read: [Theme] }, session_headers: { X-Theme: theme }", "`Theme` is not a key"),
        ("session: { read: 1 }, session_headers: { X-Theme: shop.theme }", "expected a list"),
    ];
    for (setting, expected) in cases {
        assert_said(&route(setting), expected);
    }
    // Without an upstream no key can be right, and one mistake is one error.
    let none = "listen: 127.0.0.1:1\nroutes: [{ access: optional, session: { read: [theme] } }]";
    assert_said(none, "no upstream");
}

#[test]
fn a_header_of_a_key_has_a_name_of_its_own() {
    for name in [
        "x_auth-user",
        "X.Auth.Groups",
        "X-Auth-Assertion",
        "Session-Theme",
        "session_data",
        "X-Forwarded-Theme",
        "Forwarded",
        "X_Real_IP",
        "X-Request-Id",
        "X-Original-URL",
        "Cookie",
        "Content_Length",
        "Authorization",
        "Proxy",
    ] {
        assert_said(
            &route(&format!("session_headers: {{ {name}: theme }}")),
            &format!("`{name}` has a meaning of its own | choose another, such as `X-Theme`"),
        );
    }
    assert_said(&route("session_headers: { X Theme: theme }"), "`X Theme` is not the name of a header");
    assert_said(
        &route("session_headers: { X-Theme: theme, x_theme: lang }"),
        "applications cannot tell `x_theme`",
    );
    let renamed = format!("{}\nidentity: {{ headers: {{ user: Remote-User }} }}", {
        route("session_headers: { remote_user: theme }")
    });
    assert_said(&renamed, "`remote_user` has a meaning of its own");
}

#[test]
fn every_upstream_has_a_name_space_of_its_own() {
    let upstreams = |names: &str| {
        format!(
            "listen: 127.0.0.1:8080\nupstreams: {{ {names} }}\n\
             routes: [{{ path: /a, upstream: app, access: public }}, {{ upstream: app, access: optional }}]"
        )
    };
    let twice = said(&upstreams("app: http://a, App: http://b"));
    assert_eq!(
        twice,
        ["2:14 `app` and `App` would have one name space in sessions, `app` | give one of them another name"]
    );
    assert_said(
        &upstreams("app: http://a, Shared: http://b"),
        "`shared` is the name space of keys that all upstreams may use | give this one another name",
    );
}

#[test]
fn what_a_public_route_says_of_sessions_is_warned_of() {
    for setting in ["session: { login: true }", "session_headers: { X-Theme: theme }"] {
        let config = accepted(&route(&format!("access: public, {setting}")));
        let said: Vec<_> = config.warnings.iter().map(|found| found.message.as_str()).collect();
        assert!(
            said.iter().any(|said| said.contains("sessions are not looked at on this route")),
            "{said:?}"
        );
    }
}

#[test]
fn nobody_but_the_gateway_says_what_a_session_holds() {
    let upstream = EchoUpstream::start();
    let routes = "routes: [{ path: /public, access: public }, \
                  { path: /, access: optional, session_headers: { X-Theme: theme } }]";
    let gateway = TestGateway::before(&upstream, routes);
    for path in ["/public", "/"] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: a.example\r\nX-Theme: mallory\r\nx_theme: mallory\r\nTrailer: X.Theme\r\n\
             X-Themes: kept\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX.Theme: mallory\r\n\r\n"
        );
        assert_eq!(Raw::ask(gateway.address(), &request).status, 200);
        let seen = upstream.requests().pop().expect("a request");
        assert!(!seen.head.contains("mallory") && seen.head.contains("X-Themes: kept"), "{}", seen.head);
        assert!(!seen.trailers.contains("mallory"), "{}", seen.trailers);
    }
}
