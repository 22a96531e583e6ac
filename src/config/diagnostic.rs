//! Diagnostic: one finding about the configuration, with its place, as text like the compiler's or as JSON.
//!
//! Comes in: a message, a hint and a place. Goes out: text for people, JSON for programs.
//! Never holds a secret: source lines come masked.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, and somebody should look at it.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// How to put it right.
    pub hint: Option<String>,
    /// Which key: `routes[2].upstream`; empty for the file as a whole.
    pub key: String,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
}

/// A place in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file, as it was named; `<stdin>` for standard input.
    pub file: String,
    /// Line, from 1; 0: the file as a whole.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters meant, from there on.
    pub length: usize,
    /// The line itself, secrets masked.
    pub source: String,
}

/// Everything that is wrong with a configuration: errors, and the warnings found beside them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Diagnostic>);

impl Problems {
    /// Findings in the order of their places.
    pub fn new(mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by(|a, b| {
            let order = |found: &Diagnostic| (found.place.line, found.place.column);
            a.place.file.cmp(&b.place.file).then(order(a).cmp(&order(b)))
        });
        diagnostics.dedup();
        Self(diagnostics)
    }

    /// All findings.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.0
    }

    /// How many are errors.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|found| found.severity == Severity::Error).count()
    }

    /// As text, with colours for a terminal.
    pub fn render(&self, colours: bool) -> String {
        let mut text = String::new();
        for found in &self.0 {
            text.push_str(&found.render(colours));
            text.push_str("\n\n");
        }
        match self.errors() {
            0 => {}
            1 => text.push_str("1 error\n"),
            many => text.push_str(&format!("{many} errors\n")),
        }
        text
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

impl Diagnostic {
    /// As text, with colours for a terminal.
    pub fn render(&self, colours: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let place = &self.place;
        let message = match place.line {
            0 if !place.file.is_empty() => format!("{}: {}", place.file, self.message),
            _ => self.message.clone(),
        };
        let title = level.primary_title(message);
        let mut group = match place.line {
            0 => Group::with_title(title),
            line => title.element(
                Snippet::source(place.source.as_str())
                    .line_start(line)
                    .path(place.file.as_str())
                    .annotation(AnnotationKind::Primary.span(place.bytes())),
            ),
        };
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint.as_str()));
        }
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

impl Place {
    /// The file as a whole.
    pub fn file(name: impl Into<String>) -> Self {
        Self { file: name.into(), ..Self::default() }
    }

    /// The place as byte offsets in the source line.
    fn bytes(&self) -> std::ops::Range<usize> {
        let offset = |characters: usize| {
            self.source.char_indices().nth(characters).map_or(self.source.len(), |(byte, _)| byte)
        };
        let start = self.column.saturating_sub(1);
        offset(start)..offset(start + self.length.max(1))
    }
}
