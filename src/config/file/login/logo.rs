//! Logo: `login.logo:` as written.
//!
//! Comes in: YAML. Goes out: a plain struct. Never opens a file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::brief::FromWord;

/// A picture on the gateway's own pages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `file`")]
pub struct Logo {
    /// SVG or PNG, at most 256 KiB.
    pub file: String,
    /// What it says, for those who do not see it. Absent: the title.
    pub alt: Option<String>,
}

impl FromWord for Logo {
    type Map = Self;
    const WANTED: &'static str = "a file, or a map with `file` and `alt`";

    fn from_word(word: &str) -> Result<Self, String> {
        Ok(Self { file: word.to_owned(), alt: None })
    }

    fn from_map(map: Self) -> Self {
        map
    }
}
