//! Frames: where a WebSocket frame ends (RFC 6455, section 5.2), so that one of ours can follow.

/// A place in a stream of frames.
#[derive(Debug, Default)]
pub struct Frames {
    header: Vec<u8>,
    payload_left: u64,
    in_write: bool,
}

impl Frames {
    /// Bytes are about to be written; until [`Frames::written`] it is unknown how many of them have been.
    pub fn writing(&mut self) {
        self.in_write = true;
    }

    /// These bytes have been written.
    pub fn written(&mut self, mut bytes: &[u8]) {
        self.in_write = false;
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let take = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(bytes.len());
                self.payload_left -= take as u64;
                bytes = &bytes[take..];
                continue;
            }
            self.header.push(bytes[0]);
            bytes = &bytes[1..];
            if let Some(length) = payload_length(&self.header) {
                self.payload_left = length;
                self.header.clear();
            }
        }
    }

    /// Whether a frame of ours could follow what has been written.
    pub fn is_boundary(&self) -> bool {
        !self.in_write && self.header.is_empty() && self.payload_left == 0
    }
}

/// The length of the payload, once the header is complete.
fn payload_length(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    if header.len() < 2 + extended + mask {
        return None;
    }
    match extended {
        0 => Some(u64::from(second & 0x7f)),
        _ => Some(header[2..2 + extended].iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_found_in_pieces_of_any_size() {
        let mut bytes = vec![0x81, 2, b'h', b'i', 0x82, 126, 1, 0];
        bytes.extend([7; 256]);
        bytes.extend([0x89, 0]);
        for piece in 1..20 {
            let (mut frames, mut boundaries, mut at) = (Frames::default(), Vec::new(), 0);
            for part in bytes.chunks(piece) {
                frames.writing();
                assert!(!frames.is_boundary());
                frames.written(part);
                at += part.len();
                if frames.is_boundary() {
                    boundaries.push(at);
                }
            }
            assert!(boundaries.iter().all(|at| [4, 264, 266].contains(at)), "{boundaries:?}");
            assert_eq!(boundaries.last(), Some(&266));
        }
    }
}
