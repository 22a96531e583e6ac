//! Finding: what a rule and each of its conditions say of a request, and which of them decided.
//!
//! Comes in: a rule and who is asking. Goes out: a tree in the shape of the rule. Never used for requests, which want the
//! answer alone; asks the same conditions.

use super::Asking;
use super::rule::{Answer, Rule};
use crate::clock::Timestamp;

/// A rule, or a part of one, with what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding<'r> {
    /// The rule.
    pub rule: &'r Rule,
    /// What it says by itself; what stands around it may turn that into its opposite.
    pub answer: Answer,
    /// Whether the answer of the whole rule hangs on it.
    pub decides: bool,
    /// Its parts.
    pub parts: Vec<Finding<'r>>,
}

impl Rule {
    /// What it and each of its parts say.
    pub fn findings(&self, asking: &Asking<'_>, now: Timestamp) -> Finding<'_> {
        self.find(false, true, asking, now)
    }

    fn find(&self, not: bool, decides: bool, asking: &Asking<'_>, now: Timestamp) -> Finding<'_> {
        let parts = match self {
            Rule::Is(_) => Vec::new(),
            Rule::Not(rule) => vec![rule.find(!not, decides, asking, now)],
            Rule::All(rules) | Rule::Any(rules) => {
                let answer = self.turned(not, asking, now);
                // One bad answer is enough where each counts, one good one where any does; otherwise it takes all of them.
                let takes_all = answer == if self.each_counts(not) { Answer::Yes } else { Answer::No };
                let mut decided = !decides;
                let part = |rule: &'_ Rule| {
                    let like = takes_all || rule.turned(not, asking, now) == answer;
                    let part_decides = decides && like && (takes_all || !decided);
                    decided |= part_decides;
                    part_decides
                };
                let deciding: Vec<bool> = rules.iter().map(part).collect();
                rules
                    .iter()
                    .zip(deciding)
                    .map(|(rule, decides)| rule.find(not, decides, asking, now))
                    .collect()
            }
        };
        Finding { rule: self, answer: self.judge(asking, now), decides, parts }
    }
}
