//! What is promised of how long a session lives, and why it ends.

use std::time::Duration;

use super::{ALL, HOUR, Jar, MINUTE, WITH_A_KEEPER, on, settings};
use crate::session::Settings;
use crate::session::record::EndReason;

#[test]
fn a_session_ends_by_its_limits_and_says_why() {
    on(&ALL, settings, |house| async move {
        let mut jar = Jar::default();
        house.sign_in(&mut jar, "alice", false).await;
        house.clock.advance(HOUR);
        assert_eq!(
            house.user(&jar).await.as_deref(),
            Some("alice"),
            "a limit is reached when it is exceeded"
        );
        house.respond(&mut jar, &[]).await;
        house.clock.advance(HOUR + MINUTE);
        let late = house.recognise(&jar, true).await;
        assert_eq!((late.identity().is_some(), late.ended()), (false, Some(EndReason::Idle)));
    });
    on(&ALL, settings, |house| async move {
        let mut jar = Jar::default();
        house.sign_in(&mut jar, "alice", false).await;
        for _ in 0..14 {
            house.clock.advance(50 * MINUTE);
            house.respond(&mut jar, &[]).await;
        }
        assert_eq!(house.user(&jar).await.as_deref(), Some("alice"));
        house.clock.advance(50 * MINUTE);
        assert_eq!(house.recognise(&jar, true).await.ended(), Some(EndReason::Absolute));
    });
}

#[test]
fn a_quiet_look_does_not_extend_a_session() {
    on(&ALL, settings, |house| async move {
        let mut jar = Jar::default();
        house.sign_in(&mut jar, "alice", false).await;
        house.clock.advance(HOUR);
        assert!(house.recognise(&jar, false).await.identity().is_some());
        house.clock.advance(MINUTE);
        assert!(house.recognise(&jar, false).await.identity().is_none());
    });
}

#[test]
fn an_application_can_shorten_a_sessions_idle_limit_and_not_lengthen_it() {
    on(&ALL, settings, |house| async move {
        let mut jar = Jar::default();
        house.sign_in(&mut jar, "alice", false).await;
        house.respond(&mut jar, &[("Session-Expires", "600")]).await;
        let visitor = house.recognise(&jar, false).await;
        let expires = house.sessions.lifetime().expires(visitor.session().expect("alive"));
        assert_eq!(expires.since(house.now()), 10 * MINUTE);
        house.respond(&mut jar, &[("Session-Expires", "999999")]).await;
        let visitor = house.recognise(&jar, false).await;
        let expires = house.sessions.lifetime().expires(visitor.session().expect("alive"));
        assert_eq!(expires.since(house.now()), HOUR);
    });
}

#[test]
fn a_session_goes_on_under_a_new_id_and_an_old_one_shown_late_ends_it() {
    on(&WITH_A_KEEPER, settings, |house| async move {
        let mut jar = Jar::default();
        house.sign_in(&mut jar, "alice", false).await;
        let old = jar.clone();
        house.clock.advance(15 * MINUTE);
        house.respond(&mut jar, &[]).await;
        assert_ne!(jar.0, old.0, "a quarter of an hour has passed");
        assert_eq!(house.user(&old).await.as_deref(), Some("alice"), "the new one may have got lost");
        assert_eq!(house.user(&jar).await.as_deref(), Some("alice"));
        house.clock.advance(Duration::from_secs(29));
        assert_eq!(house.user(&old).await.as_deref(), Some("alice"), "requests under way");
        house.clock.advance(Duration::from_secs(2));
        let thief = house.recognise(&old, true).await;
        assert_eq!((thief.session().is_some(), thief.ended()), (false, Some(EndReason::Theft)));
        assert_eq!(house.recognise(&jar, true).await.ended(), Some(EndReason::Theft), "nobody keeps it");
    });
}

#[test]
fn a_person_has_at_most_so_many_sessions() {
    let settings = || Settings { max_per_user: 2, ..settings() };
    on(&WITH_A_KEEPER, settings, |house| async move {
        let mut jars = [Jar::default(), Jar::default(), Jar::default()];
        for jar in &mut jars {
            house.clock.advance(MINUTE);
            house.sign_in(jar, "alice", false).await;
        }
        assert_eq!(house.recognise(&jars[0], true).await.ended(), Some(EndReason::Limit));
        assert!(house.user(&jars[1]).await.is_some() && house.user(&jars[2]).await.is_some());
    });
}
