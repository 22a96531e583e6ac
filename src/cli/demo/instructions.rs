//! Instructions: what this application asks the gateway to remember.
//!
//! Comes in: keys and values. Goes out: the `Session-…` headers of a response, which the gateway takes out and carries
//! out. Nothing is kept here.

use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, Dictionary, FieldType as _, Integer, Item, Key, KeyRef, Parameters};

use super::reader::keys;

/// What to remember, add and forget. All keys are constants of this application.
#[derive(Default)]
pub struct Instructions {
    set: Dictionary,
    add: Dictionary,
    delete: Dictionary,
    if_version: Option<i64>,
    logout: Option<&'static str>,
}

impl Instructions {
    /// `Session-Set: key=value`, for as long as the session lives.
    pub fn set(mut self, key: &'static str, value: BareItem) -> Self {
        self.set.insert(named(key), Item::new(value).into());
        self
    }

    /// `Session-Set: key=value;until="midnight"`, or with `max-age` in seconds.
    pub fn set_until(mut self, key: &'static str, value: BareItem, end: End) -> Self {
        let (name, end) = match end {
            End::Midnight => ("until", text("midnight")),
            End::Seconds(seconds) => ("max-age", seconds.into()),
        };
        let parameters = Parameters::from_iter([(named(name), end)]);
        self.set.insert(named(key), Item::with_params(value, parameters).into());
        self
    }

    /// `Session-Set: message="…";flash`: shown on the next page, and then gone.
    pub fn message(mut self, message: &str) -> Self {
        let parameters = Parameters::from_iter([(named("flash"), true.into())]);
        self.set.insert(named(keys::MESSAGE), Item::with_params(text(message), parameters).into());
        self
    }

    /// `Session-Add: key=1`: right also when two pages are asked for at the same time.
    pub fn count(mut self, key: &'static str) -> Self {
        self.add.insert(named(key), Item::new(1).into());
        self
    }

    /// `Session-Delete: key`
    pub fn delete(mut self, key: &'static str) -> Self {
        self.delete.insert(named(key), Item::new(true).into());
        self
    }

    /// `Session-If-Version`: nothing is changed when the data has another version by now.
    pub fn if_version(mut self, version: Option<i64>) -> Self {
        self.if_version = version;
        self
    }

    /// `Session-Logout`: `this`, `others` or `all`.
    pub fn logout(mut self, which: &'static str) -> Self {
        self.logout = Some(which);
        self
    }

    /// Writes the headers.
    pub fn write(&self, headers: &mut HeaderMap) {
        let dictionaries =
            [("session-set", &self.set), ("session-add", &self.add), ("session-delete", &self.delete)];
        for (name, dictionary) in dictionaries {
            if let Some(value) = dictionary.serialize() {
                let value = HeaderValue::try_from(value).expect("structured fields are visible ASCII");
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        if let Some(version) = self.if_version {
            headers.insert("session-if-version", version.into());
        }
        if let Some(which) = self.logout {
            headers.insert("session-logout", HeaderValue::from_static(which));
        }
    }
}

/// What becomes of a posted form: something to remember, and a page to go to (303), so that reloading does not send the
/// form again.
pub struct Change {
    pub instructions: Instructions,
    pub to: &'static str,
}

/// When a value ends that does not last as long as its session.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// At the end of the day.
    Midnight,
    /// After so many seconds.
    Seconds(Integer),
}

/// A text as a string, or as a display string when it goes beyond printable ASCII.
pub fn text(text: &str) -> BareItem {
    match sfv::String::from_string(text.to_owned()) {
        Ok(plain) => BareItem::String(plain),
        Err((_, text)) => BareItem::DisplayString(text),
    }
}

fn named(key: &'static str) -> Key {
    KeyRef::constant(key).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(instructions: Instructions) -> Vec<String> {
        let mut headers = HeaderMap::new();
        instructions.write(&mut headers);
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    #[test]
    fn everything_is_said_as_the_gateway_reads_it() {
        let instructions = Instructions::default()
            .set(keys::THEME, text("dark"))
            .set("note", text("김"))
            .set_until(keys::HIDE_NOTICE, true.into(), End::Midnight)
            .set_until("seen", true.into(), End::Seconds(sfv::integer(86_400)))
            .message("Saved \"it\"")
            .count("visits")
            .delete("cart-tea")
            .delete("cart-rice")
            .if_version(Some(7))
            .logout("others");
        let expected = [
            r#"session-set: shared.theme="dark", note=%"%ea%b9%80", shared.hide-notice;until="midnight", seen;max-age=86400, message="Saved \"it\"";flash"#,
            "session-add: visits=1",
            "session-delete: cart-tea, cart-rice",
            "session-if-version: 7",
            "session-logout: others",
        ];
        assert_eq!(written(instructions), expected);
    }

    #[test]
    fn nothing_to_say_is_no_header() {
        assert!(written(Instructions::default()).is_empty());
    }
}
