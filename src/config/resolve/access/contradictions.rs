//! Contradictions: rules, and alternatives in them, that can never hold.
//!
//! Comes in: a rule with its places. Goes out: a diagnostic for each part that nobody can ever satisfy. Never minds what
//! depends on people: somebody may be in two groups, or have two values of a claim.

use http::Method;

use super::{Part, Placed};
use crate::access::{Condition, takes};
use crate::config::document;
use crate::config::resolve::Context;

/// A condition that must hold, or with `not` must not, for what stands beside and below it.
#[derive(Clone, Copy)]
struct Demand<'p> {
    at: &'p str,
    is: &'p Condition,
    not: bool,
}

/// Where something can never hold, and why.
#[derive(Clone, Copy)]
struct Conflict<'p> {
    at: &'p str,
    why: Why<'p>,
}

#[derive(Clone, Copy)]
enum Why<'p> {
    /// It asks for visitors who are not logged in.
    NotLoggedIn,
    /// A demand that stands there has nothing in common with it: in which lists nothing is.
    Apart(&'p str, &'static str),
    /// A `not` takes away everything that the demand which stands there allows.
    TakenAway(&'p str),
}

/// Says what can never hold.
pub(super) fn check(context: &mut Context, placed: &Placed) {
    let mut found = Vec::new();
    let whole = never(placed, false, &[], &mut found);
    for Conflict { at, why } in found.into_iter().chain(whole) {
        let line = |at| context.document.place(at, document::Part::Value).line;
        let message = match why {
            Why::NotLoggedIn => {
                "this can never hold: nobody passes by not being logged in\nleave it out; `optional` \
                                 lets everybody pass"
                    .to_owned()
            }
            Why::Apart(with, nothing) => format!(
                "this can never hold: no {nothing} is both here and on line {}\n\
                 leave out one of the two, or write them as entries of `any`",
                line(with)
            ),
            Why::TakenAway(with) => format!(
                "this can never hold: `not` takes away all that line {} demands\nleave out one of the two",
                line(with)
            ),
        };
        if !context.document.is_damaged(at) {
            context.error(at, message);
        }
    }
}

/// Whether a part can never hold where these demands are made. Alternatives that never hold are found also when others do;
/// what stands below `not` is no alternative that somebody wrote down.
fn never<'p>(
    placed: &'p Placed,
    not: bool,
    demands: &[Demand<'p>],
    found: &mut Vec<Conflict<'p>>,
) -> Option<Conflict<'p>> {
    let (mut demands, mut choices) = (demands.to_vec(), Vec::new());
    if let Some(conflict) = gather(placed, not, &mut demands, &mut choices) {
        return Some(conflict);
    }
    for (choice, not) in choices {
        let (Part::All(parts) | Part::Any(parts)) = &choice.is else { continue };
        let dead: Vec<_> = parts.iter().map(|part| never(part, not, &demands, found)).collect();
        if !dead.is_empty() && dead.iter().all(Option::is_some) {
            return dead.into_iter().flatten().next();
        }
        if !not {
            found.extend(dead.into_iter().flatten());
        }
    }
    None
}

/// Adds what a part demands, and the choices it leaves; a demand that cannot be met beside the others is a conflict.
fn gather<'p>(
    placed: &'p Placed,
    not: bool,
    demands: &mut Vec<Demand<'p>>,
    choices: &mut Vec<(&'p Placed, bool)>,
) -> Option<Conflict<'p>> {
    match &placed.is {
        Part::Is(is) => {
            let demand = Demand { at: &placed.at, is, not };
            if not && *is == Condition::Login {
                return Some(Conflict { at: demand.at, why: Why::NotLoggedIn });
            }
            let conflict = demands
                .iter()
                .find_map(|earlier| conflict(earlier, &demand).map(|why| Conflict { at: demand.at, why }));
            demands.push(demand);
            conflict
        }
        Part::Not(part) => gather(part, !not, demands, choices),
        Part::All(parts) if !not => parts.iter().find_map(|part| gather(part, not, demands, choices)),
        Part::Any(parts) if not => parts.iter().find_map(|part| gather(part, not, demands, choices)),
        Part::All(_) | Part::Any(_) => {
            choices.push((placed, not));
            None
        }
    }
}

/// Why two demands cannot both be met.
fn conflict<'p>(earlier: &Demand<'p>, other: &Demand<'p>) -> Option<Why<'p>> {
    let taken_away = match (earlier.not, other.not) {
        (false, false) => return apart(earlier.is, other.is).map(|nothing| Why::Apart(earlier.at, nothing)),
        (false, true) => implies(earlier.is, other.is),
        (true, false) => implies(other.is, earlier.is),
        (true, true) => false,
    };
    taken_away.then_some(Why::TakenAway(earlier.at))
}

/// What there is none of in both, where two conditions cannot both hold.
fn apart(one: &Condition, other: &Condition) -> Option<&'static str> {
    match (one, other) {
        (
            Condition::People { users: some, groups: no },
            Condition::People { users: others, groups: none },
        ) if no.is_empty() && none.is_empty() => {
            (!some.iter().any(|user| others.has(user))).then_some("user")
        }
        (Condition::From(some), Condition::From(others)) => (!some.meet(others)).then_some("address"),
        (Condition::By(some), Condition::By(others)) => {
            let common = |some: &[Method], others: &[Method]| some.iter().any(|method| takes(others, method));
            (!common(some, others) && !common(others, some)).then_some("method")
        }
        _ => None,
    }
}

/// Whether the second condition holds whenever the first does.
fn implies(first: &Condition, second: &Condition) -> bool {
    match (first, second) {
        (first, Condition::Login) => first.looks_at_people(),
        (
            Condition::People { users, groups },
            Condition::People { users: more_users, groups: more_groups },
        ) => users.are_in(more_users) && groups.are_in(more_groups),
        (Condition::Claim { name, values }, Condition::Claim { name: same, values: more }) => {
            name == same && values.are_in(more)
        }
        (Condition::From(networks), Condition::From(more)) => networks.are_in(more),
        (Condition::By(methods), Condition::By(more)) => methods.iter().all(|method| takes(more, method)),
        _ => false,
    }
}
