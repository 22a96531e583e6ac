//! Configuration: what is accepted, and what an operator is told when it is not.

use std::path::Path;
use std::time::Duration;

use cloakroom::access::Access;
use cloakroom::config::{Config, Problems, Severity, Source, inspect, load, users};
use cloakroom::server::ListenAddress;
use cloakroom::upstream::Server;

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                    kHHfMRFA5yvMgMTQkM0FBqfjYdlHKwi2Nhz8hZSJ7QE";

fn read(text: &str) -> Result<Config, Problems> {
    inspect(&Source::Text { name: "cloakroom.yaml".to_owned(), text: text.replace("HASH", HASH) })
}

pub fn accepted(text: &str) -> Config {
    read(text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What is said about a text: `line:column message | hint`, errors only.
pub fn said(text: &str) -> Vec<String> {
    let Err(problems) = read(text) else { return Vec::new() };
    let errors = problems.diagnostics().iter().filter(|found| found.severity == Severity::Error);
    errors
        .map(|found| {
            let hint = found.hint.as_ref().map(|hint| format!(" | {hint}")).unwrap_or_default();
            format!("{}:{} {}{hint}", found.place.line, found.place.column, found.message)
        })
        .collect()
}

const MINIMAL: &str = "\
listen: 127.0.0.1:8080
upstream: http://127.0.0.1:3000
login:
  local:
    users:
      alice: \"HASH\"     # cloakroom hash-password
";

/// The minimal form with more lines in front.
pub fn with(more: &str) -> String {
    format!("{more}\n{MINIMAL}")
}

#[test]
fn the_minimal_form_works_as_it_is() {
    let config = accepted(MINIMAL);
    assert_eq!(config.listeners[0].address, ListenAddress::Tcp(([127, 0, 0, 1], 8080).into()));
    assert_eq!(config.upstreams[0].servers, [Server::Http("127.0.0.1".to_owned(), 3000)]);
    assert_eq!((config.routes.len(), &config.routes[0].access), (1, &Access::Login));
    assert_eq!(config.session.cookie.name, "cloakroom");
    assert_eq!(config.session.idle, Duration::from_secs(30 * 60));
    assert_eq!(config.admin.as_ref().map(|admin| admin.address.port()), Some(9901));
    assert_eq!(config.reserved_prefix, "/_cloakroom/");
    assert!(config.warnings.iter().any(|found| found.message.contains("the key is made in memory")));
}

#[test]
fn every_mistake_is_reported_in_one_run_with_its_place() {
    let text = "\
listn: 127.0.0.1:1
listen: 127.0.0.1:8080
upstreams:
  app: { servers: [http://127.0.0.1:3000], balnce: round_robin }
routes:
  - { path: static, access: pubic, upstream: ap }
  - { path: /, upstream: app }
  - { path: /late, upstream: app }
session: { idle_timeout: 30, cookie: { same_site: none } }
limits: { headers: many, body: 5 }
log: { level: verbose }
login: { local: { users: { alice: hunter2 } } }
";
    let expected = [
        "1:1 unknown key `listn` | did you mean `listen`?",
        "4:44 unknown key `balnce` | did you mean `balance`?",
        "6:13 `static` does not start with a slash | write `/static`",
        "6:29 unknown value `pubic` | did you mean `public`?",
        "6:46 no upstream is called `ap` | did you mean `app`?",
        "8:5 unreachable: `routes[1]` on line 7 takes every request before this route | put the narrower route \
         first; the first match wins",
        "9:26 `30` has no unit | write `30s`, `30m` or `30h`",
        "9:51 `none` needs a Secure cookie, and this one is not | serve https, or write `lax`",
        "10:20 `many` is not a whole number",
        "10:32 `5` has no unit | write `5B`, `5KiB` or `5MiB`",
        "11:15 unknown value `verbose` | known here: `off`, `error`, `warn`, `info`, `debug`, `trace`",
        "12:35 this is not a password hash | make one with `cloakroom hash-password`",
    ];
    assert_eq!(said(text), expected);
}

#[test]
fn an_error_looks_like_the_compilers() {
    let problems = read(&with("sesion: {}")).expect_err("a mistake");
    let expected = "\
error: unknown key `sesion`
 --> cloakroom.yaml:1:1
  |
1 | sesion: {}
  | ^^^^^^
  |
  = help: did you mean `session`?";
    assert!(problems.to_string().starts_with(expected), "{problems}");
    let json = serde_json::to_value(&problems).expect("JSON");
    assert_eq!(json[0]["line"], 1);
    assert_eq!(json[0]["hint"], "did you mean `session`?");
}

#[test]
fn wrong_configurations_are_told_what_to_do() {
    let cases = [
        ("listen: 0.0.0.0:80\nupstream: http://a", "plain http beyond this machine"),
        ("listen: localhost:80\nupstream: http://a", "write `127.0.0.1:80`"),
        ("listen: 8080\nupstream: http://a", "`0.0.0.0:8080` for all"),
        ("listen: [127.0.0.1:80, 127.0.0.1:80]\nupstream: http://a", "has this address already"),
        (
            "listen: { address: 127.0.0.1:80, redirect_to_https: true }\nupstream: http://a",
            "no https to redirect to",
        ),
        ("upstream: http://a", "nothing to listen on"),
        ("listen: 127.0.0.1:80", "no upstream"),
        ("listen: 127.0.0.1:80\nupstream: http://127.0.0.1:80", "requests would go in circles"),
        ("listen: 127.0.0.1:80\nupstream: a:3000", "write `http://a:3000`"),
        ("listen: 127.0.0.1:80\nupstream: http://a/b", "a server has no path"),
        (
            "listen: 127.0.0.1:80\nupstream: http://a",
            "login is needed (route `default`), and nobody can log in",
        ),
        ("listen: 127.0.0.1:80\nupstreams: { a: http://a, b: http://b }", "several upstreams and no routes"),
    ];
    for (text, expected) in cases {
        let said = said(text).join("\n");
        assert!(said.contains(expected), "{text}\n{said}");
    }
}

#[test]
fn wrong_settings_are_told_what_to_do() {
    let cases = [
        ("session: { absolute_timeout: 1m }", "shorter than `idle_timeout`"),
        ("session: { cookie: { secure: true } }", "browsers drop a Secure cookie"),
        ("session: { cookie: { name: __Host-x } }", "must be Secure"),
        (
            "public_url: https://a.example\nsession: { cookie: { name: __Host-x, domain: a.example } }",
            "has no domain",
        ),
        ("public_url: https://a.example\nsession: { cookie: { secure: false } }", "can be read on the way"),
        ("public_url: a.example", "write `https://app.example.com`"),
        ("keys: [{ id: a, secret: short }]", "at least 32 are needed"),
        ("keys: [{ id: a b, secret: x }]", "an id is 1 to 32 letters"),
        ("identity: { headers: { user: X-Auth_Groups } }", "applications cannot tell"),
        ("identity: { headers: { user: Cookie } }", "has a meaning of its own"),
        ("headers: { response: { set: { A B: x } } }", "is not a header name"),
        ("headers: { response: { set: { X: \"a\\nb\" } } }", "cannot be sent as a header value"),
        ("headers: { response: { remove: [Content-Length] } }", "the gateway's own to set"),
        ("admin: { address: 0.0.0.0:9901 }", "it asks for no token"),
        ("admin: { token: short }", "can be guessed"),
        ("session: { store: redis }", "add `redis:` under `session:`"),
        ("session: { rotate_every: 5s }", "at least `1m`"),
        ("session: { timezone: Mars }", "not a time zone"),
        ("session: { preferences: [theme] }", "write `shared.theme`"),
        ("session: { preferences: [shop.theme] }", "no upstream has the name space `shop`"),
        ("routes: [{ session: { read: [\"Theme\"] } }]", "`Theme` is not a key"),
        ("routes: [{ session: { write: [shop.x] } }]", "no upstream has the name space `shop`"),
        ("routes: [{ session_headers: { \"X Y\": theme } }]", "not the name of a header"),
        ("trusted_proxies: [10.0.0.0/33]", "is not a network"),
        ("workers: 0", "expected a number from 1 to 1024"),
        ("routes: [{ path: /a//b }]", "write `/a/b`"),
        ("routes: [{ path: /a, strip_prefix: /b }]", "no path of this route starts with `/b`"),
        ("routes: [{ path: /_cloakroom/x }]", "belongs to the gateway itself"),
        ("routes: [{ host: \"*\" }]", "leave `host` out"),
        ("routes: [{ methods: [get] }]", "write `GET`"),
        ("routes: [{ access: { within: 0s } }]", "no login is ever that fresh"),
        ("limits: { body: 1MiB }\nlimits: { body: 2MiB }", "the key `limits` is given twice"),
        ("state_dir: ${NOBODY_SETS_THIS}", "is not set"),
        ("timeouts: [", "not valid YAML"),
        ("redis: {}", "unknown key `redis`"),
    ];
    for (more, expected) in cases {
        let said = said(&with(more)).join("\n");
        assert!(said.contains(expected), "{more}\n{said}");
    }
}

#[test]
fn one_mistake_is_one_error() {
    for more in [
        "public_url: a.example\nsession: { cookie: { same_site: none } }",
        "state_dir: ${NOBODY_SETS_THIS}",
        "keys: [{ id: a, secret: \"${NOBODY_SETS_THIS}\" }]",
        "keys: [{ id: a, sekret: x }]",
        "routes: [{ path: /, acces: public }]",
        "trusted_proxies: [\"${NOBODY_SETS_THIS}\"]",
        "routes: [{ pth: /a }, { path: /b }]",
        "routes: [{ path: a }, { path: /b }]",
        "routes: [{ path: /a }]\nreserved_prefix: /",
    ] {
        assert_eq!(said(&with(more)).len(), 1, "{more}: {:?}", said(&with(more)));
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let text = "\
listen: 127.0.0.1:8080
upstream: http://127.0.0.1:3000
keys: [{ id: k1, secret: TOPSECRET, bogus: 1 }, { id: k2, secret: TOPSECRET }]
login: { local: { users: { kim@example.com: TOPSECRET, bob: { password: TOPSECRET, bogus: 1 } } } }
";
    let problems = read(text).expect_err("mistakes");
    assert!(problems.errors() >= 5, "{problems}");
    let json = serde_json::to_string(&problems).expect("JSON");
    assert!(!format!("{problems}{problems:?}{json}").contains("TOPSECRET"), "{problems}");
    for user in ["alice: m=19456,t=2,p=1$TOPSECRET", "alice: { password: m=19456,t=2,p=1$TOPSECRET }"] {
        let text = format!("login: {{ local: {{ users: {{ {user} }} }} }}");
        let problems = read(&text).expect_err("a hash that the commas cut into pieces");
        assert!(!problems.to_string().contains("TOPSECRET"), "{problems}");
    }
    let broken = "keys: [{ id: k1, secret: TOPSECRET";
    assert!(!read(broken).expect_err("broken").to_string().contains("TOPSECRET"));
    let config = accepted(&with("keys: [{ id: k1, secret: TOPSECRETTOPSECRETTOPSECRETTOPSECRET }]"));
    assert!(!format!("{config:?}").contains("TOPSECRET"));
    assert!(!format!("{config:?}").contains("argon2id"));
}

#[test]
fn users_may_be_hashes_or_maps() {
    let config = accepted(
        "listen: 127.0.0.1:8080\nupstream: http://127.0.0.1:3000\nlogin: { local: { users: {\n\
         \x20alice: \"HASH\",\n\
         \x20x-bob: { password: \"HASH\", email: b@example.com, name: 김 밥, groups: [staff], disabled: true },\n\
         \x201234: \"$2y$05$abcdefghijklmnopqrstuuWZ0gZP4X0tM9v5Yq0xEoHcHwz3gT2eu\" } } }",
    );
    let users = config.login.local.expect("users").users;
    let names: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["1234", "alice", "x-bob"]);
    assert_eq!(users[2].full_name.as_deref(), Some("김 밥"));
    assert_eq!((users[2].disabled, users[1].disabled), (true, false));
}

#[test]
fn a_file_of_users_is_checked_like_the_configuration() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("users.yaml");
    std::fs::write(&file, format!("bob: \"{HASH}\"\nalice: {{ passwd: x }}\n")).expect("written");
    let configuration = directory.path().join("cloakroom.yaml");
    let text = "listen: 127.0.0.1:1\nupstream: http://a\nlogin: { local: { users_file: users.yaml } }";
    std::fs::write(&configuration, text).expect("written");
    let problems = inspect(&Source::File(configuration.clone())).expect_err("a mistake");
    assert!(problems.to_string().contains("users.yaml:2:10"), "{problems}");
    std::fs::write(&file, format!("bob: \"{HASH}\"\n")).expect("written");
    let config = inspect(&Source::File(configuration.clone())).expect("good");
    assert_eq!(config.files, [configuration, file.clone()]);
    assert_eq!(users::load(&file).expect("good")[0].name, "bob");
}

#[test]
fn anchors_merge_keys_and_extensions_work() {
    let config = accepted(&with(
        "x-slow: &slow { connect: 9s }\nx-any: { thing: [at, all] }\nroutes:\n- &r { path: /a }\n- { <<: *r, path: /b }",
    ));
    let paths: Vec<&str> = config.routes.iter().map(|route| route.path.as_str()).collect();
    assert_eq!(paths, ["/a", "/b"]);
}

#[test]
fn a_key_is_made_once_and_only_to_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloakroom.yaml");
    std::fs::write(&path, with("state_dir: state").replace("HASH", HASH)).expect("written");
    let source = Source::File(path.clone());
    inspect(&source).expect("good");
    assert!(!directory.path().join("state").exists(), "a check writes nothing");
    let (first, again) = (load(&source).expect("good"), load(&source).expect("good"));
    assert_eq!(first.session.keys[0].id, again.session.keys[0].id);
    assert!(first.warnings.is_empty());
    std::fs::write(&path, with("state_dir: other\nbogus: 1").replace("HASH", HASH)).expect("written");
    load(&source).expect_err("a mistake");
    assert!(!directory.path().join("other").exists(), "a bad configuration makes nothing");
}

#[test]
fn a_snapshot_needs_a_place_and_a_key_that_stays() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloakroom.yaml");
    let given = |load: fn(&Source) -> Result<Config, Problems>, more: &str, snapshot: &str| {
        let more = format!("{more}\nsession: {{ memory: {{ snapshot: {snapshot} }} }}");
        std::fs::write(&path, with(&more).replace("HASH", HASH)).expect("written");
        load(&Source::File(path.clone()))
    };
    let lost = |config: &Config| {
        config
            .warnings
            .iter()
            .any(|found| found.message.contains("nobody can read the snapshot after a restart"))
    };
    let config = given(inspect, "", "sessions").expect("a warning is no error");
    assert_eq!(config.session.snapshot, Some(directory.path().join("sessions")));
    assert!(lost(&config));
    let key = "keys: [{ id: k1, secret: a-secret-of-more-than-thirty-two-bytes }]";
    assert!(!lost(&given(inspect, key, "./sessions").expect("good")));
    for (more, snapshot, expected) in [
        (key, "no/sessions", "there is no directory for "),
        (key, ".", "a file is needed"),
        (key, "sessions/", "a file is needed"),
        (key, "''", "a file is needed"),
        ("state_dir: other", "state/sessions", "there is no directory for "),
    ] {
        let problems = given(inspect, more, snapshot).expect_err("a mistake").to_string();
        assert!(problems.contains(expected), "{problems}");
    }
    for read in [inspect, load] {
        let config =
            given(read, "state_dir: state", "state/sessions").expect("`state_dir` is made with the key");
        assert!(!lost(&config) && config.warnings.is_empty());
    }
    assert!(directory.path().join("state").is_dir());
    assert_eq!(accepted(MINIMAL).session.snapshot, None);
}

#[test]
fn certificates_are_looked_at() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).expect("written");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    write("a.crt", &made.cert.pem());
    write("a.key", &made.signing_key.serialize_pem());
    write("b.key", &other.signing_key.serialize_pem());
    let check = |cert: &str, key: &str| {
        let tls = format!("tls: {{ certificates: [{{ cert: {cert}, key: {key} }}], min_version: 1.3 }}");
        let text =
            MINIMAL.replace("listen: 127.0.0.1:8080", &format!("listen: {{ address: 0.0.0.0:443, {tls} }}"));
        write("cloakroom.yaml", &text.replace("HASH", HASH));
        inspect(&Source::File(directory.path().join("cloakroom.yaml")))
    };
    let config = check("a.crt", "a.key").unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.session.cookie.name, "__Host-cloakroom");
    for (cert, key, expected) in [
        ("a.crt", "b.key", "does not belong to"),
        ("a.key", "a.key", "it holds no certificate"),
        ("a.crt", "a.crt", "it holds no private key"),
        ("none", "a.key", "No such file"),
    ] {
        let problems = check(cert, key).expect_err("a mistake").to_string();
        assert!(problems.contains(expected), "{problems}");
    }
}

#[test]
fn numbers_switches_and_parts_of_text_may_come_from_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("port"), "8081\n").expect("written");
    std::fs::write(path("yes"), "true\n").expect("written");
    let text = with(
        "workers: \"${file:port}\"\nallow_insecure: \"${file:yes}\"\nlimits: { headers: \"${NONE:-50}\" }",
    )
    .replace(":8080", ":${file:port}")
    .replace("workers: \"${file:port}\"", "workers: \"${NONE:-3}\"");
    std::fs::write(path("cloakroom.yaml"), text.replace("HASH", HASH)).expect("written");
    let config =
        inspect(&Source::File(path("cloakroom.yaml"))).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.listeners[0].address, ListenAddress::Tcp(([127, 0, 0, 1], 8081).into()));
    assert_eq!((config.workers, config.limits.headers), (3, 50));
    assert!(config.files.iter().any(|file| file == Path::new(&path("port"))));
}

#[test]
fn what_works_but_looks_wrong_is_a_warning() {
    let text = "\
public_url: https://app.example.com
state_dir: /nowhere
listen: 127.0.0.1:8080
upstreams: { app: http://127.0.0.1:3000, spare: http://127.0.0.1:3001 }
routes:
  - { path: /a, access: { users: [alize], groups: [staf] }, upstream: app }
  - { path: /, upstream: app }
login: { local: { users: { alice: { password: \"HASH\", groups: [staff] } } } }
";
    let warnings = accepted(text).warnings;
    let said: Vec<(usize, &str)> =
        warnings.iter().map(|found| (found.place.line, found.message.as_str())).collect();
    let expected = [
        (1, "TLS ends in front of this gateway, and no proxy is trusted: applications are told plain http"),
        (4, "no route leads to `spare`"),
        (6, "no user is called `alize`"),
        (6, "no user is in the group `staf`"),
    ];
    assert_eq!(said, expected);
}
