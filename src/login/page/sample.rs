//! Sample: what an operator's templates are tried with.
//!
//! Comes in: nothing. Goes out: a page with everything on it, and one with as little as there can be. Never shown to anybody.

use super::{Factor, Place, Row, View, Waiting};

/// The token of all forms.
pub(super) const TOKEN: &str = "sample-token";

/// A page, with what it borrows.
pub(super) struct Sample {
    rows: Vec<Row>,
    places: Vec<Place>,
    waiting: Waiting,
    factor: Factor,
    is_full: bool,
}

/// Everything is there.
pub(super) fn full() -> Sample {
    Sample { rows: vec![row()], places: vec![place()], waiting: waiting(), factor: factor(), is_full: true }
}

/// Nothing is there that may be missing.
pub(super) fn bare() -> Sample {
    Sample {
        rows: Vec::new(),
        places: Vec::new(),
        waiting: waiting(),
        factor: Factor::default(),
        is_full: false,
    }
}

impl Sample {
    /// The page.
    pub fn view(&self) -> View<'_> {
        let is_full = self.is_full;
        let text = |text| if is_full { text } else { "" };
        View {
            heading: "Heading",
            error: is_full.then_some("error"),
            note: is_full.then_some("note"),
            reference: text("reference"),
            signed_in_as: is_full.then_some("alice"),
            token: TOKEN,
            target: "/",
            user: text("alice"),
            offer_remember: is_full,
            remember: is_full,
            offer_name: is_full,
            remember_name: is_full,
            offer_everywhere: is_full,
            sessions: &self.rows,
            more: is_full,
            others_token: text(TOKEN),
            offer_login: is_full,
            offer_back: is_full,
            waiting: Some(&self.waiting),
            offer_password: true,
            places: &self.places,
            factor: Some(&self.factor),
            offer_factor: is_full,
            lead_on: is_full.then_some("Go on"),
        }
    }
}

fn row() -> Row {
    let some = || "text".to_owned();
    Row {
        made_by: some(),
        address: some(),
        signed_in: some(),
        signed_in_ago: some(),
        used: some(),
        used_ago: some(),
        is_this: true,
        name: some(),
        token: TOKEN.to_owned(),
    }
}

fn factor() -> Factor {
    Factor {
        carried: "text".to_owned(),
        secret: "TEXT".to_owned(),
        is_on: true,
        left: 9,
        ..Factor::default()
    }
}

fn place() -> Place {
    Place { label: "text".to_owned(), path: "/login/text".to_owned() }
}

fn waiting() -> Waiting {
    let some = || "text".to_owned();
    Waiting { name: some(), method: some(), address: some(), size: some(), kind: some(), action: some() }
}
