//! Operation: `workers:`, listeners in short, `log:`, `access_log:` and `admin:` as written.
//!
//! Comes in: YAML. Goes out: plain structs with defaults. Never opens a log.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use super::login::Secret;
use super::{Listener, TlsVersion, Workers};
use crate::config::brief::FromWord;

/// No long form: nothing but a scalar will do.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(expecting = "a single word")]
pub enum Nothing {}

impl JsonSchema for Nothing {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "boolean"] })
    }
}

impl FromWord for Workers {
    type Map = Nothing;
    const WANTED: &'static str = "a number from 1 to 1024, or `auto`";

    fn from_word(word: &str) -> Result<Self, String> {
        match word.parse() {
            _ if word == "auto" => Ok(Workers::Auto),
            Ok(number) if (1..=1024).contains(&number) => Ok(Workers::Number(number)),
            _ => Err(format!("expected {}, found `{word}`", Self::WANTED)),
        }
    }

    fn from_map(map: Nothing) -> Self {
        match map {}
    }
}

impl Serialize for Workers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Workers::Auto => serializer.serialize_str("auto"),
            Workers::Number(number) => serializer.serialize_u64(*number),
        }
    }
}

impl FromWord for TlsVersion {
    type Map = Nothing;
    const WANTED: &'static str = "`\"1.2\"` or `\"1.3\"`";

    fn from_word(word: &str) -> Result<Self, String> {
        match word {
            "1.2" => Ok(TlsVersion::Tls12),
            "1.3" => Ok(TlsVersion::Tls13),
            _ => Err(format!("unknown variant `{word}`, expected `1.2` or `1.3`")),
        }
    }

    fn from_map(map: Nothing) -> Self {
        match map {}
    }
}

impl FromWord for Listener {
    type Map = Self;
    const WANTED: &'static str = "an address such as `127.0.0.1:8080`, or a map with `address`";

    fn from_word(word: &str) -> Result<Self, String> {
        Ok(Self { address: Some(word.to_owned()), ..Self::default() })
    }

    fn from_map(map: Self) -> Self {
        map
    }
}

/// The program's own log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `level` and `format`")]
pub struct Log {
    /// How much: `off`, `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// How a line of the program's own log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// A line for every request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `format` and `output`")]
pub struct AccessLog {
    /// How a line looks, or `off`.
    pub format: AccessLogFormat,
    /// `stdout`, or the path of a file.
    pub output: String,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self { format: AccessLogFormat::Json, output: "stdout".to_owned() }
    }
}

impl FromWord for AccessLog {
    type Map = Self;
    const WANTED: &'static str = "`json`, `combined`, `common`, `off`, or a map with `format` and `output`";

    fn from_word(word: &str) -> Result<Self, String> {
        let format = match word {
            "json" => AccessLogFormat::Json,
            "combined" => AccessLogFormat::Combined,
            "common" => AccessLogFormat::Common,
            "off" | "false" => AccessLogFormat::Off,
            _ => {
                return Err(format!(
                    "unknown variant `{word}`, expected one of `json`, `combined`, `common`, `off`"
                ));
            }
        };
        Ok(Self { format, ..Self::default() })
    }

    fn from_map(map: Self) -> Self {
        map
    }
}

/// How a line of the access log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessLogFormat {
    /// One JSON object.
    #[default]
    Json,
    /// As Apache's `combined`.
    Combined,
    /// As Apache's `common`.
    Common,
    /// No access log.
    Off,
}

/// The listener for operators, or none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Admin {
    /// `admin: off`
    Off,
    /// Where it listens.
    On(AdminMap),
}

/// The listener for operators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `address`")]
pub struct AdminMap {
    /// Where it listens: an address of this machine, or any with a `token`.
    pub address: String,
    /// A Unix socket that it listens on as well, which only its owner can use. Default: `admin.sock` in `state_dir`.
    pub socket: Option<String>,
    /// What a client of `/api/v1/` has to show by TCP, at least 32 bytes; without one it can be used by the socket only.
    pub token: Option<Secret>,
}

impl Default for AdminMap {
    fn default() -> Self {
        Self { address: "127.0.0.1:9901".to_owned(), socket: None, token: None }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Admin::On(AdminMap::default())
    }
}

impl FromWord for Admin {
    type Map = AdminMap;
    const WANTED: &'static str = "a map with `address`, or `off`";

    fn from_word(word: &str) -> Result<Self, String> {
        match word {
            "off" | "false" => Ok(Admin::Off),
            address => Ok(Admin::On(AdminMap { address: address.to_owned(), ..AdminMap::default() })),
        }
    }

    fn from_map(map: AdminMap) -> Self {
        Admin::On(map)
    }
}
