//! The configuration of OpenID Connect: what is documented works, and what cannot work is said.

use cloakroom::config::{Config, Problems, Source, inspect};

fn read(text: String) -> Result<Config, Problems> {
    inspect(&Source::Text { name: "cloakroom.yaml".to_owned(), text })
}

/// Public, and with this for `oidc`.
fn with(oidc: &str) -> Result<Config, Problems> {
    read(format!(
        "listen: 127.0.0.1:8080\npublic_url: https://app.example.com\nupstream: http://127.0.0.1:3000\nlogin: {{ oidc: {oidc} }}\n"
    ))
}

const GOOD: &str = "name: a, issuer: 'https://id.example', client_id: c";

#[test]
fn every_documented_configuration_can_be_loaded() {
    let document = include_str!("../../docs/oidc.md");
    let blocks = document.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut count = 0;
    for block in blocks {
        let mut text = block.replace("users.yaml", "/dev/null");
        // Secrets and ids are whoever's they are.
        while let Some((start, rest)) = text.split_once("${") {
            let (_, end) = rest.split_once('}').expect("closed");
            text = format!("{start}theirs{end}");
        }
        let config = read(text).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(!config.login.oidc.providers.is_empty());
        assert_eq!(config.login.oidc.origin.as_deref(), Some("https://app.example.com"));
        count += 1;
    }
    assert!(count >= 6, "{count} were found");
}

#[test]
fn a_prefix_keeps_people_apart_where_there_is_more_than_one_way_in() {
    let prefixes = |text: &str| -> Vec<String> {
        let config = with(text).expect("accepted");
        config.login.oidc.providers.iter().map(|provider| provider.prefix.clone()).collect()
    };
    assert_eq!(prefixes(&format!("[{{ {GOOD} }}]")), [""]);
    assert_eq!(prefixes(&format!("[{{ {GOOD} }}], local: {{ users_file: /dev/null }}")), ["a:"]);
    let two = "{ name: b, issuer: 'https://b.example', client_id: c, prefix: 'x-' }";
    assert_eq!(prefixes(&format!("[{{ {GOOD} }}, {two}]")), ["a:", "x-"]);
}

#[test]
fn what_cannot_work_is_said_with_its_remedy() {
    for (given, told) in [
        ("[{}]", "add `name: company`"),
        ("[{ name: a, client_id: c }]", "add `issuer: https://id.example.com`"),
        ("[{ name: a, issuer: 'https://id.example' }]", "add `client_id:`"),
        ("[{ name: 'A b', issuer: 'https://id.example', client_id: c }]", "`title:` is for people"),
        ("[{ name: a, issuer: 'http://id.example', client_id: c }]", "reached by https"),
        ("[{ name: a, issuer: 'id.example', client_id: c }]", "not an address"),
        (
            "[{ name: a, issuer: 'https://i.example/.well-known/openid-configuration', client_id: c }]",
            "leave `/.well-known/…` out",
        ),
        ("[{ name: a, issuer: 'https://i.example?a=b', client_id: c }]", "neither a query nor"),
        (&format!("[{{ {GOOD} }}, {{ {GOOD} }}]"), "called `a` already"),
        (&format!("[{{ {GOOD}, client_auth: post }}]"), "no secret to show"),
        (&format!("[{{ {GOOD}, client_auth: both }}]"), "client_auth"),
        (&format!("[{{ {GOOD}, scopes: ['a b'] }}]"), "one word"),
        (&format!("[{{ {GOOD}, claims: {{ user: '' }} }}]"), "write `sub`"),
        (&format!("[{{ {GOOD}, allow: {{ email_domains: ['@a.b'] }} }}]"), "write `example.com`"),
        (&format!("[{{ {GOOD}, ca: nowhere.pem }}]"), "nowhere.pem"),
        (&format!("[{{ {GOOD}, post_logout: '/bye' }}]"), "not an address to go to"),
        (&format!("[{{ {GOOD}, secret: x }}]"), "client_secret"),
    ] {
        let problems = with(given).expect_err(given).to_string();
        assert!(problems.contains(told), "{given}: {problems}");
    }
}

#[test]
fn addresses_must_be_known_where_others_than_this_machine_may_ask() {
    let config = |listen: &str| {
        read(format!("{listen}\nupstream: http://127.0.0.1:3000\nlogin: {{ oidc: [{{ {GOOD} }}] }}\n"))
    };
    assert!(config("listen: 127.0.0.1:8080").is_ok());
    let problems = config("listen: 0.0.0.0:8080\nallow_insecure: true").expect_err("refused").to_string();
    assert!(problems.contains("add `public_url: https://app.example.com`"), "{problems}");
    let problems = with(&format!(
        "[{{ {GOOD} }}] }}\nsession: {{ store: django, django: {{ database: 'sqlite:x', secret_key: y }}"
    ));
    assert!(problems.expect_err("refused").to_string().contains("log in at the Django site only"));
}

#[test]
fn tokens_for_applications_must_come_from_somewhere_and_last() {
    let config = |route: &str, rest: &str| {
        read(format!(
            "listen: 127.0.0.1:8080\nkeys: [{{ id: k, secret: 0123456789abcdef0123456789abcdef }}]\nupstreams: {{ api: {{ servers: [http://127.0.0.1:3000] }} }}\n\
             routes: [{{ path: /, upstream: api, {route} }}]\n{rest}\n"
        ))
    };
    let (token, oidc) = (
        "credentials: { bearer: access_token }",
        format!("login: {{ oidc: [{{ {GOOD}, refresh: true }}] }}"),
    );
    let sound = config(token, &oidc).expect("accepted");
    assert!(sound.login.oidc.tells_access && sound.warnings.is_empty(), "{:?}", sound.warnings);
    let id_token = config("credentials: { bearer: id_token }", &oidc.replace("refresh: true", ""));
    let id_token = id_token.expect("accepted");
    assert!(!id_token.login.oidc.tells_access && id_token.warnings.is_empty(), "{:?}", id_token.warnings);
    let local = "login: { local: { users_file: /dev/null } }";
    let cookie = format!("session: {{ store: cookie }}\n{}", oidc.replace("refresh: true", ""));
    let both = "credentials: { bearer: id_token, basic: { password: x } }";
    for (route, rest, told) in [
        (token, local, "add `login.oidc`"),
        (token, cookie.as_str(), "tokens have no room in cookies"),
        (both, oidc.as_str(), "leave `basic` or `bearer` out"),
        ("credentials: { bearer: refresh_token }", oidc.as_str(), "access_token"),
    ] {
        let problems = config(route, rest).expect_err(route).to_string();
        assert!(problems.contains(told), "{route}: {problems}");
    }
    let warned = |config: Result<Config, Problems>, told: &str| {
        let warnings: Vec<_> = config.expect("accepted").warnings.iter().map(ToString::to_string).collect();
        assert!(warnings.iter().any(|warning| warning.contains(told)), "{warnings:?}");
    };
    warned(config(token, &oidc.replace("refresh: true", "")), "add `refresh: true`");
    warned(config(&format!("{token}, access: public"), &oidc), "write `access: optional`");
}
