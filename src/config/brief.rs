//! Brief: short forms, where one word, or one entry instead of a list, stands for the whole.
//!
//! Comes in: a word, a map or a list. Goes out: the full form. Never tries one form after the other, so an error
//! keeps its place.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// What can be written as one word.
pub trait FromWord: Sized {
    /// The long form.
    type Map: for<'de> Deserialize<'de> + JsonSchema;
    /// What to write, for errors and for the schema.
    const WANTED: &'static str;
    /// What the word stands for. An error may hold a hint after a line feed.
    fn from_word(word: &str) -> Result<Self, String>;
    /// From the long form.
    fn from_map(map: Self::Map) -> Self;
}

/// One value in its short or long form.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Brief<T>(pub T);

/// One value, or a list of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct OneOrMany<T>(pub Vec<Brief<T>>);

impl<'de, T: FromWord> Deserialize<'de> for Brief<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BriefVisitor(PhantomData)).map(Brief)
    }
}

impl<'de, T: FromWord> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor(PhantomData)).map(OneOrMany)
    }
}

struct BriefVisitor<T>(PhantomData<T>);

impl<'de, T: FromWord> Visitor<'de> for BriefVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(T::WANTED)
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<T, E> {
        T::from_word(word).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        self.visit_str(if value { "true" } else { "false" })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::Map::deserialize(MapAccessDeserializer::new(map)).map(T::from_map)
    }
}

struct OneOrManyVisitor<T>(PhantomData<T>);

impl<'de, T: FromWord> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = Vec<Brief<T>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, or a list of them", T::WANTED)
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
        BriefVisitor(PhantomData).visit_str(word).map(|one| vec![Brief(one)])
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        BriefVisitor(PhantomData).visit_map(map).map(|one| vec![Brief(one)])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list))
    }
}

impl<T: FromWord> JsonSchema for Brief<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Brief{}", T::Map::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let long = generator.subschema_for::<T::Map>();
        json_schema!({ "anyOf": [{ "type": "string", "description": T::WANTED }, long] })
    }
}

impl<T: FromWord> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany{}", T::Map::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = Brief::<T>::json_schema(generator);
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}
