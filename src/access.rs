//! Access: may they?
//!
//! Comes in: a route's rule and who is asking. Goes out: a [`Pass`], which the next step needs and only this one can make,
//! or the reason why not. Never looks at a request's headers.

use std::net::IpAddr;
use std::time::Duration;

use http::Method;

use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::session::record::Session;
use crate::session::visitor::Visitor;

mod finding;
mod members;
mod rule;

pub use finding::Finding;
pub use members::{Names, Networks};
pub use rule::{Answer, Condition, Rule, takes};

/// Who may use a route (`access:`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Anybody; sessions are not even looked at.
    Public,
    /// Anybody; who is logged in is passed on.
    Optional,
    /// Anybody who is logged in. The default.
    #[default]
    Login,
    /// Only some, by a rule. Who is logged in is passed on.
    Only(Rule),
}

/// Who is asking, as far as rules look at that.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asking<'a> {
    /// With which session.
    pub session: Option<&'a Session>,
    /// Who they are, if they have proved it.
    pub identity: Option<&'a Identity>,
    /// When they proved it.
    pub authenticated_at: Option<Timestamp>,
    /// From which address; none over a Unix socket.
    pub client: Option<IpAddr>,
    /// With which method.
    pub method: Option<&'a Method>,
}

impl<'a> Asking<'a> {
    /// Whoever this visitor is, by a session or without one.
    pub fn of(visitor: &'a Visitor, client: Option<IpAddr>, method: &'a Method) -> Self {
        Self {
            identity: visitor.identity(),
            authenticated_at: visitor.authenticated_at(),
            ..Self::with(visitor.session(), client, method)
        }
    }

    /// Whoever this session belongs to.
    pub fn with(session: Option<&'a Session>, client: Option<IpAddr>, method: &'a Method) -> Self {
        Self {
            session,
            identity: session.and_then(Session::identity),
            authenticated_at: session.and_then(Session::authenticated_at),
            client,
            method: Some(method),
        }
    }
}

/// Proof that the visitor may pass.
#[derive(Debug)]
pub struct Pass<'a> {
    session: Option<&'a Session>,
    identity: Option<&'a Identity>,
}

impl<'a> Pass<'a> {
    /// With which session; none on a public route.
    pub fn session(&self) -> Option<&'a Session> {
        self.session
    }

    /// Who is passing, if anybody is known.
    pub fn identity(&self) -> Option<&'a Identity> {
        self.identity
    }
}

/// Why the visitor may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Nobody is logged in, and somebody who is might pass.
    LoginNeeded,
    /// Whoever is logged in would pass, had they logged in not longer ago than this.
    LoginTooOld(Duration),
    /// The rule does not let them pass, and no login would change that.
    NotAllowed,
}

impl Access {
    /// Whether this rule needs to know who is asking.
    pub fn looks_at_sessions(&self) -> bool {
        !matches!(self, Access::Public)
    }

    /// Lets a visitor pass, or says why not.
    pub fn admit<'a>(&self, asking: Asking<'a>, now: Timestamp) -> Result<Pass<'a>, Denied> {
        let Asking { session, identity, .. } = asking;
        match (self, identity) {
            (Access::Public, _) => return Ok(Pass { session: None, identity: None }),
            (Access::Optional, _) => {}
            (Access::Login, None) => return Err(Denied::LoginNeeded),
            (Access::Login, Some(_)) => {}
            (Access::Only(rule), _) => match rule.judge(&asking, now) {
                Answer::Yes => {}
                Answer::Stale(within) => return Err(Denied::LoginTooOld(within)),
                Answer::Login => return Err(Denied::LoginNeeded),
                Answer::Unknown | Answer::No => return Err(Denied::NotAllowed),
            },
        }
        Ok(Pass { session, identity })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    fn ago(age: Duration) -> Timestamp {
        Timestamp::from_unix_millis(NOW.unix_millis() - u64::try_from(age.as_millis()).expect("short"))
    }

    fn person(user: &str, groups: &[&str], claims: &[(&str, &str)]) -> Identity {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        let identity = Identity::new(user, None, None, &groups).expect("valid");
        identity.with_claims(claims.iter().copied()).expect("valid")
    }

    fn people(users: &[&str], groups: &[&str]) -> Rule {
        let names = |list: &[&str]| list.iter().copied().collect();
        Rule::Is(Condition::People { users: names(users), groups: names(groups) })
    }

    fn network(network: &str) -> Rule {
        Rule::Is(Condition::From([network.parse::<ipnet::IpNet>().expect("a network")].into_iter().collect()))
    }

    fn not(rule: Rule) -> Rule {
        Rule::Not(Box::new(rule))
    }

    fn said(rule: Rule, asking: Asking<'_>) -> Result<(), Denied> {
        Access::Only(rule).admit(asking, NOW).map(|_| ())
    }

    #[test]
    fn what_is_not_known_satisfies_neither_a_condition_nor_its_opposite() {
        let alice = person("alice", &["staff"], &[]);
        let known = Asking { identity: Some(&alice), authenticated_at: Some(NOW), ..Asking::default() };
        let finance = || {
            Rule::Is(Condition::Claim {
                name: "department".to_owned(),
                values: ["finance"].into_iter().collect(),
            })
        };
        let reading = || Rule::Is(Condition::By(vec![Method::GET]));
        for unknown in [finance, || network("10.0.0.0/8"), reading] {
            assert_eq!(said(unknown(), known), Err(Denied::NotAllowed));
            assert_eq!(said(not(unknown()), known), Err(Denied::NotAllowed));
            assert_eq!(said(not(not(unknown())), known), Err(Denied::NotAllowed));
            assert_eq!(said(Rule::Any(vec![not(unknown()), people(&["alice"], &[])]), known), Ok(()));
        }
        let old = Rule::Is(Condition::Within(minutes(15)));
        let ageless = Asking { authenticated_at: None, ..known };
        assert_eq!(said(old.clone(), ageless), Err(Denied::LoginTooOld(minutes(15))));
        assert_eq!(said(not(old.clone()), ageless), Err(Denied::NotAllowed));
        assert_eq!(
            said(not(old), Asking { authenticated_at: Some(ago(minutes(20))), ..known }),
            Err(Denied::NotAllowed)
        );
        assert_eq!(
            said(not(people(&["eve"], &["guests"])), known),
            Ok(()),
            "all groups of a person are known"
        );
        assert_eq!(said(not(Rule::Is(Condition::Login)), Asking::default()), Err(Denied::LoginNeeded));
    }

    #[test]
    fn nobody_is_asked_to_log_in_in_vain() {
        let office = || network("10.0.0.0/8");
        let staff = || people(&[], &["staff"]);
        let inside = Asking { client: Some([10, 1, 1, 1].into()), ..Asking::default() };
        let outside = Asking { client: Some([192, 0, 2, 1].into()), ..Asking::default() };
        let unknown = Asking::default();
        let both = || Rule::All(vec![office(), staff()]);
        let either = || Rule::Any(vec![office(), staff()]);
        for (rule, asking, answer) in [
            (both(), inside, Err(Denied::LoginNeeded)),
            (both(), outside, Err(Denied::NotAllowed)),
            (both(), unknown, Err(Denied::NotAllowed)),
            (either(), inside, Ok(())),
            (either(), outside, Err(Denied::LoginNeeded)),
            (either(), unknown, Err(Denied::LoginNeeded)),
            (not(both()), inside, Err(Denied::LoginNeeded)),
            (not(both()), outside, Ok(())),
            (not(both()), unknown, Err(Denied::LoginNeeded)),
            (not(either()), inside, Err(Denied::NotAllowed)),
            (not(either()), outside, Err(Denied::LoginNeeded)),
            (not(either()), unknown, Err(Denied::NotAllowed)),
        ] {
            assert_eq!(said(rule.clone(), asking), answer, "{rule:?} from {:?}", asking.client);
        }
    }

    #[test]
    fn the_freshest_login_that_helps_is_asked_for() {
        let alice = person("alice", &[], &[]);
        let asking =
            Asking { identity: Some(&alice), authenticated_at: Some(ago(minutes(60))), ..Asking::default() };
        let within = |most| Rule::Is(Condition::Within(minutes(most)));
        assert_eq!(
            said(Rule::All(vec![within(30), within(5)]), asking),
            Err(Denied::LoginTooOld(minutes(5)))
        );
        assert_eq!(
            said(Rule::Any(vec![within(5), within(30)]), asking),
            Err(Denied::LoginTooOld(minutes(30)))
        );
        assert_eq!(said(within(60), asking), Ok(()));
        let bob = Rule::All(vec![within(5), people(&["bob"], &[])]);
        assert_eq!(said(bob, asking), Err(Denied::NotAllowed), "a fresh login would be in vain");
    }

    #[test]
    fn who_decides_is_told() {
        let rule = Rule::All(vec![
            people(&["alice"], &[]),
            Rule::Any(vec![network("10.0.0.0/8"), not(network("192.0.2.0/24"))]),
        ]);
        let alice = person("alice", &[], &[]);
        let asking =
            Asking { identity: Some(&alice), client: Some([192, 0, 2, 1].into()), ..Asking::default() };
        let found = rule.findings(&asking, NOW);
        assert_eq!((found.answer, found.parts[0].decides), (Answer::No, false));
        let choice = &found.parts[1];
        assert!(choice.parts.iter().all(|part| part.decides && part.answer == Answer::No));
        assert_eq!((choice.parts[1].parts[0].decides, choice.parts[1].parts[0].answer), (true, Answer::Yes));
    }

    /// A rule as it is written, before it is prepared for looking things up.
    #[derive(Clone, Debug)]
    enum Written {
        All(Vec<Written>),
        Any(Vec<Written>),
        Not(Box<Written>),
        Login,
        People(Vec<String>, Vec<String>),
        Claim(String, Vec<String>),
        From(Vec<ipnet::IpNet>),
        By(Vec<Method>),
        Within(Duration),
    }

    impl Written {
        fn compiled(&self) -> Rule {
            let all = |rules: &[Written]| rules.iter().map(Written::compiled).collect();
            let names = |names: &[String]| names.iter().cloned().collect();
            Rule::Is(match self {
                Written::All(rules) => return Rule::All(all(rules)),
                Written::Any(rules) => return Rule::Any(all(rules)),
                Written::Not(rule) => return not(rule.compiled()),
                Written::Login => Condition::Login,
                Written::People(users, groups) => {
                    Condition::People { users: names(users), groups: names(groups) }
                }
                Written::Claim(name, values) => {
                    Condition::Claim { name: name.clone(), values: names(values) }
                }
                Written::From(networks) => Condition::From(networks.iter().copied().collect()),
                Written::By(methods) => Condition::By(methods.clone()),
                Written::Within(within) => Condition::Within(*within),
            })
        }

        fn is_about_people(&self) -> bool {
            !matches!(self, Written::From(_) | Written::By(_))
        }

        /// Three-valued logic (Kleene), word for word. `guesses` says what conditions on people would say after a login.
        fn holds(&self, asking: &Asking<'_>, guesses: &mut dyn FnMut() -> Option<bool>) -> Option<bool> {
            let who = match (asking.identity, self) {
                (None, Written::All(_) | Written::Any(_) | Written::Not(_)) => None,
                (None, leaf) if leaf.is_about_people() => return guesses(),
                (who, _) => who,
            };
            match self {
                Written::All(rules) => {
                    let parts: Vec<_> = rules.iter().map(|rule| rule.holds(asking, guesses)).collect();
                    let known = parts.iter().all(|part| *part == Some(true)) || parts.contains(&Some(false));
                    known.then(|| !parts.contains(&Some(false)))
                }
                Written::Any(rules) => {
                    let parts: Vec<_> = rules.iter().map(|rule| rule.holds(asking, guesses)).collect();
                    let known = parts.iter().all(|part| *part == Some(false)) || parts.contains(&Some(true));
                    known.then(|| parts.contains(&Some(true)))
                }
                Written::Not(rule) => rule.holds(asking, guesses).map(|holds| !holds),
                Written::Login => Some(true),
                Written::People(users, groups) => {
                    let who = who?;
                    Some(
                        users.iter().any(|user| user == who.user())
                            || groups.iter().any(|group| who.is_in(group)),
                    )
                }
                Written::Claim(name, values) => {
                    let mine: Vec<&str> = who?.claim(name).collect();
                    (!mine.is_empty())
                        .then(|| mine.iter().any(|mine| values.iter().any(|value| value == mine)))
                }
                Written::From(networks) => {
                    asking.client.map(|client| networks.iter().any(|network| network.contains(&client)))
                }
                Written::By(methods) => asking.method.map(|method| {
                    methods.iter().any(|listed| listed == method || (listed == "GET" && method == "HEAD"))
                }),
                Written::Within(within) => {
                    Some(asking.authenticated_at.is_some_and(|then| NOW.since(then) <= *within))
                }
            }
        }

        /// Which answer is right.
        fn admits(&self, asking: &Asking<'_>) -> Result<(), &'static str> {
            if self.holds(asking, &mut || None) == Some(true) {
                return Ok(());
            }
            if asking.identity.is_none() {
                let mut asked = 0_u32;
                self.holds(asking, &mut || {
                    asked += 1;
                    None
                });
                let might = (0..1_u32 << asked).any(|mut bits| {
                    let mut guess = || {
                        let bit = bits & 1 == 1;
                        bits >>= 1;
                        Some(bit)
                    };
                    self.holds(asking, &mut guess) == Some(true)
                });
                return Err(if might { "login" } else { "not allowed" });
            }
            let fresh = Asking { authenticated_at: Some(NOW), ..*asking };
            Err(if self.holds(&fresh, &mut || None) == Some(true) { "too old" } else { "not allowed" })
        }
    }

    fn names(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(prop::sample::select(of).prop_map(str::to_owned), 0..3)
    }

    const NETWORKS: [&str; 5] = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/25", "fd00::/8", "0.0.0.0/0"];
    const METHODS: [Method; 4] = [Method::GET, Method::HEAD, Method::POST, Method::DELETE];

    fn leaf() -> impl Strategy<Value = Written> {
        let networks = prop::sample::select(&NETWORKS).prop_map(|net| net.parse().expect("a network"));
        prop_oneof![
            Just(Written::Login),
            (names(&["alice", "bob"]), names(&["staff", "ops"]))
                .prop_map(|(users, groups)| Written::People(users, groups)),
            (prop::sample::select(&["department", "mfa"]), names(&["finance", "legal", "true"]))
                .prop_map(|(name, values)| Written::Claim(name.to_owned(), values)),
            prop::collection::vec(networks, 0..3).prop_map(Written::From),
            prop::collection::vec(prop::sample::select(&METHODS), 0..3).prop_map(Written::By),
        ]
    }

    /// Rules in which nothing but `within` keeps out of `not`, as the configuration wants it.
    fn written() -> impl Strategy<Value = Written> {
        let list = |rule| prop::collection::vec(rule, 0..3);
        let turned = leaf().prop_recursive(2, 5, 2, move |rule| {
            prop_oneof![
                list(rule.clone()).prop_map(Written::All),
                list(rule.clone()).prop_map(Written::Any),
                rule.prop_map(|rule| Written::Not(Box::new(rule))),
            ]
        });
        let straight = prop_oneof![
            3 => turned.prop_map(|rule| Written::Not(Box::new(rule))),
            3 => leaf(),
            1 => (1..40_u64).prop_map(|most| Written::Within(minutes(most))),
        ];
        straight.prop_recursive(3, 6, 3, move |rule| {
            prop_oneof![list(rule.clone()).prop_map(Written::All), list(rule).prop_map(Written::Any)]
        })
    }

    type Facts = (Option<Identity>, Option<Timestamp>, Option<IpAddr>, Option<Method>);

    fn facts() -> impl Strategy<Value = Facts> {
        let addresses = ["10.1.2.3", "10.2.0.1", "192.0.2.1", "192.0.2.200", "fd12::1", "2001:db8::1"];
        let addresses = addresses.map(|address| address.parse::<IpAddr>().expect("an address"));
        let claims = prop::collection::vec(
            (
                prop::sample::select(&["department", "mfa"]),
                prop::sample::select(&["finance", "legal", "true", "x"]),
            ),
            0..3,
        );
        let user = prop::sample::select(&["alice", "bob", "eve"]);
        let identity = (user, names(&["staff", "ops", "x"]), claims).prop_map(|(user, groups, claims)| {
            let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
            person(user, &groups, &claims)
        });
        (
            prop::option::of(identity),
            prop::option::of((0..60_u64).prop_map(|age| ago(minutes(age)))),
            prop::option::of(prop::sample::select(addresses.to_vec())),
            prop::option::of(prop::sample::select(&METHODS)),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn rules_say_what_is_written(written in written(), facts in facts()) {
            let (identity, authenticated_at, client, method) = &facts;
            let asking = Asking {
                session: None,
                identity: identity.as_ref(),
                authenticated_at: *authenticated_at,
                client: *client,
                method: method.as_ref(),
            };
            let rule = written.compiled();
            let said = said(rule.clone(), asking);
            let told = said.map_err(|denied| match denied {
                Denied::LoginNeeded => "login",
                Denied::LoginTooOld(_) => "too old",
                Denied::NotAllowed => "not allowed",
            });
            prop_assert_eq!(told, written.admits(&asking));
            if let Err(Denied::LoginTooOld(within)) = said {
                let fresh = Asking { authenticated_at: Some(ago(within)), ..asking };
                prop_assert_eq!(written.admits(&fresh), Ok(()), "a login of that age is fresh enough");
            }
            let found = rule.findings(&asking, NOW);
            prop_assert_eq!(found.answer, rule.judge(&asking, NOW));
            prop_assert!(found.decides);
        }
    }
}
