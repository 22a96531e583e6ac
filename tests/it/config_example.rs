//! The example of a configuration: it works, it is complete, it tells the truth; and no spoiled copy of it does harm.

use std::collections::BTreeSet;

use cloakroom::config::{Config, Problems, Source, file, inspect, schema};
use proptest::prelude::*;

fn read(text: String) -> Result<Config, Problems> {
    inspect(&Source::Text { name: "config.example.yaml".to_owned(), text })
}

fn accepted(text: &str) -> Config {
    read(text.to_owned()).unwrap_or_else(|problems| panic!("{problems}"))
}

const MINIMAL: &str = "\
listen: 127.0.0.1:8080
upstream: http://127.0.0.1:3000
login: { local: { users_file: /dev/null } }
";

const EXAMPLE: &str = include_str!("../../config.example.yaml");

#[test]
fn the_example_works_as_shipped_and_states_the_defaults() {
    let config = accepted(EXAMPLE);
    assert_eq!((config.routes.len(), config.upstreams.len()), (1, 1));
    let minimal = accepted(MINIMAL);
    assert_eq!(format!("{:?}", config.limits), format!("{:?}", minimal.limits));
    assert_eq!(format!("{:?}", config.timeouts), format!("{:?}", minimal.timeouts));
    assert_eq!(format!("{:?}", config.session), format!("{:?}", minimal.session));
    assert_eq!(format!("{:?}", config.identity), format!("{:?}", minimal.identity));
    assert_eq!(format!("{:?}", config.headers), format!("{:?}", minimal.headers));
    assert_eq!(format!("{:?}", config.login.throttle), format!("{:?}", minimal.login.throttle));
    assert_eq!(format!("{:?}", config.admin), format!("{:?}", minimal.admin));
    assert_eq!(config.log, minimal.log);
    let mut upstream = config.upstreams[0].clone();
    upstream.name = "default".to_owned();
    assert_eq!(format!("{upstream:?}"), format!("{:?}", minimal.upstreams[0]));
}

#[test]
fn the_example_names_every_key_of_the_schema() {
    let schema = schema();
    let mut keys = BTreeSet::new();
    collect_keys(&schema, &mut keys);
    assert!(keys.len() > 80, "{keys:?}");
    for key in keys {
        let named = EXAMPLE.lines().any(|line| {
            let line = line.trim_start_matches([' ', '#', '-']);
            line.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with(':'))
        });
        assert!(named || key == "upstream", "config.example.yaml does not explain `{key}`");
    }
}

fn collect_keys(schema: &serde_json::Value, keys: &mut BTreeSet<String>) {
    match schema {
        serde_json::Value::Object(map) => {
            if let Some(properties) = map.get("properties").and_then(|properties| properties.as_object()) {
                keys.extend(properties.keys().cloned());
            }
            map.values().for_each(|inner| collect_keys(inner, keys));
        }
        serde_json::Value::Array(list) => list.iter().for_each(|inner| collect_keys(inner, keys)),
        _ => {}
    }
}

#[test]
fn the_schema_describes_every_key_and_knows_the_defaults() {
    let schema = schema();
    let limits = &schema["$defs"]["Limits"]["properties"];
    assert_eq!(limits["header_bytes"]["default"], "32KiB");
    assert_eq!(schema["$defs"]["Session"]["properties"]["idle_timeout"]["default"], "30m");
    for (name, definition) in schema["$defs"].as_object().expect("definitions") {
        for (key, property) in definition["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].is_string(), "{name}.{key} has no description");
        }
    }
}

#[test]
fn the_mirror_of_the_file_has_no_other_defaults_than_the_settings() {
    let file = file::File::default();
    assert_eq!(file.limits.body.to_string(), "100MiB");
    assert_eq!(file.timeouts.idle.to_string(), "75s");
    assert_eq!(file.session.remember_for.to_string(), "30d");
    assert_eq!(file.login.throttle.per_user.to_string(), "5/15m");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_spoiled_file_is_refused_or_read_and_never_a_panic(
        spoils in prop::collection::vec((0..EXAMPLE.len(), 0..40_usize, "[ \\t\n:{}\\[\\]&*!|>'\"%@#,a-z0-9$가-힣-]{0,6}"), 1..5)
    ) {
        let mut text = EXAMPLE.to_owned();
        for (at, many, with) in spoils {
            let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
            let (from, to) = (boundary(at).unwrap_or(0), boundary(at + many).unwrap_or(0));
            text.replace_range(from..to, &with);
        }
        if let Err(problems) = read(text) {
            prop_assert!(problems.errors() > 0);
            prop_assert!(!problems.render(true).is_empty());
        }
    }
}
