//! Access: `access:` of a route becomes a rule.
//!
//! Comes in: a word, or a map of conditions. Goes out: the rule. Never lets a list without an entry, or a rule that can
//! never hold, stand for anything.

use ipnet::IpNet;

use super::headers::network;
use super::{Context, routes};
use crate::access::{Access, Condition, Names, Networks, Rule};
use crate::config::brief::Brief;
use crate::config::file::{self, OnlyMap};

mod arriving;
mod contradictions;

pub(super) use arriving::{check_addresses, check_methods};

/// What can be in a map, beside `within`.
const CONDITIONS: [&str; 8] = ["users", "groups", "claims", "networks", "methods", "any", "all", "not"];

/// A rule, and where each of its parts is written.
struct Placed {
    at: String,
    is: Part,
}

/// A part of a rule.
enum Part {
    All(Vec<Placed>),
    Any(Vec<Placed>),
    Not(Box<Placed>),
    Is(Condition),
}

/// Who may use a route.
pub(super) fn resolve(context: &mut Context, at: &str, given: &file::Access) -> Access {
    let map = match given {
        file::Access::Public => return Access::Public,
        file::Access::Optional => return Access::Optional,
        file::Access::Login => return Access::Login,
        file::Access::Only(map) => map,
    };
    let placed = of_map(context, at, map, false);
    contradictions::check(context, &placed);
    let rule = placed.rule();
    let plain = map.any.is_none() && map.all.is_none();
    if plain && !rule.looks_at_people() && !says_nothing(map) && !context.document.is_damaged(at) {
        let message = "nobody has to log in for this: it looks at the request only\n\
                       write `all: [login, { … }]` if somebody must, or `any: [{ … }]` if that is meant";
        context.warn(at, message);
    }
    Access::Only(rule)
}

/// Calls `look` for each map of conditions, with its place and whether it stands below a `not`.
pub(super) fn each_map(at: &str, map: &OnlyMap, not: bool, look: &mut impl FnMut(&str, &OnlyMap, bool)) {
    look(at, map, not);
    let mut below = |at: String, inner: &Brief<file::Condition>, not| {
        if let file::Condition::Only(map) = &inner.0 {
            each_map(&at, map, not, look);
        }
    };
    for (key, list) in [("any", &map.any), ("all", &map.all)] {
        for (index, inner) in list.iter().flatten().enumerate() {
            below(format!("{at}.{key}[{index}]"), inner, not);
        }
    }
    if let Some(inner) = &map.not {
        below(format!("{at}.not"), inner, !not);
    }
}

fn of_condition(context: &mut Context, at: &str, given: &file::Condition, not: bool) -> Placed {
    match given {
        file::Condition::Login => Placed { at: at.to_owned(), is: Part::Is(Condition::Login) },
        file::Condition::Only(map) => of_map(context, at, map, not),
    }
}

/// All conditions of a map, which hold together.
fn of_map(context: &mut Context, at: &str, map: &OnlyMap, not: bool) -> Placed {
    check_lists(context, at, map);
    let mut parts = of_lists(context, at, map);
    if let Some(within) = map.within {
        let place = format!("{at}.within");
        if within.0.is_zero() {
            context.error(&place, "no login is ever that fresh\nwrite a duration such as `15m`");
        } else if not {
            context.error(&place, "nobody can be asked for an old login\nwrite `within` outside of `not`");
        }
        parts.push(Placed { at: place, is: Part::Is(Condition::Within(within.0)) });
    }
    for (key, list, whole) in
        [("any", &map.any, Part::Any as fn(Vec<Placed>) -> Part), ("all", &map.all, Part::All)]
    {
        let Some(list) = list else { continue };
        let place = format!("{at}.{key}");
        let inner = list
            .iter()
            .enumerate()
            .map(|(index, inner)| of_condition(context, &format!("{place}[{index}]"), &inner.0, not));
        let inner = inner.collect();
        parts.push(Placed { at: place, is: whole(inner) });
    }
    if let Some(inner) = &map.not {
        let place = format!("{at}.not");
        let inner = of_condition(context, &place, &inner.0, !not);
        parts.push(Placed { at: place, is: Part::Not(Box::new(inner)) });
    }
    if says_nothing(map) && !CONDITIONS.iter().any(|key| context.document.has(&format!("{at}.{key}"))) {
        context.missing(at, "a rule that names nobody\nwrite `login` for everybody who is logged in");
    }
    match parts.len() {
        1 => parts.remove(0),
        _ => Placed { at: at.to_owned(), is: Part::All(parts) },
    }
}

/// The conditions that are lists of words.
fn of_lists(context: &mut Context, at: &str, map: &OnlyMap) -> Vec<Placed> {
    let mut parts = Vec::new();
    if !(map.users.is_empty() && map.groups.is_empty()) {
        let key = if map.users.is_empty() { "groups" } else { "users" };
        let names = |list: &[String]| list.iter().cloned().collect::<Names>();
        let people = Condition::People { users: names(&map.users), groups: names(&map.groups) };
        parts.push(Placed { at: format!("{at}.{key}"), is: Part::Is(people) });
    }
    for (name, values) in &map.claims {
        let claim = Condition::Claim { name: name.clone(), values: values.0.iter().cloned().collect() };
        parts.push(Placed { at: format!("{at}.claims.{name}"), is: Part::Is(claim) });
    }
    if !map.networks.is_empty() {
        let place = format!("{at}.networks");
        let networks = networks(context, &place, &map.networks);
        parts.push(Placed { at: place, is: Part::Is(Condition::From(networks)) });
    }
    if !map.methods.is_empty() {
        let place = format!("{at}.methods");
        let methods = routes::methods(context, &place, &map.methods);
        parts.push(Placed { at: place, is: Part::Is(Condition::By(methods)) });
    }
    parts
}

/// A list that is there and names nothing is a mistake: left out it would let more people pass than its author meant.
fn check_lists(context: &mut Context, at: &str, map: &OnlyMap) {
    let empty = |list: &Option<Vec<_>>| list.as_ref().is_none_or(Vec::is_empty);
    let mut lists = vec![
        ("users".to_owned(), map.users.is_empty()),
        ("groups".to_owned(), map.groups.is_empty()),
        ("claims".to_owned(), map.claims.is_empty()),
        ("networks".to_owned(), map.networks.is_empty()),
        ("methods".to_owned(), map.methods.is_empty()),
        ("any".to_owned(), empty(&map.any)),
        ("all".to_owned(), empty(&map.all)),
    ];
    lists.extend(map.claims.iter().map(|(name, values)| (format!("claims.{name}"), values.0.is_empty())));
    for (key, is_empty) in lists {
        let place = format!("{at}.{key}");
        if is_empty && context.document.has(&place) {
            let message = match key.as_str() {
                "all" => "`all` without an entry says nothing\nadd an entry such as `login`, or leave it out"
                    .to_owned(),
                key => format!("`{key}` without an entry lets nobody pass\nadd an entry, or leave it out"),
            };
            context.missing(&place, message);
        }
    }
    if map.not.is_none() && context.document.has(&format!("{at}.not")) {
        context.missing(&format!("{at}.not"), "`not` without a condition\nadd one, or leave it out");
    }
}

/// Whether no condition was written at all, not even an empty one.
fn says_nothing(map: &OnlyMap) -> bool {
    *map == OnlyMap::default()
}

fn networks(context: &mut Context, at: &str, given: &[String]) -> Networks {
    let mut networks: Vec<IpNet> = Vec::new();
    for (index, text) in given.iter().enumerate() {
        let place = format!("{at}[{index}]");
        match network(text) {
            Ok(network) => {
                if network.prefix_len() == 0 {
                    context
                        .warn(&place, "every address is in this network\nname the networks that are meant");
                }
                networks.push(network);
            }
            Err(message) => context.error(&place, message),
        }
    }
    networks.into_iter().collect()
}

impl Placed {
    fn rule(self) -> Rule {
        let all = |parts: Vec<Placed>| parts.into_iter().map(Placed::rule).collect();
        match self.is {
            Part::All(parts) => Rule::All(all(parts)),
            Part::Any(parts) => Rule::Any(all(parts)),
            Part::Not(part) => Rule::Not(Box::new(part.rule())),
            Part::Is(condition) => Rule::Is(condition),
        }
    }
}
