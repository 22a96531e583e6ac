//! Claims: who a provider says somebody is, and whether they are admitted.
//!
//! Comes in: verified claims, some of them from the userinfo endpoint. Goes out: the person, under a name of their own, or
//! why they may not enter. Never lets what was asked for later take the place of what was said at first.

use crate::identity::Identity;
use crate::login::oidc::failure::Failure;
use crate::login::oidc::settings::{Allow, ProviderSettings};
use crate::login::person::Person;
use crate::login::token::{ClaimNames, Claims};

/// The person these claims are about, if they may enter.
pub fn person(claims: &Claims, settings: &ProviderSettings) -> Result<Identity, Failure> {
    let names = &settings.claims;
    let person = Person::of(claims, names).ok_or_else(|| Failure::NoUser(names.user.clone()))?;
    admit(&settings.allow, &person)?;
    Ok(person.into_identity(&settings.prefix)?)
}

/// Whether something that is wanted is not among these claims.
pub fn leave_out(claims: &Claims, names: &ClaimNames) -> bool {
    let wanted = [&names.user, &names.email, &names.name, &names.groups];
    wanted.into_iter().chain(&names.keep).any(|name| !name.is_empty() && claims.at(name).is_none())
}

/// These claims, and of the others those that are not among them.
pub fn completed(mut claims: Claims, others: Claims) -> Claims {
    for (name, value) in others.0 {
        claims.0.entry(name).or_insert(value);
    }
    claims
}

fn admit(allow: &Allow, person: &Person) -> Result<(), Failure> {
    if !allow.email_domains.is_empty() {
        let domain = person.email_domain().map(str::to_lowercase);
        let domain = domain.ok_or(Failure::NotAllowed("there is no verified e-mail address"))?;
        if !allow.email_domains.contains(&domain) {
            return Err(Failure::NotAllowed("the domain of the e-mail address"));
        }
    }
    let anybody = allow.users.is_empty() && allow.groups.is_empty();
    let named = allow.users.contains(&person.user);
    let member = person.groups.iter().any(|group| allow.groups.contains(group));
    (anybody || named || member).then_some(()).ok_or(Failure::NotAllowed("neither the user nor a group"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::login::oidc::settings::ClientAuth;

    fn settings(allow: Allow) -> ProviderSettings {
        ProviderSettings {
            name: "a".to_owned(),
            title: "A".to_owned(),
            issuer: "https://id.example".to_owned(),
            client_id: "us".to_owned(),
            client_secret: None,
            client_auth: ClientAuth::Basic,
            scopes: vec!["openid".to_owned()],
            claims: ClaimNames {
                user: "sub".to_owned(),
                email: "email".to_owned(),
                name: "name".to_owned(),
                groups: "realm_access.roles".to_owned(),
                keep: vec!["department".to_owned(), "a.b".to_owned()],
            },
            prefix: "a:".to_owned(),
            allow,
            authorities: Vec::new(),
            sign_out_there: true,
            post_logout: None,
            refresh: false,
        }
    }

    fn claims(value: Value) -> Claims {
        match value {
            Value::Object(map) => Claims(map),
            other => panic!("{other}"),
        }
    }

    fn alice() -> Value {
        json!({
            "sub": "alice", "email": "alice@Example.com", "name": "앨리스", "realm_access": { "roles": ["staff", "a,b"] },
            "department": "finance", "a": { "b": [1, true, "x"] },
        })
    }

    #[test]
    fn a_person_is_what_the_claims_say_under_a_name_of_their_own() {
        let person = person(&claims(alice()), &settings(Allow::default())).expect("admitted");
        assert_eq!(
            (person.user(), person.email(), person.name()),
            ("a:alice", Some("alice@Example.com"), Some("앨리스"))
        );
        assert_eq!(person.groups().collect::<Vec<_>>(), ["staff", "a,b"]);
        let kept: Vec<_> = person.claims().collect();
        assert_eq!(kept, [("department", "finance"), ("a.b", "1"), ("a.b", "true"), ("a.b", "x")]);
    }

    #[test]
    fn an_address_that_the_provider_denies_or_that_is_none_is_nobodys() {
        for (email, verified, kept) in [
            ("a@ok.com", json!(true), true),
            ("a@ok.com", json!("true"), true),
            ("a@ok.com", json!(null), true),
            ("a@ok.com", json!(false), false),
            ("a@ok.com", json!("false"), false),
            ("a@evil@ok.com", json!(true), false),
            ("@ok.com", json!(true), false),
            ("a@", json!(true), false),
            ("ok.com", json!(true), false),
        ] {
            let mut given = alice();
            (given["email"], given["email_verified"]) = (json!(email), verified);
            let identity = person(&claims(given.clone()), &settings(Allow::default())).expect("admitted");
            assert_eq!(identity.email().is_some(), kept, "{given}");
            let allow = Allow { email_domains: vec!["ok.com".to_owned()], ..Allow::default() };
            let mut by_address = settings(allow);
            assert_eq!(person(&claims(given.clone()), &by_address).is_ok(), kept, "{given}");
            by_address.claims.user = "email".to_owned();
            assert_eq!(person(&claims(given.clone()), &by_address).is_ok(), kept, "{given}");
        }
    }

    #[test]
    fn all_conditions_hold_and_users_and_groups_stand_in_for_each_other() {
        let one = |text: &str| vec![text.to_owned()];
        let none = Vec::new;
        for (email_domains, groups, users, admitted) in [
            (one("example.com"), none(), none(), true),
            (one("ample.com"), none(), none(), false),
            (one("com"), none(), none(), false),
            (none(), one("staff"), none(), true),
            (none(), one("a"), none(), false),
            (none(), one("boss"), one("alice"), true),
            (none(), one("boss"), one("a:alice"), false),
            (one("other.com"), one("staff"), one("alice"), false),
        ] {
            let allow = Allow { email_domains, groups, users };
            let verdict = person(&claims(alice()), &settings(allow.clone()));
            assert_eq!(verdict.is_ok(), admitted, "{allow:?}");
        }
    }

    #[test]
    fn what_cannot_be_said_in_headers_is_left_out_or_refused() {
        let mut given = alice();
        given["realm_access"]["roles"] = json!(["a\r\nX-Admin: 1", "", "g".repeat(300), "staff"]);
        given["department"] = json!("a\nb");
        let identity = person(&claims(given), &settings(Allow::default())).expect("admitted");
        assert_eq!(identity.groups().collect::<Vec<_>>(), ["staff"]);
        assert_eq!(identity.claim("department").count(), 0);
        for sub in [json!("a\r\nb"), json!(""), json!(null), json!({ "a": 1 })] {
            let mut given = alice();
            given["sub"] = sub;
            assert!(person(&claims(given.clone()), &settings(Allow::default())).is_err(), "{given}");
        }
    }

    #[test]
    fn what_is_left_out_is_asked_for_and_never_takes_the_place_of_what_was_said() {
        let settings = settings(Allow::default());
        assert!(!leave_out(&claims(alice()), &settings.claims));
        assert!(leave_out(&claims(json!({ "sub": "alice" })), &settings.claims));
        let both =
            completed(claims(json!({ "sub": "alice" })), claims(json!({ "sub": "bob", "name": "Alice" })));
        assert_eq!((both.text("sub"), both.text("name")), (Some("alice"), Some("Alice")));
    }
}
