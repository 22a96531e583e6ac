//! Midnight: when the day ends, where the visitor is.
//!
//! Comes in: a moment and a time zone. Goes out: the first moment of the next day there: where clocks are put forward at
//! midnight that is later than 0:00, and where they are put back it is the first of two. Never earlier than now.

use jiff::tz::TimeZone;

use crate::clock::Timestamp;

/// The first moment of the next day; `None` at the end of time.
pub(super) fn next(now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let now = jiff::Timestamp::from_millisecond(i64::try_from(now.unix_millis()).ok()?).ok()?;
    let midnight = now.to_zoned_datetime(zone.clone()).tomorrow().ok()?.start_of_day().ok()?;
    u64::try_from(midnight.timestamp().as_millisecond()).ok().map(Timestamp::from_unix_millis)
}

/// A time zone by its name, such as `Asia/Seoul`.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment(text: &str) -> Timestamp {
        let millis = text.parse::<jiff::Timestamp>().expect("a moment").as_millisecond();
        Timestamp::from_unix_millis(u64::try_from(millis).expect("after 1970"))
    }

    fn after(now: &str, place: &str) -> Option<Timestamp> {
        next(moment(now), &zone(place).expect("a zone"))
    }

    #[test]
    fn the_day_ends_where_the_visitor_is() {
        assert_eq!(after("2026-03-01T14:59:59.999Z", "Asia/Seoul"), Some(moment("2026-03-01T15:00:00Z")));
        assert_eq!(after("2026-03-01T15:00:00Z", "Asia/Seoul"), Some(moment("2026-03-02T15:00:00Z")));
        assert_eq!(after("2026-03-01T15:00:00Z", "UTC"), Some(moment("2026-03-02T00:00:00Z")));
    }

    #[test]
    fn days_have_23_or_25_hours_when_clocks_change() {
        let (spring, autumn) = ("2026-03-28T23:00:00Z", "2026-10-24T22:00:00Z");
        assert_eq!(after(spring, "Europe/Berlin"), Some(moment("2026-03-29T22:00:00Z")));
        assert_eq!(after(autumn, "Europe/Berlin"), Some(moment("2026-10-25T23:00:00Z")));
        // In Cairo, clocks go from 0:00 to 1:00: the day begins at 1:00.
        assert_eq!(after("2026-04-23T12:00:00Z", "Africa/Cairo"), Some(moment("2026-04-23T22:00:00Z")));
        // Samoa went without 30 December 2011.
        assert_eq!(after("2011-12-29T12:00:00Z", "Pacific/Apia"), Some(moment("2011-12-30T10:00:00Z")));
    }

    #[test]
    fn a_place_that_nobody_knows_has_no_midnight() {
        assert!(zone("Mars/Olympus").is_none() && zone("../../etc/passwd").is_none() && zone("").is_none());
        assert_eq!(next(Timestamp::from_unix_millis(u64::MAX), &TimeZone::UTC), None);
    }

    proptest! {
        #[test]
        fn midnight_is_ahead_and_not_far(
            millis in 0..4_000_000_000_000_u64,
            place in prop::sample::select(vec!["UTC", "Africa/Cairo", "America/Havana", "Asia/Beirut", "Pacific/Apia"]),
        ) {
            let now = Timestamp::from_unix_millis(millis);
            let midnight = next(now, &zone(place).expect("a zone")).expect("a midnight");
            prop_assert!(midnight > now);
            prop_assert!(midnight.since(now).as_secs() <= 49 * 3600);
        }
    }
}
