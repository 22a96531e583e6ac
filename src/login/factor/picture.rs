//! Picture: a text as a QR code, drawn as a part of a page.
//!
//! Comes in: a text. Goes out: the path and the size of an SVG picture: dark squares and four light ones around (ISO/IEC
//! 18004). Never a file, a script or a style of its own.

use std::fmt::Write as _;

use qrcode::{Color, QrCode};

/// Light squares around the code.
const QUIET: usize = 4;

/// A drawing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// `d` of a path.
    pub path: String,
    /// Width and height.
    pub size: usize,
}

impl Picture {
    /// Draws a text; `None` where it is too long for any code.
    pub fn of(text: &str) -> Option<Self> {
        let code = QrCode::new(text).ok()?;
        let width = code.width();
        let mut path = String::new();
        for (y, row) in code.to_colors().chunks(width).enumerate() {
            let mut x = 0;
            while x < width {
                let run = row[x..].iter().take_while(|color| **color == Color::Dark).count();
                if run > 0 {
                    let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET);
                }
                x += run.max(1);
            }
        }
        Some(Self { path, size: width + 2 * QUIET })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_dark_squares_within_a_light_edge() {
        let picture = Picture::of("otpauth://totp/a:b?secret=GEZDGNBVGY3TQOJQ").expect("short enough");
        // The finder pattern in the corner is seven squares wide.
        assert!(picture.path.starts_with("M4 4h7v1h-7z"), "{}", picture.path);
        assert!((picture.size - 2 * QUIET - 17).is_multiple_of(4));
        assert!(picture.path.bytes().all(|byte| b"Mhvz -0123456789".contains(&byte)));
        assert_eq!(Picture::of(&"a".repeat(5000)), None);
    }
}
