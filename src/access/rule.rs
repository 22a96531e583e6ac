//! Rule: conditions, and how they are combined.
//!
//! Comes in: who is asking. Goes out: an [`Answer`], of which only [`Answer::Yes`] lets anybody pass. Never takes what is
//! not known for granted: neither a condition nor its `not` holds by it.

use std::time::Duration;

use http::Method;

use super::Asking;
use super::members::{Names, Networks};
use crate::clock::Timestamp;

/// Who may pass, beyond one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Each of these holds.
    All(Vec<Rule>),
    /// At least one of these holds.
    Any(Vec<Rule>),
    /// This does not hold, and that is known.
    Not(Box<Rule>),
    /// This holds.
    Is(Condition),
}

/// One thing that is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Somebody is logged in.
    Login,
    /// They are one of these users, or in one of these groups.
    People {
        /// User names.
        users: Names,
        /// Groups.
        groups: Names,
    },
    /// One of the values of this claim is one of these.
    Claim {
        /// The name of the claim.
        name: String,
        /// The values that will do.
        values: Names,
    },
    /// The client's address is in one of these.
    From(Networks),
    /// The request has one of these methods. HEAD is part of GET.
    By(Vec<Method>),
    /// The login is not older than this.
    Within(Duration),
}

/// What a rule says, from what is worst for the visitor to what is best: all conditions of a list are as good as the worst of
/// them, and any of a list is as good as the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// It does not hold.
    No,
    /// Nobody can know, and logging in would not help.
    Unknown,
    /// It is not known who is asking: a login would tell.
    Login,
    /// It would hold after a fresh login: one not older than this.
    Stale(Duration),
    /// It holds.
    Yes,
}

impl Rule {
    /// What this rule says of whoever is asking.
    pub fn judge(&self, asking: &Asking<'_>, now: Timestamp) -> Answer {
        self.turned(false, asking, now)
    }

    /// The same, or with `not` what the opposite of this rule says. A `not` goes down to the single conditions (none of
    /// several is each of them not), so that what is unknown stays unknown.
    pub(super) fn turned(&self, not: bool, asking: &Asking<'_>, now: Timestamp) -> Answer {
        match self {
            Rule::Not(rule) => rule.turned(!not, asking, now),
            Rule::Is(condition) if not => condition.judge(asking, now).opposite(),
            Rule::Is(condition) => condition.judge(asking, now),
            Rule::All(rules) | Rule::Any(rules) => {
                let each_counts = self.each_counts(not);
                let (mut so_far, last) =
                    if each_counts { (Answer::Yes, Answer::No) } else { (Answer::No, Answer::Yes) };
                for rule in rules {
                    let answer = rule.turned(not, asking, now);
                    so_far = if each_counts { so_far.min(answer) } else { so_far.max(answer) };
                    if so_far == last {
                        break;
                    }
                }
                so_far
            }
        }
    }

    /// Of a list: whether the worst answer decides, or the best.
    pub(super) fn each_counts(&self, not: bool) -> bool {
        matches!(self, Rule::All(_)) != not
    }

    /// Whether it looks at people anywhere: then somebody must be able to log in.
    pub fn looks_at_people(&self) -> bool {
        match self {
            Rule::All(rules) | Rule::Any(rules) => rules.iter().any(Rule::looks_at_people),
            Rule::Not(rule) => rule.looks_at_people(),
            Rule::Is(condition) => condition.looks_at_people(),
        }
    }
}

impl Condition {
    /// Whether it looks at the person, and not only at the request.
    pub fn looks_at_people(&self) -> bool {
        !matches!(self, Condition::From(_) | Condition::By(_))
    }

    /// What this condition says of whoever is asking.
    pub fn judge(&self, asking: &Asking<'_>, now: Timestamp) -> Answer {
        match (self, asking.identity) {
            (Condition::From(networks), _) => {
                asking.client.map_or(Answer::Unknown, |client| networks.contain(client).into())
            }
            (Condition::By(methods), _) => {
                asking.method.map_or(Answer::Unknown, |method| takes(methods, method).into())
            }
            (_, None) => Answer::Login,
            (Condition::Login, Some(_)) => Answer::Yes,
            (Condition::People { users, groups }, Some(who)) => {
                (users.has(who.user()) || who.groups().any(|group| groups.has(group))).into()
            }
            (Condition::Claim { name, values }, Some(who)) => {
                let mut claimed = who.claim(name).peekable();
                match claimed.peek() {
                    None => Answer::Unknown,
                    Some(_) => claimed.any(|value| values.has(value)).into(),
                }
            }
            (Condition::Within(within), Some(_)) => match asking.authenticated_at {
                Some(then) if now.since(then) <= *within => Answer::Yes,
                _ => Answer::Stale(*within),
            },
        }
    }
}

/// Whether a method is one of these. HEAD is part of GET.
pub fn takes(methods: &[Method], method: &Method) -> bool {
    methods.contains(method) || *method == Method::HEAD && methods.contains(&Method::GET)
}

impl Answer {
    /// What the opposite of a condition says. Nobody passes because their login is old: nobody can know how to ask for that.
    fn opposite(self) -> Self {
        match self {
            Answer::Yes => Answer::No,
            Answer::No => Answer::Yes,
            Answer::Stale(_) => Answer::Unknown,
            unsure => unsure,
        }
    }
}

impl From<bool> for Answer {
    fn from(holds: bool) -> Self {
        if holds { Answer::Yes } else { Answer::No }
    }
}
