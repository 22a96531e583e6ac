//! Factor: what the pages of the second factor say besides.
//!
//! Comes in: what to show. Goes out: values for the templates. Never keeps a secret longer than the page is made.

use minijinja::{Value, context};

use crate::login::factor::enrolment::Codes;
use crate::login::factor::picture::Picture;

/// What there is to show of a second factor; templates leave out what is empty.
#[derive(Clone, Debug, Default)]
pub struct Factor {
    /// What the form carries from one page to the next.
    pub carried: String,
    /// What to scan.
    pub picture: Option<Picture>,
    /// The same to type, in groups of four.
    pub secret: String,
    /// Recovery codes, shown this once.
    pub codes: Codes,
    /// Whether there is one already.
    pub is_on: bool,
    /// How many recovery codes are left.
    pub left: usize,
}

impl Factor {
    pub(super) fn for_templates(&self) -> Value {
        context! {
            carried => self.carried.as_str(),
            path => self.picture.as_ref().map(|picture| picture.path.as_str()),
            size => self.picture.as_ref().map(|picture| picture.size),
            secret => self.secret.as_str(),
            codes => self.codes.iter().map(|code| code.to_string()).collect::<Vec<_>>(),
            is_on => self.is_on,
            left => self.left,
        }
    }
}
