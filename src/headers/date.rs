//! Date: when a response was made (RFC 9110, section 6.6.1).
//!
//! Comes in: the time. Goes out: the field, for a response without one. It tells whole seconds, so each worker writes it once
//! in a second and copies it until the next. Never asks for the time itself.

use std::cell::RefCell;

use crate::clock::Timestamp;
use crate::clock::civil::Civil;
use crate::message::Fields;

thread_local! {
    /// The second written last, and its text.
    static WRITTEN: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// Says when, unless it is said already.
pub fn add(fields: &mut Fields, now: Timestamp) {
    if fields.contains("date") {
        return;
    }
    WRITTEN.with_borrow_mut(|(second, text)| {
        if *second != now.unix_seconds() {
            (*second, *text) = (now.unix_seconds(), Civil::from(now).http_date());
        }
        fields.append("Date", &**text);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_response_says_its_own_second_and_only_once() {
        let said = |fields: &Fields| fields.get_all("date").map(<[u8]>::to_vec).collect::<Vec<_>>();
        let at = |millis| {
            let mut fields = Fields::new();
            add(&mut fields, Timestamp::from_unix_millis(millis));
            add(&mut fields, Timestamp::from_unix_millis(millis + 5000));
            said(&fields)
        };
        for _ in 0..2 {
            assert_eq!(at(784_111_777_000), [b"Sun, 06 Nov 1994 08:49:37 GMT"]);
            assert_eq!(at(784_111_777_999), [b"Sun, 06 Nov 1994 08:49:37 GMT"]);
            assert_eq!(at(784_111_778_000), [b"Sun, 06 Nov 1994 08:49:38 GMT"]);
        }
    }
}
