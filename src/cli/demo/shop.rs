//! Shop: a cart and a note, before login and after it.
//!
//! Comes in: whoever is asking, with or without a login, or a form. Goes out: HTML, and what to remember. The cart is
//! counted by the gateway, so clicks in two tabs both count; the note is one text, so the later of two is refused.

use std::fmt::Write as _;

use super::form::Form;
use super::instructions::{Change, Instructions, text};
use super::notice::notice;
use super::page::{escape, page};
use super::reader::Reader;

/// Key in the session, name in English, name in Korean.
const GOODS: [(&str, &str, &str); 2] = [("cart-tea", "Green tea", "녹차"), ("cart-rice", "Rice cake", "떡")];
const NOTE: &str = "note";
const LONGEST_NOTE: usize = 200;

/// `/shop/`
pub fn shop(reader: &Reader) -> String {
    let mut goods = String::new();
    for (key, english, korean) in GOODS {
        let (count, name) = (reader.number(key), reader.say(english, korean));
        let _ = write!(
            goods,
            "<tr><td>{name}</td><td>{count}</td><td><button name=\"add\" value=\"{key}\">{}</button></td></tr>",
            reader.say("Add NAME", "NAME 담기").replace("NAME", name)
        );
    }
    let content = format!(
        "{notice}<p>{intro}</p><section><h2>{cart}</h2><form method=\"post\" action=\"/shop/cart\">\
         <table><tr><th>{what}</th><th>{count}</th><th>{order}</th></tr>{goods}</table>\
         <button name=\"empty\" value=\"yes\">{empty}</button></form></section>\
         <section><h2>{note}</h2><p>{twice}</p><form method=\"post\" action=\"/shop/note\">\
         <input type=\"hidden\" name=\"version\" value=\"{version}\">\
         <label>{words}<textarea name=\"note\" rows=\"3\" maxlength=\"{LONGEST_NOTE}\">{kept}</textarea></label>\
         <button>{save}</button></form></section>",
        notice = notice(reader, "/shop/"),
        intro = reader.say(
            "This page needs no login (<code>access: optional</code>). What you put in here stays when you \
             <a href=\"/\">sign in</a>, and goes when you sign out.",
            "이 페이지는 로그인이 필요 없습니다(<code>access: optional</code>). 여기에 담은 것은 <a href=\"/\">로그인</a>해도 \
             남고, 로그아웃하면 사라집니다."
        ),
        cart = reader.say("Cart", "장바구니"),
        what = reader.say("What", "상품"),
        count = reader.say("Count", "수량"),
        order = reader.say("Order", "주문"),
        empty = reader.say("Empty the cart", "장바구니 비우기"),
        note = reader.say("A note for the shop", "가게에 남기는 글"),
        twice = reader.say(
            "Open this page in two tabs and save in both: the second one is told that it came too late.",
            "이 페이지를 두 탭에서 열고 둘 다 저장해 보세요. 나중 것은 늦었다는 말을 듣습니다."
        ),
        version = reader.meta("version").map(|version| version.to_string()).unwrap_or_default(),
        words = reader.say("Note", "글"),
        kept = escape(reader.text(NOTE).unwrap_or_default()),
        save = reader.say("Save", "저장"),
    );
    page("/shop/", reader.say("Shop", "가게"), reader, &content)
}

/// `POST /shop/cart`: one more of something, or nothing at all.
pub fn change_cart(reader: &Reader, form: &Form) -> Change {
    let mut instructions = Instructions::default();
    if form.get("empty") == "yes" {
        for (key, ..) in GOODS {
            instructions = instructions.delete(key);
        }
        instructions = instructions.message(reader.say("The cart is empty.", "장바구니를 비웠습니다."));
    } else if let Some((key, english, korean)) = GOODS.into_iter().find(|(key, ..)| *key == form.get("add")) {
        let said = reader.say("NAME is in the cart.", "NAME: 장바구니에 담았습니다.");
        let message = said.replace("NAME", reader.say(english, korean));
        instructions = instructions.count(key).message(&message);
    }
    Change { instructions, to: "/shop/" }
}

/// `POST /shop/note`: only if nothing has changed since the form was shown.
pub fn keep_note(reader: &Reader, form: &Form) -> Change {
    let note: String = form.get("note").chars().take(LONGEST_NOTE).collect();
    let instructions = Instructions::default()
        .set(NOTE, text(&note))
        .message(reader.say("The note was saved.", "글을 저장했습니다."))
        .if_version(form.get("version").parse().ok());
    Change { instructions, to: "/shop/" }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn said(change: &Change) -> HeaderMap {
        let mut headers = HeaderMap::new();
        change.instructions.write(&mut headers);
        headers
    }

    #[test]
    fn the_cart_is_counted_and_emptied() {
        let reader = Reader::default();
        let added = said(&change_cart(&reader, &Form::parse(b"add=cart-tea")));
        assert_eq!(added["session-add"], "cart-tea=1");
        assert_eq!(added["session-set"], "message=\"Green tea is in the cart.\";flash");
        let emptied = said(&change_cart(&reader, &Form::parse(b"empty=yes")));
        assert_eq!(emptied["session-delete"], "cart-tea, cart-rice");
        assert!(said(&change_cart(&reader, &Form::parse(b"add=shared.theme"))).is_empty());
    }

    #[test]
    fn a_note_is_saved_only_if_nothing_changed_since_it_was_shown() {
        let mut headers = HeaderMap::new();
        headers.insert("session-data", HeaderValue::from_static("note=%\"%ea%b9%80\", cart-rice=2"));
        headers.insert("session-meta", HeaderValue::from_static("new=?0, version=7, expires-in=1740"));
        let page = shop(&Reader::from_headers(&headers));
        assert!(page.contains("name=\"version\" value=\"7\"") && page.contains(">김</textarea>"), "{page}");
        assert!(page.contains("<td>Rice cake</td><td>2</td>"), "{page}");
        let kept = said(&keep_note(&Reader::default(), &Form::parse("note=떡&version=7".as_bytes())));
        assert_eq!(kept["session-if-version"], "7");
        assert!(kept["session-set"].to_str().unwrap().starts_with("note=%\"%eb%96%a1\", message="));
    }

    #[test]
    fn the_first_note_of_a_visitor_has_no_version_to_compare() {
        let kept = said(&keep_note(&Reader::default(), &Form::parse(b"note=a&version=")));
        assert!(!kept.contains_key("session-if-version"));
    }

    #[test]
    fn a_note_has_an_end() {
        let long = format!("note={}", "a".repeat(500));
        let kept = said(&keep_note(&Reader::default(), &Form::parse(long.as_bytes())));
        assert!(kept["session-set"].to_str().unwrap().contains(&format!("\"{}\"", "a".repeat(LONGEST_NOTE))));
    }
}
