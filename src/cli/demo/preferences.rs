//! Preferences: theme and language, for every application behind the gateway, beyond logout.
//!
//! Comes in: whoever is asking, or what they chose. Goes out: HTML, and what to remember. That these keys outlive the
//! session is the gateway's doing: its configuration lists them under `session.preferences`.

use std::fmt::Write as _;

use super::form::Form;
use super::instructions::{Change, Instructions, text};
use super::page::page;
use super::reader::{Language, Reader, keys};

const THEMES: [(&str, &str, &str); 3] = [
    ("auto", "As the system has it", "시스템 설정대로"),
    ("light", "Light", "밝게"),
    ("dark", "Dark", "어둡게"),
];
const LANGUAGES: [Language; 2] = [Language::English, Language::Korean];

/// `/preferences/`
pub fn preferences(reader: &Reader) -> String {
    let (mut themes, mut languages) = (String::new(), String::new());
    for (value, english, korean) in THEMES {
        let checked = reader.theme.unwrap_or("auto") == value;
        themes.push_str(&choice("theme", value, reader.say(english, korean), "", checked));
    }
    for language in LANGUAGES {
        let name = if language == Language::English { "English" } else { "한국어" };
        let tag = language.tag();
        let spoken = format!(" lang=\"{tag}\"");
        languages.push_str(&choice("language", tag, name, &spoken, reader.language == language));
    }
    let content = format!(
        "<p>{intro}</p><section><form method=\"post\" action=\"/preferences/\">\
         <fieldset><legend>{theme}</legend>{themes}</fieldset><fieldset><legend>{language}</legend>{languages}</fieldset>\
         <button>{save}</button></form></section>",
        intro = reader.say(
            "Kept for every application behind this gateway, with a login or without, and also after signing out.",
            "이 게이트웨이 뒤의 모든 응용 프로그램을 위해 기억합니다. 로그인하지 않아도, 로그아웃한 뒤에도 남습니다."
        ),
        theme = reader.say("Theme", "테마"),
        language = reader.say("Language", "언어"),
        save = reader.say("Save", "저장"),
    );
    page("/preferences/", reader.say("Preferences", "설정"), reader, &content)
}

/// `POST /preferences/`
pub fn keep(reader: &Reader, form: &Form) -> Change {
    let language = Language::from_tag(form.get("language")).unwrap_or(reader.language);
    let saved = language.say("Saved.", "저장했습니다.");
    let instructions = Instructions::default().set(keys::LANGUAGE, text(language.tag())).message(saved);
    let instructions = match form.get("theme") {
        theme @ ("light" | "dark") => instructions.set(keys::THEME, text(theme)),
        _ => instructions.delete(keys::THEME),
    };
    Change { instructions, to: "/preferences/" }
}

fn choice(name: &str, value: &str, label: &str, attribute: &str, is_chosen: bool) -> String {
    let checked = if is_chosen { " checked" } else { "" };
    let mut html = String::new();
    let _ = write!(
        html,
        "<label{attribute}><input type=\"radio\" name=\"{name}\" value=\"{value}\"{checked}> {label}</label>"
    );
    html
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn kept(form: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        keep(&Reader::default(), &Form::parse(form)).instructions.write(&mut headers);
        headers
    }

    #[test]
    fn what_was_chosen_is_kept_and_said_in_the_new_language() {
        let headers = kept(b"theme=dark&language=ko");
        let expected = "shared.language=\"ko\", message=%\"%ec%a0%80%ec%9e%a5%ed%96%88%ec%8a%b5%eb%8b%88%eb%8b%a4.\";flash, \
                        shared.theme=\"dark\"";
        assert_eq!(headers["session-set"], expected);
        assert!(!headers.contains_key("session-delete"));
    }

    #[test]
    fn a_choice_is_taken_back_by_forgetting_it() {
        let headers = kept(b"theme=auto&language=en");
        assert_eq!(headers["session-delete"], "shared.theme");
    }

    #[test]
    fn the_form_shows_what_was_chosen() {
        let mut headers = HeaderMap::new();
        headers.insert("x-theme", HeaderValue::from_static("dark"));
        let page = preferences(&Reader::from_headers(&headers));
        assert!(page.contains("value=\"dark\" checked>") && page.contains("value=\"en\" checked>"), "{page}");
        assert_eq!(page.matches(" checked>").count(), 2);
    }
}
