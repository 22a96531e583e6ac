//! Hop: fields that are about one connection and go no further.
//!
//! Comes in: the fields of a head. Goes out: which of them end here (RFC 9110, section 7.6.1): the known ones and
//! what `Connection` names. Never covers Content-Length, which the codec answers for, whoever names it.

use crate::message::Fields;

const KNOWN: [&str; 9] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// The fields of one head that end at this hop.
#[derive(Debug)]
pub(super) struct HopByHop {
    /// What `Connection` names beyond the known ones; nearly always nothing.
    named: Vec<Box<[u8]>>,
}

impl HopByHop {
    /// Reads every `Connection` line.
    pub fn of(fields: &Fields) -> Self {
        let mut named = Vec::new();
        for value in fields.get_all("connection") {
            for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                let usual = [&b""[..], b"close", b"content-length"];
                if !is_known(option) && !usual.iter().any(|usual| option.eq_ignore_ascii_case(usual)) {
                    named.push(option.into());
                }
            }
        }
        Self { named }
    }

    /// Whether a field of this name ends here.
    #[inline]
    pub fn covers(&self, name: &[u8]) -> bool {
        is_known(name) || self.named.iter().any(|named| named.eq_ignore_ascii_case(name))
    }
}

#[inline]
fn is_known(name: &[u8]) -> bool {
    KNOWN_LENGTHS >> name.len().min(63) & 1 == 1
        && KNOWN.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

/// Bit n: some known name is n bytes long. Most names end here.
const KNOWN_LENGTHS: u64 = {
    let (mut bits, mut at) = (0, 0);
    while at < KNOWN.len() {
        bits |= 1 << KNOWN[at].len();
        at += 1;
    }
    bits
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_line_counts() {
        let mut fields = Fields::new();
        fields.append("Connection", "close, X-One");
        fields.append("connection", "x-two ,, Content-Length");
        let hop = HopByHop::of(&fields);
        for name in ["x-one", "X-TWO", "Connection", "Keep-Alive", "Transfer-Encoding", "TE", "Upgrade"] {
            assert!(hop.covers(name.as_bytes()), "{name}");
        }
        for name in ["X-Three", "Content-Length", "Trailer", "Sec-WebSocket-Key"] {
            assert!(!hop.covers(name.as_bytes()), "{name}");
        }
    }
}
