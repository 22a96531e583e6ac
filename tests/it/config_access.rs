//! Configuration of access: what is accepted, and what an operator is told of rules that can never hold.

use cloakroom::access::{Access, Condition, Rule};
use cloakroom::config::{Source, inspect};

use crate::config::{accepted, said, with};

/// One route with this rule.
fn rule(access: &str) -> String {
    with(&format!("routes: [{{ path: /, access: {access} }}]"))
}

fn resolved(access: &str) -> Access {
    accepted(&rule(access)).routes[0].access.clone()
}

/// `line:column` of where this stands last in a text.
fn place(text: &str, of: &str) -> String {
    let at = text.rfind(of).unwrap_or_else(|| panic!("{of} stands nowhere in {text}"));
    let line = text[..at].matches('\n').count() + 1;
    let column = text[..at].chars().rev().take_while(|letter| *letter != '\n').count() + 1;
    format!("{line}:{column}")
}

/// Warnings as `line:column message`.
fn warned(text: &str) -> Vec<String> {
    let hash =
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$kHHfMRFA5yvMgMTQkM0FBqfjYdlHKwi2Nhz8hZSJ7QE";
    let text = text.replace("HASH", hash);
    let config = inspect(&Source::Text { name: "cloakroom.yaml".to_owned(), text }).expect("no errors");
    let warnings =
        config.warnings.iter().filter(|found| !found.message.contains("the key is made in memory"));
    warnings.map(|found| format!("{}:{} {}", found.place.line, found.place.column, found.message)).collect()
}

#[test]
fn short_and_long_forms_mean_the_same() {
    assert_eq!(
        resolved("{ users: [alice] }"),
        resolved("{ all: [{ any: [{ users: [alice] }] }] }").simplified()
    );
    assert_eq!(
        resolved("{ claims: { mfa: true, level: 2, department: [finance, legal] } }"),
        resolved("{ claims: { mfa: ['true'], level: ['2'], department: [legal, finance, legal] } }")
    );
    assert_eq!(resolved("{ networks: [10.1.2.3/8, 10.0.0.0/9] }"), resolved("{ networks: [10.0.0.0/8] }"));
    let Access::Only(Rule::Any(parts)) = resolved("{ any: [{ networks: [192.0.2.1] }, login] }") else {
        panic!("two alternatives")
    };
    assert_eq!(parts[1], Rule::Is(Condition::Login));
}

/// Lists of one entry, without the list.
trait Simplified {
    fn simplified(self) -> Self;
}

impl Simplified for Access {
    fn simplified(self) -> Self {
        match self {
            Access::Only(Rule::All(mut rules) | Rule::Any(mut rules)) if rules.len() == 1 => {
                Access::Only(rules.remove(0)).simplified()
            }
            access => access,
        }
    }
}

#[test]
fn rules_that_can_never_hold_are_errors_with_place_and_remedy() {
    let apart = "leave out one of the two, or write them as entries of `any`";
    let taken = "leave out one of the two";
    let apart = |what: &str| format!("this can never hold: no {what} is both here and on line 1 | {apart}");
    let taken = format!("this can never hold: `not` takes away all that line 1 demands | {taken}");
    let cases = [
        ("{ all: [{ users: [alice] }, { users: [bob, eve] }] }", "[bob", apart("user")),
        (
            "{ networks: [10.0.0.0/8], all: [{ networks: [192.168.0.0/16, 'fd00::/8'] }] }",
            "[192",
            apart("address"),
        ),
        (
            "{ users: [alice], methods: [GET], any: [{ methods: [POST] }] }",
            "[POST",
            apart("method"),
        ),
        ("{ groups: [staff], not: { groups: [ops, staff] } }", "[ops", taken.clone()),
        (
            "{ not: { networks: [10.0.0.0/8] }, all: [login, { networks: [10.1.0.0/16] }] }",
            "[10.0",
            taken.clone(),
        ),
        ("{ claims: { d: [a] }, not: { claims: { d: [a, b] } } }", "[a, b]", taken.clone()),
        (
            "{ users: [alice], not: { any: [{ users: [bob] }, { users: [alice, eve] }] } }",
            "[alice, eve]",
            taken.clone(),
        ),
        (
            "{ any: [{ groups: [staff], not: login }, login] }",
            "login },",
            "this can never hold: nobody passes by not being logged in | leave it out; `optional` lets everybody pass"
                .to_owned(),
        ),
        ("{ within: 0s }", "0s", "no login is ever that fresh | write a duration such as `15m`".to_owned()),
        (
            "{ users: [alice], not: { within: 5m } }",
            "5m",
            "nobody can be asked for an old login | write `within` outside of `not`".to_owned(),
        ),
    ];
    for (access, here, expected) in cases {
        let said = said(&rule(access));
        let expected = format!("{} {expected}", place(rule(access).lines().next().expect("the rule"), here));
        assert!(said.contains(&expected), "{access}\n{said:#?}\n{expected}");
    }
}

#[test]
fn what_can_hold_is_no_error() {
    for access in [
        "{ all: [{ users: [alice] }, { users: [bob], groups: [staff] }] }",
        "{ all: [{ groups: [staff] }, { groups: [ops] }] }",
        "{ all: [{ claims: { role: a } }, { claims: { role: b } }] }",
        "{ networks: [10.0.0.0/8], all: [{ networks: [10.1.0.0/16] }, login] }",
        "{ users: [alice], not: { users: [alice], networks: [10.0.0.0/8] } }",
        "{ users: [alice, bob], not: { users: [alice] } }",
        "{ groups: [staff], not: { users: [eve] } }",
        "{ users: [alice], methods: [GET], all: [{ methods: [HEAD, POST] }] }",
        "{ any: [{ users: [alice] }, { users: [bob] }] }",
        "{ any: [{ networks: [10.0.0.0/8] }, login] }",
        "{ groups: [staff], within: 15m, not: { networks: [10.0.0.0/8] } }",
        "{ not: { not: { users: [alice] } } }",
    ] {
        assert_eq!(said(&rule(access)), [""; 0], "{access}");
    }
}

#[test]
fn an_alternative_that_can_never_hold_is_found_among_others_that_can() {
    let text = with(
        "routes:\n- path: /\n  access:\n    networks: [10.0.0.0/8]\n    any:\n    - login\n    - networks: [192.0.2.0/24]\n      groups: [staff]\n    - any:\n      - users: [alice]\n        not: { users: [alice] }\n      - login",
    );
    assert_eq!(
        said(&text),
        [
            "7:17 this can never hold: no address is both here and on line 4 | leave out one of the two, or write them \
             as entries of `any`",
            "11:23 this can never hold: `not` takes away all that line 10 demands | leave out one of the two",
        ]
    );
}

#[test]
fn an_empty_list_lets_nobody_pass_unnoticed() {
    for key in ["users", "groups", "networks", "methods", "claims", "any"] {
        for empty in ["[]", "{}", ""] {
            if (key == "claims") == (empty == "[]") {
                continue;
            }
            let said = said(&rule(&format!("{{ all: [login], {key}: {empty} }}")));
            if empty == "{}" && key != "claims" {
                assert!(said.join("").contains("expected a list"), "{key}: {said:?}");
            } else {
                let expected =
                    format!("1:45 `{key}` without an entry lets nobody pass | add an entry, or leave it out");
                assert_eq!(said, [expected]);
            }
        }
    }
    assert!(said(&rule("{ all: [] }"))[0].contains("`all` without an entry says nothing"));
    assert!(
        said(&rule("{ claims: { department: [] } }"))[0].contains("`claims.department` without an entry")
    );
    assert!(said(&rule("{ users: [alice], not: }"))[0].contains("`not` without a condition"));
    assert!(said(&rule("{}"))[0].contains("a rule that names nobody"));
    assert!(said(&rule("{ any: [{}] }"))[0].contains("a rule that names nobody"));
}

#[test]
fn mistakes_deep_in_a_rule_are_told_where_they_are() {
    for (access, here, expected) in [
        ("{ any: [{ user: [alice] }] }", "user", "unknown key `user` | did you mean `users`?"),
        ("{ any: [logn] }", "logn", "unknown value `logn` | did you mean `login`?"),
        (
            "{ any: [public, { users: [alice] }] }",
            "public",
            "`public` lets everybody pass, whatever stands beside it | write `access: public`, or leave it out",
        ),
        ("{ not: { all: [{ within: 5 }] } }", "5", "`5` has no unit | write `5s`, `5m` or `5h`"),
        (
            "{ all: [login, { networks: [10.0.0/8] }] }",
            "10.0.0/8",
            "`10.0.0/8` is not a network | write `10.0.0.0/8`, `fd00::/8` or an address",
        ),
        ("{ all: [login, { methods: [get] }] }", "get", "methods are in upper case | write `GET`"),
        ("{ claims: { a: { b: c } } }", "{ b", "expected a word or a list of words, found a map"),
        (
            "[login]",
            "[login",
            "expected `public`, `optional`, `login`, or a map of conditions such as `users` and `groups`, found a list",
        ),
    ] {
        let text = with(&format!("routes: [{{ path: /, access: {access} }}]"));
        let head = text.lines().next().expect("the rule");
        assert_eq!(said(&text), [format!("{} {expected}", place(head, here))], "{access}");
    }
}

#[test]
fn a_method_that_never_comes_to_the_route_is_told() {
    let text = with(
        "routes:\n- { path: /a, methods: [GET], access: { users: [alice], methods: [POST, HEAD] } }\n\
         - { path: /b, methods: [GET], access: public }\n\
         - { path: /b/c, access: { any: [{ groups: [staff], methods: [GET, PUT] }] } }\n\
         - { path: /b/d, access: { users: [alice], not: { methods: [GET] } } }\n- { path: / }",
    );
    assert_eq!(
        said(&text),
        [
            "2:67 `POST` never comes here: `methods` of the route does not name it | add it there, or leave it out here",
            "4:62 `GET` never comes here: `routes[1]` on line 3 takes it before this route | put the narrower route \
             first; the first match wins",
        ]
    );
    let behind = with("routes: [{ path: /, access: public }, { path: /admin, access: { users: [alice] } }]");
    assert!(said(&behind)[0].contains("unreachable: `routes[0]`"), "{:?}", said(&behind));
}

#[test]
fn people_who_are_nobody_are_found_deep_in_a_rule() {
    let warnings = warned(&rule("{ any: [{ users: [alicia] }, { all: [login, { groups: [staff] }] }] }"));
    assert_eq!(warnings, ["1:47 no user is called `alicia`", "1:84 no user is in the group `staff`"]);
}

#[test]
fn a_rule_that_asks_nobody_to_log_in_says_so() {
    let warnings = warned(&rule("{ networks: [10.0.0.0/8], methods: [GET] }"));
    assert_eq!(warnings, ["1:29 nobody has to log in for this: it looks at the request only"]);
    for meant in ["{ any: [{ networks: [10.0.0.0/8] }] }", "{ all: [login, { networks: [10.0.0.0/8] }] }"] {
        assert_eq!(warned(&rule(meant)), [""; 0]);
    }
    assert_eq!(
        warned(&rule("{ all: [login, { networks: ['::/0'] }] }")),
        ["1:57 every address is in this network"]
    );
    let nobody = "listen: 127.0.0.1:80\nupstream: http://a\nroutes: [{ path: /, access: ";
    assert_eq!(said(&format!("{nobody}{{ any: [{{ networks: [10.0.0.0/8] }}] }} }}]")), [""; 0]);
    let needed = said(&format!("{nobody}{{ any: [{{ networks: [10.0.0.0/8] }}, login] }} }}]"));
    assert!(needed[0].contains("nobody can log in"), "{needed:?}");
}

#[test]
fn networks_are_warned_of_where_no_client_has_an_address() {
    let listening = |listen: &str| {
        format!(
            "listen: [{listen}]\nupstream: http://a\nlogin: {{ local: {{ users: {{ alice: \"HASH\" }} }} }}\n\
             routes: [{{ path: /, access: {{ any: [login, {{ not: {{ networks: [10.0.0.0/8] }} }}] }} }}]"
        )
    };
    let warnings = warned(&listening("'unix:/run/x.sock'"));
    assert!(warnings.len() == 1 && warnings[0].starts_with("4:63 this never holds"), "{warnings:?}");
    assert_eq!(warned(&listening("'unix:/run/x.sock', '127.0.0.1:80'")), [""; 0]);
}
