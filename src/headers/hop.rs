//! Hop: fields that are about one connection and go no further.
//!
//! Comes in: the fields of a head. Goes out: which of them end here (RFC 9110, section 7.6.1): the known ones and
//! what `Connection` names. Never covers Content-Length, which the codec answers for, whoever names it.

use crate::message::Fields;

/// The fields of one head that end at this hop.
#[derive(Debug)]
pub(super) struct HopByHop {
    /// What `Connection` names beyond the known ones, in lower case and in order, each once; nearly always nothing.
    /// A head has room for thousands, and each of its fields is looked up here.
    named: Vec<Box<[u8]>>,
}

impl HopByHop {
    /// Reads every `Connection` line.
    pub fn of(fields: &Fields) -> Self {
        let mut named = Vec::new();
        for value in fields.get_all("connection") {
            if value.eq_ignore_ascii_case(b"keep-alive") {
                continue;
            }
            for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                let usual = [&b""[..], b"close", b"content-length"];
                if !is_known(option) && !usual.iter().any(|usual| option.eq_ignore_ascii_case(usual)) {
                    named.push(option.to_ascii_lowercase().into_boxed_slice());
                }
            }
        }
        named.sort_unstable();
        named.dedup();
        Self { named }
    }

    /// Whether a field of this name ends here.
    #[inline]
    pub fn covers(&self, name: &[u8]) -> bool {
        is_known(name) || !self.named.is_empty() && self.names(name)
    }

    fn names(&self, name: &[u8]) -> bool {
        let name = || name.iter().map(u8::to_ascii_lowercase);
        self.named.binary_search_by(|named| named.iter().copied().cmp(name())).is_ok()
    }
}

/// Most names are told by their length alone.
#[inline]
fn is_known(name: &[u8]) -> bool {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    match name.len() {
        2 => is("te"),
        7 => is("upgrade"),
        10 => is("connection") || is("keep-alive"),
        14 => is("http2-settings"),
        16 => is("proxy-connection"),
        17 => is("transfer-encoding"),
        18 => is("proxy-authenticate"),
        19 => is("proxy-authorization"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_line_counts() {
        let mut fields = Fields::new();
        fields.append("Connection", "close, X-One");
        fields.append("connection", "x-two ,, Content-Length, X-ONE, x-two");
        let hop = HopByHop::of(&fields);
        for name in ["x-one", "X-TWO", "Connection", "Keep-Alive", "Transfer-Encoding", "TE", "Upgrade"] {
            assert!(hop.covers(name.as_bytes()), "{name}");
        }
        assert_eq!(hop.named.len(), 2, "each once");
        for name in ["X-Three", "Content-Length", "Trailer", "Sec-WebSocket-Key"] {
            assert!(!hop.covers(name.as_bytes()), "{name}");
        }
    }
}
