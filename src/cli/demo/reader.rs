//! Reader: whoever is asking, as the gateway's headers say.
//!
//! Comes in: a request's headers. Goes out: the user, the language and theme to answer in, and what the session holds. What
//! cannot be read counts as not there. Never looks at a cookie: there is none for this application.

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use sfv::{BareItem, Dictionary, Item, ListEntry, Parser};

/// Keys of the session that more than one page knows. Those that start with `shared.` are for every application behind
/// the gateway, the others for this one.
pub mod keys {
    /// `en` or `ko`.
    pub const LANGUAGE: &str = "shared.language";
    /// `light` or `dark`; arrives as `X-Theme` as well.
    pub const THEME: &str = "shared.theme";
    /// The maintenance notice is not wanted for a while.
    pub const HIDE_NOTICE: &str = "shared.hide-notice";
    /// A text that is shown once, on the next page.
    pub const MESSAGE: &str = "message";
}

/// A language that the pages are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// `en`
    #[default]
    English,
    /// `ko`
    Korean,
}

impl Language {
    /// The language with this tag.
    pub fn from_tag(tag: &str) -> Option<Self> {
        match tag {
            "en" => Some(Self::English),
            "ko" => Some(Self::Korean),
            _ => None,
        }
    }

    /// One of two texts that say the same.
    pub fn say<'a>(self, english: &'a str, korean: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::Korean => korean,
        }
    }

    /// Its tag.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }
}

/// Who is asking, and what the session holds for them.
#[derive(Default)]
pub struct Reader {
    pub user: Option<String>,
    pub name: Option<String>,
    pub groups: Option<String>,
    pub language: Language,
    /// `light` or `dark`, when it was chosen.
    pub theme: Option<&'static str>,
    /// The last change did not happen: the data had another version by then.
    pub conflict: bool,
    data: Dictionary,
    meta: Dictionary,
}

impl Reader {
    /// Reads `X-Auth-User`, `X-Auth-Name`, `X-Auth-Groups` and `X-Theme`, percent-encoded UTF-8 all of them, and the
    /// `Session-…` headers.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let read = |name: &str| {
            let value = headers.get(name)?.to_str().ok()?;
            Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
        };
        let data = dictionary(headers, "session-data");
        let theme = read("x-theme");
        Self {
            user: read("x-auth-user"),
            name: read("x-auth-name"),
            groups: read("x-auth-groups"),
            language: text(&data, keys::LANGUAGE)
                .and_then(Language::from_tag)
                .unwrap_or_else(|| preferred_language(headers)),
            theme: ["light", "dark"].into_iter().find(|known| theme.as_deref() == Some(known)),
            conflict: headers.get("session-conflict").is_some_and(|value| value == "?1"),
            meta: dictionary(headers, "session-meta"),
            data,
        }
    }

    /// What to call them.
    pub fn greeting(&self) -> &str {
        let stranger = self.say("stranger", "손님");
        self.name.as_deref().or(self.user.as_deref()).unwrap_or(stranger)
    }

    /// One of two texts that say the same, in their language.
    pub fn say<'a>(&self, english: &'a str, korean: &'a str) -> &'a str {
        self.language.say(english, korean)
    }

    /// A text in the session.
    pub fn text(&self, key: &str) -> Option<&str> {
        text(&self.data, key)
    }

    /// A whole number in the session; 0 where there is none.
    pub fn number(&self, key: &str) -> i64 {
        number(&self.data, key).unwrap_or(0)
    }

    /// Whether the session says yes to this.
    pub fn flag(&self, key: &str) -> bool {
        item(&self.data, key).and_then(BareItem::as_boolean).unwrap_or(false)
    }

    /// A number about the session itself: `version`, `expires-in`, `auth-age`.
    pub fn meta(&self, key: &str) -> Option<i64> {
        number(&self.meta, key)
    }
}

/// A dictionary in a header; an empty one where there is none.
fn dictionary(headers: &HeaderMap, name: &str) -> Dictionary {
    headers.get(name).and_then(|value| Parser::new(value.as_bytes()).parse().ok()).unwrap_or_default()
}

fn item<'a>(dictionary: &'a Dictionary, key: &str) -> Option<&'a BareItem> {
    match dictionary.get(key)? {
        ListEntry::Item(Item { bare_item, .. }) => Some(bare_item),
        ListEntry::InnerList(_) => None,
    }
}

/// A text is a string, or a display string when it goes beyond ASCII.
fn text<'a>(dictionary: &'a Dictionary, key: &str) -> Option<&'a str> {
    match item(dictionary, key)? {
        BareItem::String(text) => Some(text.as_str()),
        BareItem::DisplayString(text) => Some(text),
        _ => None,
    }
}

fn number(dictionary: &Dictionary, key: &str) -> Option<i64> {
    item(dictionary, key)?.as_integer().map(i64::from)
}

/// The first language in `Accept-Language`, as far as these pages speak it.
fn preferred_language(headers: &HeaderMap) -> Language {
    let first =
        headers.get(http::header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let tag = first.split([',', ';', '-']).next().unwrap_or_default().trim().to_ascii_lowercase();
    Language::from_tag(&tag).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn reader(headers: &[(&'static str, &'static str)]) -> Reader {
        let pairs =
            headers.iter().map(|(name, value)| ((*name).parse().unwrap(), HeaderValue::from_static(value)));
        Reader::from_headers(&pairs.collect())
    }

    #[test]
    fn what_the_session_holds_is_read_in_every_form() {
        let data = r#"visits=3, note=%"%ea%b9%80", message="say \"hi\"", seen, no=?0, shared.language="ko""#;
        let reader =
            reader(&[("session-data", data), ("session-meta", "new=?0, version=7, expires-in=1740")]);
        assert_eq!((reader.number("visits"), reader.number("note"), reader.number("none")), (3, 0, 0));
        assert_eq!((reader.text("note"), reader.text(keys::MESSAGE)), (Some("김"), Some("say \"hi\"")));
        assert!(reader.flag("seen") && !reader.flag("no") && !reader.flag("none"));
        assert_eq!((reader.meta("version"), reader.meta("auth-age")), (Some(7), None));
        assert_eq!(reader.language, Language::Korean);
    }

    #[test]
    fn nobody_with_nothing_is_a_reader_too() {
        let nobody = reader(&[("session-data", "\"broken"), ("x-theme", "pink")]);
        assert_eq!((nobody.greeting(), nobody.theme, nobody.conflict), ("stranger", None, false));
        assert_eq!(nobody.text(keys::MESSAGE), None);
    }

    #[test]
    fn what_was_chosen_goes_before_what_the_browser_prefers() {
        let korean = ("accept-language", "ko-KR,ko;q=0.9,en;q=0.8");
        assert_eq!(reader(&[korean]).language, Language::Korean);
        assert_eq!(reader(&[korean, ("session-data", "shared.language=\"en\"")]).language, Language::English);
        assert_eq!(reader(&[("accept-language", "fr, ko")]).language, Language::English);
    }
}
