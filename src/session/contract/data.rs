//! What is promised of the data that applications keep.

use super::{ALL, HOUR, Jar, WITH_A_KEEPER, on, settings};
use crate::session::protocol::Scope;

#[test]
fn data_of_a_visitor_begins_a_session_and_is_kept_at_login() {
    on(&ALL, settings, |house| async move {
        let mut jar = Jar::default();
        house.respond(&mut jar, &[]).await;
        assert!(jar.0.is_empty(), "nothing to keep, no session");
        house.respond(&mut jar, &[("Session-Set", "cart=3, shared.theme=\"dark\"")]).await;
        assert_eq!(house.value(&jar, "app.cart").await.as_deref(), Some("Integer(3)"));
        house.sign_in(&mut jar, "alice", false).await;
        assert_eq!(house.value(&jar, "app.cart").await.as_deref(), Some("Integer(3)"));
        house.sign_in(&mut jar, "bob", false).await;
        assert_eq!(house.value(&jar, "app.cart").await, None, "another person starts empty");
        assert!(house.value(&jar, "shared.theme").await.is_some(), "but for preferences");
    });
}

#[test]
fn preferences_survive_logout_for_long_and_nothing_else_does() {
    on(&ALL, settings, |house| async move {
        let mut jar = Jar::default();
        house.sign_in(&mut jar, "alice", false).await;
        house.respond(&mut jar, &[("Session-Set", "cart=3, shared.theme=\"dark\"")]).await;
        let signed_in = jar.clone();
        house.sign_out(&mut jar, Scope::This).await;
        assert_eq!(house.user(&jar).await, None);
        assert_ne!(jar.0, signed_in.0);
        house.clock.advance(24 * HOUR);
        assert!(house.value(&jar, "shared.theme").await.is_some());
        assert_eq!(house.value(&jar, "app.cart").await, None);
    });
}

#[test]
fn what_is_delivered_once_is_delivered_once() {
    on(&WITH_A_KEEPER, settings, |house| async move {
        let mut jar = Jar::default();
        house.respond(&mut jar, &[("Session-Set", "saved=\"yes\";flash")]).await;
        let visitor = house.recognise(&jar, true).await;
        let session = visitor.session_held().expect("alive");
        assert!(house.sessions.has_flash(session, &house.rights, house.now()));
        let takers: Vec<_> = (0..5)
            .map(|_| {
                let (house, session) = (house.clone(), session.clone());
                async move {
                    let data =
                        house.sessions.take_flash(&session, &house.rights, house.now()).await.expect("there");
                    data.find("app", "saved", house.now()).is_some()
                }
            })
            .collect();
        let got = futures_util::future::join_all(takers).await;
        assert_eq!(got.into_iter().filter(|got| *got).count(), 1);
        assert!(!house.sessions.has_flash(session, &house.rights, house.now()));
    });
}

#[test]
fn a_thousand_additions_at_once_make_a_thousand_and_other_keys_stay() {
    on(&WITH_A_KEEPER, settings, |house| async move {
        let mut jar = Jar::default();
        house.sign_in(&mut jar, "alice", false).await;
        let work = (0..1000).map(|n| {
            let (house, mut jar) = (house.clone(), jar.clone());
            async move {
                let key = format!("k{}={n}", n % 8);
                house.respond(&mut jar, &[("Session-Add", "n=1"), ("Session-Set", &key)]).await;
            }
        });
        futures_util::future::join_all(work).await;
        assert_eq!(house.value(&jar, "app.n").await.as_deref(), Some("Integer(1000)"));
        for n in 0..8 {
            assert!(house.value(&jar, &format!("app.k{n}")).await.is_some());
        }
    });
}

#[test]
fn a_change_that_was_based_on_another_version_is_not_carried_out() {
    on(&ALL, settings, |house| async move {
        let mut jar = Jar::default();
        house.respond(&mut jar, &[("Session-Set", "a=1")]).await;
        house.respond(&mut jar, &[("Session-Set", "a=2"), ("Session-If-Version", "1")]).await;
        house.respond(&mut jar, &[("Session-Set", "a=3"), ("Session-If-Version", "1")]).await;
        assert_eq!(house.value(&jar, "app.a").await.as_deref(), Some("Integer(2)"));
    });
}
