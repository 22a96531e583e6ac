//! Users file: the text of a `users_file`, edited entry by entry.
//!
//! Comes in: YAML text, a mapping from user to password hash or to `{ password, email, name, groups }`. Goes out: the same
//! text with an entry added or removed; comments and all other entries stay byte for byte. Never writes text that it
//! cannot read again.

use std::collections::HashSet;

use anyhow::{Context as _, bail, ensure};
use saphyr_parser::{Event, Parser, Span, SpannedEventReceiver};

/// A users file that has been read.
#[derive(Debug)]
pub struct UsersFile {
    text: String,
    entries: Vec<Entry>,
    /// Spaces before each user's name.
    indent: usize,
}

/// One user, as far as it may be shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// The user's name.
    pub user: String,
    /// What `name:`, `email:` and the like say; lists joined with commas. Never the password.
    pub facts: Vec<(String, String)>,
    /// The line that the entry begins on, from 1.
    line: usize,
}

/// A user to be added.
#[derive(Debug)]
pub struct NewUser<'a> {
    /// The name to sign in with.
    pub user: &'a str,
    /// The password's hash.
    pub password: &'a str,
    /// The name for people.
    pub name: Option<&'a str>,
    /// The e-mail address.
    pub email: Option<&'a str>,
    /// The groups.
    pub groups: &'a [String],
}

impl UsersFile {
    /// Reads the text of a users file; an empty one has no users.
    ///
    /// # Errors
    /// When it is not YAML, not one block mapping of users, or names a user twice.
    pub fn parse(text: String) -> anyhow::Result<Self> {
        let mut reader = Reader::default();
        Parser::new_from_str(&text).load(&mut reader, true).context("the users file is not valid YAML")?;
        if let Some((line, problem)) = reader.problem {
            bail!("line {line} of the users file: {problem}");
        }
        let mut seen = HashSet::new();
        if let Some(twice) = reader.entries.iter().find(|entry| !seen.insert(entry.user.as_str())) {
            bail!("line {} of the users file: the user {:?} is there twice", twice.line, twice.user);
        }
        Ok(Self { entries: reader.entries, indent: reader.indent, text })
    }

    /// The users, in the order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The text as it is now.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is a user of this name.
    pub fn contains(&self, user: &str) -> bool {
        self.entries.iter().any(|entry| entry.user == user)
    }

    /// The file with one user more, at its end.
    ///
    /// # Errors
    /// When the user is there already, or the file's form leaves no place for another entry.
    pub fn with(&self, new: &NewUser<'_>) -> anyhow::Result<Self> {
        ensure!(!self.contains(new.user), "the user {:?} is in the file already", new.user);
        let mut text = self.text.clone();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&new.to_yaml(self.indent));
        let changed = Self::parse(text).context("the entry cannot be added to a file of this form")?;
        ensure!(
            changed.contains(new.user) && changed.entries.len() == self.entries.len() + 1,
            "the entry cannot be added to a file of this form"
        );
        Ok(changed)
    }

    /// The file with one user less.
    ///
    /// # Errors
    /// When there is no such user, or the file's form does not let the entry go.
    pub fn without(&self, user: &str) -> anyhow::Result<Self> {
        let at = self.entries.iter().position(|entry| entry.user == user);
        let at = at.with_context(|| format!("there is no user {user:?} in the file"))?;
        let lines: Vec<&str> = self.text.split_inclusive('\n').collect();
        let start = self.entries[at].line - 1;
        let end = match self.entries.get(at + 1) {
            Some(next) => self.comments_before(next.line - 1, &lines).max(start + 1),
            None => start + self.length_of_last(&lines[start..]),
        };
        let text = [&lines[..start], &lines[end..]].concat().concat();
        let changed = Self::parse(text).context("the entry cannot be removed from a file of this form")?;
        let expected = self.entries.iter().filter(|entry| entry.user != user).map(|entry| &entry.user);
        ensure!(
            changed.entries.iter().map(|entry| &entry.user).eq(expected),
            "the entry cannot be removed from a file of this form"
        );
        Ok(changed)
    }

    /// Where the comments and blank lines above a line begin: they belong to the entry below them.
    fn comments_before(&self, line: usize, lines: &[&str]) -> usize {
        let above = lines[..line].iter().rev();
        line - above.take_while(|line| self.is_between_entries(line)).count()
    }

    /// Lines of the last entry: all but the comments, blank lines and document ends below it.
    fn length_of_last(&self, lines: &[&str]) -> usize {
        let below = lines.iter().rev();
        lines.len() - below.take_while(|line| self.is_between_entries(line)).count().min(lines.len() - 1)
    }

    fn is_between_entries(&self, line: &str) -> bool {
        let text = line.trim_start_matches(' ');
        let indent = line.len() - text.len();
        text.trim().is_empty()
            || (indent <= self.indent && (text.starts_with('#') || text.trim_end() == "..."))
    }
}

impl NewUser<'_> {
    /// Every value in double quotes: JSON strings are YAML.
    fn to_yaml(&self, indent: usize) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let margin = " ".repeat(indent);
        let mut yaml =
            format!("{margin}{}:\n{margin}  password: {}\n", quoted(self.user), quoted(self.password));
        for (key, value) in [("name", self.name), ("email", self.email)] {
            if let Some(value) = value {
                yaml.push_str(&format!("{margin}  {key}: {}\n", quoted(value)));
            }
        }
        if !self.groups.is_empty() {
            let groups: Vec<String> = self.groups.iter().map(|group| quoted(group)).collect();
            yaml.push_str(&format!("{margin}  groups: [{}]\n", groups.join(", ")));
        }
        yaml
    }
}

/// Listens to the parser: depth 1 is the mapping of users, depth 2 what is said of one.
#[derive(Default)]
struct Reader {
    entries: Vec<Entry>,
    indent: usize,
    depth: usize,
    /// The next scalar of the mapping of users is a value.
    in_user: bool,
    /// The key of the fact that is being read.
    fact: Option<String>,
    problem: Option<(usize, &'static str)>,
}

impl<'input> SpannedEventReceiver<'input> for Reader {
    fn on_event(&mut self, event: Event<'input>, span: Span) {
        match event {
            Event::Scalar(text, ..) => self.scalar(&text, span),
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                let is_mapping = matches!(event, Event::MappingStart(..));
                self.open(is_mapping, span);
            }
            Event::MappingEnd | Event::SequenceEnd => {
                self.depth -= 1;
                match self.depth {
                    1 => self.in_user = false,
                    2 => self.fact = None,
                    _ => {}
                }
            }
            Event::Alias(_) => self.complain(span, "aliases (*name) are not supported by this command"),
            Event::DocumentStart(_) if !self.entries.is_empty() => {
                self.complain(span, "a users file is one document");
            }
            _ => {}
        }
    }
}

impl Reader {
    fn complain(&mut self, span: Span, problem: &'static str) {
        self.problem.get_or_insert((span.start.line(), problem));
    }

    fn open(&mut self, is_mapping: bool, span: Span) {
        if self.depth == 0 {
            if !is_mapping {
                self.complain(span, "expected a mapping from user to password hash");
            }
        } else if self.depth == 1 && !(self.in_user && is_mapping) {
            self.complain(span, "expected a password hash or { password: …, groups: […] }");
        }
        self.depth += 1;
    }

    fn scalar(&mut self, text: &str, span: Span) {
        match self.depth {
            0 if text.is_empty() || text == "~" || text == "null" => {}
            0 => self.complain(span, "expected a mapping from user to password hash"),
            1 if self.in_user => self.in_user = false,
            1 => self.user(text, span),
            2 => match self.fact.take() {
                None => self.fact = Some(text.to_owned()),
                Some(key) => self.tell(&key, text),
            },
            _ => {
                if let Some(key) = self.fact.clone() {
                    self.tell(&key, text);
                }
            }
        }
    }

    fn user(&mut self, user: &str, span: Span) {
        let (line, column) = (span.start.line(), span.start.col());
        match self.entries.last() {
            None => self.indent = column,
            Some(last) if last.line == line || column != self.indent => {
                self.complain(span, "each user must begin on a line of its own for this command");
            }
            Some(_) => {}
        }
        self.entries.push(Entry { user: user.to_owned(), facts: Vec::new(), line });
        self.in_user = true;
    }

    fn tell(&mut self, key: &str, value: &str) {
        let Some(entry) = self.entries.last_mut().filter(|_| key != "password") else { return };
        match entry.facts.iter_mut().find(|(known, _)| known == key) {
            Some((_, values)) => *values = format!("{values},{value}"),
            None => entry.facts.push((key.to_owned(), value.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# People\nalice: \"$2y$10$a\" # short form\n\n# The boss\nbob:\n  password: x\n  # she\n  groups: [staff, finance]\n  name: Bob B.\n\n# The end\n";

    fn parse(text: &str) -> UsersFile {
        UsersFile::parse(text.to_owned()).unwrap()
    }

    fn new_user<'a>(user: &'a str, groups: &'a [String]) -> NewUser<'a> {
        NewUser { user, password: "$argon2id$x", name: Some("Carol \"C\""), email: None, groups }
    }

    #[test]
    fn users_are_listed_with_their_facts_and_never_with_a_password() {
        let file = parse(FILE);
        assert_eq!(file.entries()[0].facts, []);
        let facts = [("groups", "staff,finance"), ("name", "Bob B.")];
        assert_eq!(file.entries()[1].facts, facts.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn adding_keeps_every_byte_that_was_there() {
        let groups = ["staff".to_owned(), "yes".to_owned()];
        let changed = parse(FILE).with(&new_user("carol: #1", &groups)).unwrap();
        let added = changed.text().strip_prefix(FILE).unwrap();
        assert_eq!(
            added,
            "\"carol: #1\":\n  password: \"$argon2id$x\"\n  name: \"Carol \\\"C\\\"\"\n  groups: [\"staff\", \"yes\"]\n"
        );
        assert!(changed.contains("carol: #1"));
    }

    #[test]
    fn removing_takes_the_entry_and_leaves_its_neighbours_comments() {
        let file = parse(FILE);
        assert_eq!(
            file.without("bob").unwrap().text(),
            "# People\nalice: \"$2y$10$a\" # short form\n\n# The boss\n\n# The end\n"
        );
        let rest = file.without("alice").unwrap();
        assert!(rest.text().starts_with("# People\n\n# The boss\nbob:\n"));
        assert_eq!(rest.without("bob").unwrap().entries(), []);
        assert!(file.without("carol").is_err());
    }

    #[test]
    fn an_added_user_can_be_removed_again() {
        for text in ["", "# nobody yet\n", FILE, "  a: x\n  b: y", "---\na: x\n"] {
            let file = parse(text);
            let changed = file.with(&new_user("carol", &[])).unwrap();
            let back = changed.without("carol").unwrap();
            assert_eq!(back.text().trim_end(), text.trim_end());
        }
    }

    #[test]
    fn nobody_is_added_twice() {
        assert!(parse(FILE).with(&new_user("alice", &[])).is_err());
        assert!(UsersFile::parse("a: x\na: y\n".to_owned()).is_err());
    }

    #[test]
    fn a_form_that_cannot_be_edited_by_lines_is_refused_whole() {
        for text in
            ["{a: x, b: y}", "- a\n", "a: [x]\n", "a: &h x\nb: *h\n", "a: x\n---\nb: y\n", "a: \"x\n", "text"]
        {
            let changed = UsersFile::parse(text.to_owned()).and_then(|file| file.with(&new_user("c", &[])));
            assert!(changed.is_err(), "{text}");
        }
        assert!(parse("a: x\n...\n").with(&new_user("c", &[])).is_err());
        assert!(
            parse("{a: x}").without("a").is_err() || parse("{a: x}").without("a").unwrap().text().is_empty()
        );
    }
}
