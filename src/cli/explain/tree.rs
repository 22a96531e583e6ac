//! Tree: a rule in words, and what each of its parts says of a request.
//!
//! Comes in: a rule and who is asking. Goes out: one line for the rule as a whole, and one for each part, in the shape of the
//! rule, with a mark at those that decide. Never judges by itself.

use http::Method;

use crate::access::{Access, Answer, Asking, Condition, Finding, Rule};
use crate::clock::Timestamp;
use crate::config::units::Duration;

/// Who may, in one line.
pub(super) fn in_a_line(access: &Access) -> String {
    match access {
        Access::Public => "public: anybody; sessions are not looked at".to_owned(),
        Access::Optional => "optional: anybody; who is logged in is passed on".to_owned(),
        Access::Login => "login: anybody who is logged in".to_owned(),
        Access::Only(rule) => format!("only {}", brief(rule, false)),
    }
}

/// What each part of a rule says, one line for each; `>` stands before those that decide.
pub(super) fn lines(rule: &Rule, asking: &Asking<'_>, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    add(&rule.findings(asking, now), 0, asking, now, &mut lines);
    lines
}

fn add(finding: &Finding<'_>, depth: usize, asking: &Asking<'_>, now: Timestamp, lines: &mut Vec<String>) {
    let mark = if finding.decides { '>' } else { ' ' };
    let said = match finding.rule {
        Rule::All(_) => "all of these".to_owned(),
        Rule::Any(_) => "one of these".to_owned(),
        Rule::Not(_) => "not".to_owned(),
        Rule::Is(condition) => format!("{}: {}", named(condition), why(condition, asking, now)),
    };
    lines.push(format!("{mark} {:<8}{:indent$}{said}", word(finding.answer), "", indent = 2 * depth));
    for part in &finding.parts {
        add(part, depth + 1, asking, now, lines);
    }
}

fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Yes => "yes",
        Answer::No => "no",
        Answer::Unknown => "unknown",
        Answer::Login => "login",
        Answer::Stale(_) => "too old",
    }
}

/// A rule in one line; within another one in brackets where it needs them.
fn brief(rule: &Rule, within: bool) -> String {
    let list = |rules: &[Rule], between: &str| {
        let said: Vec<String> = rules.iter().map(|rule| brief(rule, rules.len() > 1)).collect();
        said.join(between)
    };
    let (said, several) = match rule {
        Rule::All(rules) => (list(rules, " and "), rules.len() > 1),
        Rule::Any(rules) => (list(rules, " or "), rules.len() > 1),
        Rule::Not(rule) => (format!("not {}", brief(rule, true)), false),
        Rule::Is(condition @ Condition::People { users, groups }) => {
            (named(condition), !users.is_empty() && !groups.is_empty())
        }
        Rule::Is(condition) => (named(condition), false),
    };
    if several && within { format!("({said})") } else { said }
}

/// A condition, as it is written in the configuration.
fn named(condition: &Condition) -> String {
    match condition {
        Condition::Login => "login".to_owned(),
        Condition::People { users, groups } => {
            let lists = [("users", users), ("groups", groups)];
            let lists = lists.into_iter().filter(|(_, names)| !names.is_empty());
            let said = lists.map(|(what, names)| format!("{what} {}", joined(names.iter())));
            said.collect::<Vec<_>>().join(" or ")
        }
        Condition::Claim { name, values } => format!("claim {name} {}", joined(values.iter())),
        Condition::From(networks) => format!("networks {}", joined(networks.iter().map(ToString::to_string))),
        Condition::By(methods) => format!("methods {}", joined(methods.iter().map(Method::as_str))),
        Condition::Within(within) => format!("within {}", Duration(*within)),
    }
}

/// What the condition was held against.
fn why(condition: &Condition, asking: &Asking<'_>, now: Timestamp) -> String {
    let who = match (condition.looks_at_people(), asking.identity) {
        (true, None) => return "nobody is logged in".to_owned(),
        (_, who) => who,
    };
    let user = who.map(|who| who.user()).unwrap_or_default();
    match condition {
        Condition::Login => format!("{user} is logged in"),
        Condition::People { users, .. } if users.has(user) => format!("{user} is named"),
        Condition::People { groups, .. } => {
            let mut common =
                who.iter().flat_map(|who| who.groups()).filter(|group| groups.has(group)).peekable();
            match (common.peek(), groups.is_empty()) {
                (Some(_), _) => format!("{user} is in {}", joined(common)),
                (None, true) => format!("{user} is not named"),
                (None, false) => format!("{user} is in none of them"),
            }
        }
        Condition::Claim { name, .. } => {
            let mut values = who.iter().flat_map(|who| who.claim(name)).peekable();
            match values.peek() {
                Some(_) => format!("{user} has {}", joined(values)),
                None => format!("nothing is known of this about {user}"),
            }
        }
        Condition::From(_) => match asking.client {
            Some(client) => format!("the client is {client}"),
            None => "a client without an address".to_owned(),
        },
        Condition::By(_) => asking.method.map(|method| format!("it is {method}")).unwrap_or_default(),
        Condition::Within(_) => match asking.authenticated_at {
            Some(then) => logged_in(then, now),
            None => "nobody knows when they logged in".to_owned(),
        },
    }
}

/// How long ago somebody logged in.
pub(super) fn logged_in(then: Timestamp, now: Timestamp) -> String {
    match now.since(then) {
        age if age.is_zero() => "logged in just now".to_owned(),
        age => format!("logged in {} ago", Duration(age)),
    }
}

fn joined<S: AsRef<str>>(words: impl Iterator<Item = S>) -> String {
    words.fold(String::new(), |mut all, word| {
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(word.as_ref());
        all
    })
}
