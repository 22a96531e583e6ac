//! Tree: where each value of a YAML text stands, and how a path is followed.
//!
//! Comes in: the parser's events. Goes out: a tree of spans in the shape of the values. Never looks at values.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScanError, Span as Marks, StrInput};
use serde_yaml::Value;

/// Part of one line: line and column from 1, length in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub line: usize,
    pub column: usize,
    pub length: usize,
}

/// One value: where its key and it stand, and what is in it.
#[derive(Clone, Debug, Default)]
pub struct Node {
    pub key: Option<Span>,
    pub value: Span,
    /// Something wrong was cut out of it.
    pub damaged: bool,
    /// For scalars: the last line, where it has several.
    last_line: usize,
    interpolated: bool,
    inner: Inner,
}

#[derive(Clone, Debug, Default)]
enum Inner {
    #[default]
    Scalar,
    Map(Vec<(String, Node)>),
    List(Vec<Node>),
}

/// The whole text.
pub struct Tree {
    pub root: Node,
    /// Keys given twice: the key, where first, where again.
    pub twice: Vec<(String, Span, Span)>,
}

impl Tree {
    /// Follows the parser's events to the end.
    pub fn read(text: &str) -> Result<Self, ScanError> {
        let mut reader =
            Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), twice: Vec::new() };
        let mut root = Node { value: Span { line: 1, column: 1, length: 1 }, ..Node::default() };
        while let Some((event, marks)) = reader.next()? {
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => break,
                event => root = reader.node(event, marks)?,
            }
        }
        Ok(Tree { root, twice: reader.twice })
    }
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    twice: Vec<(String, Span, Span)>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Marks)>, ScanError> {
        self.parser.next_event().transpose()
    }

    /// One value, from its first event on. Depth is limited: the values were read before, with a limit.
    fn node(&mut self, event: Event<'t>, marks: Marks) -> Result<Node, ScanError> {
        let value = span(marks);
        let mut node = Node { value, last_line: marks.end.line(), ..Node::default() };
        let anchor = match event {
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned().unwrap_or_default();
                return Ok(Node { value, key: None, ..known });
            }
            Event::Scalar(text, _, anchor, _) => {
                node.interpolated = text.contains("${");
                anchor
            }
            Event::SequenceStart(anchor, _) => {
                node.inner = Inner::List(self.list()?);
                anchor
            }
            Event::MappingStart(anchor, _) => {
                node.inner = Inner::Map(self.map()?);
                anchor
            }
            _ => 0,
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self) -> Result<Vec<Node>, ScanError> {
        let mut nodes = Vec::new();
        while let Some((event, marks)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            nodes.push(self.node(event, marks)?);
        }
        Ok(nodes)
    }

    fn map(&mut self) -> Result<Vec<(String, Node)>, ScanError> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut merged: Vec<Node> = Vec::new();
        while let Some((event, marks)) = self.next()? {
            let key = match &event {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => text.to_string(),
                _ => String::new(),
            };
            let key_span = self.node(event, marks)?.value;
            let Some((event, marks)) = self.next()? else { break };
            let value = self.node(event, marks)?;
            if key == "<<" {
                merged.push(value);
                continue;
            }
            if let Some(at) = entries.iter().position(|(known, _)| *known == key) {
                let (_, first) = entries.remove(at);
                self.twice.push((key.clone(), first.key.unwrap_or_default(), key_span));
            }
            entries.push((key, Node { key: Some(key_span), ..value }));
        }
        for node in merged {
            merge(&mut entries, node);
        }
        Ok(entries)
    }
}

/// Merge keys: what is there already stays.
fn merge(entries: &mut Vec<(String, Node)>, node: Node) {
    match node.inner {
        Inner::Map(more) => {
            for (key, node) in more {
                if !entries.iter().any(|(known, _)| *known == key) {
                    entries.push((key, node));
                }
            }
        }
        Inner::List(nodes) => nodes.into_iter().for_each(|node| merge(entries, node)),
        Inner::Scalar => {}
    }
}

fn span(marks: Marks) -> Span {
    let (start, end) = (marks.start, marks.end);
    let one_line = end.line() == start.line() && end.col() > start.col();
    let length = if one_line { end.col() - start.col() } else { 1 };
    Span { line: start.line(), column: start.col() + 1, length }
}

/// One step along a path.
enum Step {
    Key(usize, String),
    Index(usize),
}

impl Node {
    /// Takes one step: which child, and the rest of the path. Keys may contain dots, so the known ones decide.
    fn step<'p>(&self, path: &'p str) -> Option<(Step, &'p str)> {
        match &self.inner {
            Inner::Map(entries) => entries
                .iter()
                .enumerate()
                .filter_map(|(at, (key, _))| {
                    let rest = path.strip_prefix(key.as_str())?;
                    let ends = rest.is_empty() || rest.starts_with(['.', '[']);
                    ends.then(|| (Step::Key(at, key.clone()), rest.strip_prefix('.').unwrap_or(rest)))
                })
                .min_by_key(|(_, rest)| rest.len()),
            Inner::List(nodes) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                let index = index.parse().ok().filter(|index| *index < nodes.len())?;
                Some((Step::Index(index), rest.strip_prefix('.').unwrap_or(rest)))
            }
            Inner::Scalar => None,
        }
    }

    fn child(&self, step: &Step) -> &Node {
        match (&self.inner, step) {
            (Inner::Map(entries), Step::Key(at, _)) => &entries[*at].1,
            (Inner::List(nodes), Step::Index(at)) => &nodes[*at],
            _ => self,
        }
    }

    /// Whether nothing can be in it.
    pub fn is_scalar(&self) -> bool {
        matches!(self.inner, Inner::Scalar)
    }

    /// The deepest node along `path`, and the part of the path that is not there.
    pub fn nearest<'p>(&self, path: &'p str) -> (&Node, &'p str) {
        match self.step(path) {
            Some((step, rest)) => self.child(&step).nearest(rest),
            None => (self, path),
        }
    }

    /// Cuts the deepest thing along `path` out of this node and its value; false when the path leads nowhere.
    pub fn cut(&mut self, value: &mut Value, path: &str) -> bool {
        let Some((step, rest)) = self.step(path) else { return false };
        let inner_value = match &step {
            Step::Key(_, key) => value.get_mut(key.as_str()),
            Step::Index(at) => value.get_mut(*at),
        };
        let inner_node = match (&mut self.inner, &step) {
            (Inner::Map(entries), Step::Key(at, _)) => &mut entries[*at].1,
            (Inner::List(nodes), Step::Index(at)) => &mut nodes[*at],
            _ => return false,
        };
        let Some(inner_value) = inner_value else { return false };
        if inner_node.cut(inner_value, rest) {
            return true;
        }
        self.damaged = true;
        match (&mut self.inner, value, step) {
            (Inner::Map(entries), Value::Mapping(values), Step::Key(at, key)) => {
                entries.remove(at);
                values.shift_remove(key.as_str()).is_some()
            }
            (Inner::List(nodes), Value::Sequence(values), Step::Index(at)) => {
                nodes.remove(at);
                values.remove(at);
                true
            }
            _ => false,
        }
    }

    /// Overwrites the secrets below in what is shown of the text; `path` holds the keys that lead here, list entries
    /// without a name. What is filled in later is not secret.
    pub fn mask<'n>(&'n self, path: &mut Vec<&'n str>, secret: fn(&[&str]) -> bool, lines: &mut [String]) {
        let children: Vec<(&str, &Node)> = match &self.inner {
            Inner::Map(entries) => entries.iter().map(|(key, node)| (key.as_str(), node)).collect(),
            Inner::List(nodes) => nodes.iter().map(|node| ("", node)).collect(),
            Inner::Scalar if secret(path) && !self.interpolated => return self.mask_scalar(lines),
            Inner::Scalar => return,
        };
        for (key, node) in children {
            path.push(key);
            node.mask(path, secret, lines);
            path.pop();
        }
    }

    fn mask_scalar(&self, lines: &mut [String]) {
        let Span { line, column, length } = self.value;
        let several = self.last_line > line;
        for at in line..=self.last_line.max(line) {
            let Some(text) = lines.get_mut(at.saturating_sub(1)) else { return };
            let indentation = text.chars().take_while(|letter| *letter == ' ').count();
            let from = if at == line { column - 1 } else { indentation };
            // A comma that is no separator: a hash in braces without quotes falls into pieces, and all are secret.
            let rest = text.chars().skip(from + length).take_while(|letter| !letter.is_whitespace());
            let more = if rest.clone().nth(1).is_some() { rest.count() } else { 0 };
            let to = if several { usize::MAX } else { from + length + more };
            let mask = |(at, letter)| if (from..to).contains(&at) { '*' } else { letter };
            *text = text.chars().enumerate().map(mask).collect();
        }
    }
}
