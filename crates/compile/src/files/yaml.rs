//! Text to documents: YAML with places, bounded in depth and in size after aliases.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::node::{Content, Entry, Mark, Node};
use super::scalar;
use crate::diagnostic::Code;

/// How deep a document may be nested. The kinds need less than ten.
const MAX_DEPTH: usize = 48;
/// How many values a document may have, those that aliases repeat included.
const MAX_NODES: usize = 200_000;

/// Something wrong in a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    pub(super) mark: Mark,
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) remedy: &'static str,
}

/// One document, as far as it could be read.
#[derive(Debug)]
pub(super) struct Document {
    /// The document, unless it could not be read to its end.
    pub(super) root: Option<Node>,
    /// What is wrong with it.
    pub(super) problems: Vec<Problem>,
}

/// Reads a stream of documents. A document that cannot be read does not take its neighbours with it, because the text
/// is split at the lines that begin with `---` first, as `kubectl` does.
pub(super) fn parse(text: &str) -> Vec<Document> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    split(text)
        .into_iter()
        .flat_map(|(first_line, part)| parse_part(part, first_line))
        .collect()
}

/// The parts of a stream with the number of their first lines, from 0.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 0, 0);
    for (line, content) in text.split_inclusive('\n').enumerate() {
        let marks_start = content
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if marks_start && offset > start {
            parts.push((start_line, &text[start..offset]));
            (start, start_line) = (offset, line);
        }
        offset += content.len();
    }
    parts.push((start_line, &text[start..]));
    parts.retain(|(_, part)| !part.lines().all(is_idle));
    parts
}

/// Whether a line says nothing: blank, a comment or a directive.
fn is_idle(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || line.starts_with('%') || line == "---"
}

fn parse_part(text: &str, first_line: usize) -> Vec<Document> {
    let mut parser = Parser::new_from_str(text);
    let mut documents = Vec::new();
    loop {
        match parser.next_event() {
            Some(Ok((Event::StreamStart | Event::DocumentEnd | Event::Nothing, _))) => {}
            Some(Ok((Event::DocumentStart(_), _))) => {
                let mut builder = Builder::new(&mut parser, first_line);
                let root = builder.document();
                let ended_early = root.is_none();
                documents.push(Document {
                    root,
                    problems: builder.problems,
                });
                if ended_early {
                    return documents;
                }
            }
            Some(Ok(_)) | None => return documents,
            Some(Err(error)) => {
                documents.push(Document {
                    root: None,
                    problems: vec![syntax(&error, first_line)],
                });
                return documents;
            }
        }
    }
}

fn syntax(error: &ScanError, first_line: usize) -> Problem {
    Problem {
        mark: mark(error.marker(), first_line),
        code: Code::YamlSyntax,
        message: format!("no YAML: {}", error.info()),
        remedy: "the objects of this document keep the rules that they had until it can be read",
    }
}

fn mark(marker: &Marker, first_line: usize) -> Mark {
    Mark {
        line: marker.line() + first_line,
        column: marker.col() + 1,
    }
}

/// Builds the tree of one document from the parser's events.
struct Builder<'p, 'text> {
    parser: &'p mut Parser<'text, StrInput<'text>>,
    first_line: usize,
    anchors: HashMap<usize, Anchor>,
    nodes: usize,
    problems: Vec<Problem>,
}

/// A value that aliases can repeat, and what a repetition adds to the document.
struct Anchor {
    node: Node,
    size: usize,
    height: usize,
}

/// The reading of a document ended before its end; the problem has been noted.
struct Stopped;

impl<'p, 'text> Builder<'p, 'text> {
    fn new(parser: &'p mut Parser<'text, StrInput<'text>>, first_line: usize) -> Self {
        Self {
            parser,
            first_line,
            anchors: HashMap::new(),
            nodes: 0,
            problems: Vec::new(),
        }
    }

    fn document(&mut self) -> Option<Node> {
        let (event, span) = self.next().ok()?;
        self.node(event, span, 0).ok()
    }

    fn next(&mut self) -> Result<(Event<'text>, Span), Stopped> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                self.problems.push(syntax(&error, self.first_line));
                Err(Stopped)
            }
            None => Err(Stopped),
        }
    }

    fn node(&mut self, event: Event<'text>, span: Span, depth: usize) -> Result<Node, Stopped> {
        let mark = mark(&span.start, self.first_line);
        self.count(1, mark)?;
        self.check_depth(depth, mark)?;
        let (anchor, content) = match event {
            Event::Alias(anchor) => return self.alias(anchor, depth, mark),
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, self.scalar(&text, style, tag.as_deref(), mark))
            }
            Event::SequenceStart(anchor, _) => (anchor, self.list(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(depth)?),
            _ => {
                return Err(self.stop(
                    mark,
                    Code::YamlSyntax,
                    "no YAML: a value is missing".to_owned(),
                    "",
                ));
            }
        };
        let node = Node { mark, content };
        if anchor > 0 {
            let (size, height) = measure(&node);
            self.count(size, mark)?;
            self.anchors.insert(
                anchor,
                Anchor {
                    node: node.clone(),
                    size,
                    height,
                },
            );
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, depth: usize, mark: Mark) -> Result<Node, Stopped> {
        let Some((size, height)) = self.anchors.get(&anchor).map(|a| (a.size, a.height)) else {
            let message =
                "no YAML: an alias names an anchor that is not complete before it".to_owned();
            return Err(self.stop(mark, Code::YamlSyntax, message, ""));
        };
        self.check_depth(depth + height, mark)?;
        self.count(size, mark)?;
        Ok(self.anchors[&anchor].node.clone())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, mark: Mark) -> Content {
        match tag {
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => {
                Content::Text(text.to_owned())
            }
            Some(tag) => {
                self.problems.push(Problem {
                    mark,
                    code: Code::YamlSyntax,
                    message: format!("the tag {tag} has no meaning here"),
                    remedy: "leave it out",
                });
                Content::Text(text.to_owned())
            }
            None if style == ScalarStyle::Plain => scalar::resolve(text),
            None => Content::Text(text.to_owned()),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Content, Stopped> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Content::List(items));
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Content, Stopped> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Content::Map(entries));
            }
            let (key, key_mark) = self.key(event, span)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if let Some(first) = seen.get(&key) {
                self.problems.push(Problem {
                    mark: key_mark,
                    code: Code::DuplicateKey,
                    message: format!("the key `{key}` is already on line {first}"),
                    remedy: "keep one of them",
                });
                continue;
            }
            seen.insert(key.clone(), key_mark.line);
            entries.push(Entry {
                key,
                mark: key_mark,
                value,
            });
        }
    }

    fn key(&mut self, event: Event<'text>, span: Span) -> Result<(String, Mark), Stopped> {
        let mark = mark(&span.start, self.first_line);
        self.count(1, mark)?;
        match event {
            Event::Scalar(text, style, _, _) if style == ScalarStyle::Plain && text == "<<" => {
                let message = "merge keys are no part of YAML 1.2".to_owned();
                Err(self.stop(mark, Code::YamlSyntax, message, "write the fields out"))
            }
            Event::Scalar(text, ..) => Ok((text.into_owned(), mark)),
            _ => Err(self.stop(
                mark,
                Code::YamlSyntax,
                "a key must be a word".to_owned(),
                "",
            )),
        }
    }

    fn check_depth(&mut self, depth: usize, mark: Mark) -> Result<(), Stopped> {
        if depth > MAX_DEPTH {
            let message = format!("is nested more than {MAX_DEPTH} levels deep");
            return Err(self.stop(mark, Code::TooLarge, message, "no kind needs that"));
        }
        Ok(())
    }

    /// Charges `nodes` to the document's bound.
    fn count(&mut self, nodes: usize, mark: Mark) -> Result<(), Stopped> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            let message =
                format!("has more than {MAX_NODES} values, with those that aliases repeat");
            return Err(self.stop(
                mark,
                Code::TooLarge,
                message,
                "write fewer aliases, or several objects",
            ));
        }
        Ok(())
    }

    fn stop(&mut self, mark: Mark, code: Code, message: String, remedy: &'static str) -> Stopped {
        self.problems.push(Problem {
            mark,
            code,
            message,
            remedy,
        });
        Stopped
    }
}

/// How many values a tree has and how deep it is, itself not counted. No tree is deeper than [`MAX_DEPTH`].
fn measure(node: &Node) -> (usize, usize) {
    let add = |(size, height): (usize, usize), (more, below): (usize, usize)| {
        (size + more, height.max(below + 1))
    };
    match &node.content {
        Content::List(items) => items.iter().map(measure).fold((1, 0), add),
        Content::Map(entries) => entries
            .iter()
            .map(|entry| measure(&entry.value))
            .map(|(size, height)| (size + 1, height))
            .fold((1, 0), add),
        _ => (1, 0),
    }
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
