//! Data: what applications keep in a session.

/// Keys and values, in one piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data(Box<[u8]>);

impl Data {
    /// As a store keeps it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a store gave it back; `None` where that is not data.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.into()))
    }
}
