//! Access: `access:` of a route as written.
//!
//! Comes in: a word, or a map of conditions. Goes out: the same with defaults. Never checks who is named.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::config::brief::{Brief, FromWord};
use crate::config::units::Duration;

/// Who may use a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Anybody; sessions are not looked at.
    Public,
    /// Anybody; who is logged in is passed on.
    Optional,
    /// Anybody who is logged in.
    #[default]
    Login,
    /// Whoever these conditions hold for.
    #[serde(untagged)]
    Only(OnlyMap),
}

/// One entry of `any` or `all`, or what stands after `not`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Somebody is logged in.
    Login,
    /// Each of these holds.
    #[serde(untagged)]
    Only(OnlyMap),
}

/// Conditions that hold together; `users` and `groups` are one of them: named, or in a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a map of conditions, such as `users`, `groups` and `networks`"
)]
pub struct OnlyMap {
    /// These users, or members of `groups`.
    pub users: Vec<String>,
    /// Members of these groups, or `users`.
    pub groups: Vec<String>,
    /// What the login method says about the person: for each claim the values that will do.
    pub claims: BTreeMap<String, Words>,
    /// The client's address is in one of these networks.
    pub networks: Vec<String>,
    /// The request has one of these methods; HEAD is part of GET.
    pub methods: Vec<String>,
    /// Only when the login is not older than this.
    pub within: Option<Duration>,
    /// One of these holds: each is `login` or a map of conditions.
    pub any: Option<Vec<Brief<Condition>>>,
    /// Each of these holds: each is `login` or a map of conditions.
    pub all: Option<Vec<Brief<Condition>>>,
    /// This does not hold.
    pub not: Option<Box<Brief<Condition>>>,
}

impl FromWord for Access {
    type Map = OnlyMap;
    const WANTED: &'static str =
        "`public`, `optional`, `login`, or a map of conditions such as `users` and `groups`";

    fn from_word(word: &str) -> Result<Self, String> {
        match word {
            "public" => Ok(Access::Public),
            "optional" => Ok(Access::Optional),
            "login" => Ok(Access::Login),
            _ => Err(format!("unknown variant `{word}`, expected one of `public`, `optional`, `login`")),
        }
    }

    fn from_map(map: OnlyMap) -> Self {
        Access::Only(map)
    }
}

impl FromWord for Condition {
    type Map = OnlyMap;
    const WANTED: &'static str = "`login`, or a map of conditions such as `groups` and `networks`";

    fn from_word(word: &str) -> Result<Self, String> {
        match word {
            "login" => Ok(Condition::Login),
            "public" | "optional" => Err(format!(
                "`{word}` lets everybody pass, whatever stands beside it\nwrite `access: {word}`, or leave it out"
            )),
            _ => Err(format!("unknown variant `{word}`, expected one of `login`")),
        }
    }

    fn from_map(map: OnlyMap) -> Self {
        Condition::Only(map)
    }
}

/// One word, or a list of them. Numbers, `true` and `false` are taken as they are written.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Words(pub Vec<String>);

/// One word.
struct Word(String);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordsVisitor)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordVisitor)
    }
}

struct WordsVisitor;
struct WordVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a word or a list of words")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Words, E> {
        Ok(Words(vec![text.to_owned()]))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Words, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Words, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Words, E> {
        self.visit_str(if value { "true" } else { "false" })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
        let mut words = Vec::new();
        while let Some(Word(word)) = list.next_element()? {
            words.push(word);
        }
        Ok(Words(words))
    }
}

impl Visitor<'_> for WordVisitor {
    type Value = Word;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a word")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Word, E> {
        Ok(Word(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Word, E> {
        Ok(Word(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Word, E> {
        Ok(Word(number.to_string()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Word, E> {
        Ok(Word(value.to_string()))
    }
}

impl JsonSchema for Words {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Words".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let word = json_schema!({ "type": ["string", "integer", "boolean"] });
        json_schema!({ "anyOf": [word, { "type": "array", "items": word }] })
    }
}
