//! Civil time: a moment as a date and a time of day in UTC, for people and logs.
//!
//! Comes in: a [`Timestamp`]. Goes out: year to millisecond, and the spellings that logs and headers use. Pure
//! arithmetic on the proleptic Gregorian calendar; never knows time zones, leap seconds or the time now.

use super::Timestamp;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// A date and a time of day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// 1970 or later.
    pub year: u64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999.
    pub millisecond: u16,
    /// Days since Thursday, 1 January 1970, modulo 7.
    weekday: u8,
}

impl From<Timestamp> for Civil {
    /// Days to date as by Howard Hinnant (`civil_from_days`): years begin in March, in eras of 400 years.
    fn from(moment: Timestamp) -> Self {
        let seconds = moment.unix_seconds();
        let days = seconds / 86_400;
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month: small(month),
            day: small(day_of_year - (153 * from_march + 2) / 5 + 1),
            hour: small(seconds % 86_400 / 3_600),
            minute: small(seconds % 3_600 / 60),
            second: small(seconds % 60),
            millisecond: u16::try_from(moment.unix_millis() % 1_000).expect("less than 1000"),
            weekday: small(days % 7),
        }
    }
}

fn small(value: u64) -> u8 {
    u8::try_from(value).expect("the parts of a date and of a day are less than 256")
}

impl Civil {
    /// `2000-10-10T13:55:36.123Z` (RFC 3339).
    pub fn rfc3339(&self) -> String {
        let Self { year, month, day, hour, minute, second, millisecond, .. } = self;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }

    /// `10/Oct/2000:13:55:36 +0000`, as Apache's logs have it.
    pub fn apache(&self) -> String {
        let Self { year, day, hour, minute, second, .. } = self;
        let month = self.month_name();
        format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
    }

    /// `Tue, 10 Oct 2000 13:55:36 GMT` (RFC 9110, section 5.6.7).
    pub fn http_date(&self) -> String {
        let Self { year, day, hour, minute, second, .. } = self;
        let (weekday, month) = (WEEKDAYS[usize::from(self.weekday)], self.month_name());
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }

    fn month_name(&self) -> &'static str {
        MONTHS[usize::from(self.month) - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(millis: u64) -> String {
        Civil::from(Timestamp::from_unix_millis(millis)).rfc3339()
    }

    #[test]
    fn known_moments_have_their_known_dates() {
        assert_eq!(spelled(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(spelled(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(spelled(951_868_799_999), "2000-02-29T23:59:59.999Z");
        assert_eq!(spelled(951_868_800_000), "2000-03-01T00:00:00.000Z");
        assert_eq!(spelled(4_107_542_399_001), "2100-02-28T23:59:59.001Z");
        assert_eq!(spelled(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
        assert_eq!(spelled(253_402_300_799_999), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn one_moment_in_three_spellings() {
        let civil = Civil::from(Timestamp::from_unix_millis(971_186_136_123));
        assert_eq!(civil.rfc3339(), "2000-10-10T13:55:36.123Z");
        assert_eq!(civil.apache(), "10/Oct/2000:13:55:36 +0000");
        assert_eq!(civil.http_date(), "Tue, 10 Oct 2000 13:55:36 GMT");
    }

    #[test]
    fn every_day_of_400_years_follows_the_day_before() {
        let mut before = Civil::from(Timestamp::from_unix_millis(0));
        for day in 1..146_097_u64 {
            let today = Civil::from(Timestamp::from_unix_millis(day * 86_400_000));
            let next_day =
                (today.year, today.month, today.day) == (before.year, before.month, before.day + 1);
            let next_month = (today.year, today.month, today.day) == (before.year, before.month + 1, 1);
            let next_year = (today.year, today.month, today.day) == (before.year + 1, 1, 1);
            assert!(next_day || (next_month && before.day >= 28) || (next_year && before.month == 12));
            before = today;
        }
        assert_eq!((before.year, before.month, before.day), (2369, 12, 31));
    }

    #[test]
    fn the_end_of_time_is_a_date_too() {
        assert!(spelled(u64::MAX).ends_with('Z'));
    }
}
