//! A YAML document as a tree whose every node knows its place.

use serde_json::{Map, Number, Value};

use crate::path::{FieldPath, Segment};

/// A place in a text: line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) mark: Mark,
    pub(crate) content: Content,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    /// An unquoted word that YAML 1.2 reads as text and YAML 1.1, and with it `kubectl`, as a boolean.
    Boolish(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) mark: Mark,
    pub(crate) value: Node,
}

impl Node {
    /// The entry of a mapping.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The value of a key.
    pub(crate) fn child(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// An element of a list.
    pub(crate) fn element(&self, index: usize) -> Option<&Self> {
        match &self.content {
            Content::List(items) => items.get(index),
            _ => None,
        }
    }

    /// The text of a value that is text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) | Content::Boolish(text) => Some(text),
            _ => None,
        }
    }

    /// Where `path` is, or the nearest thing above it that was written. A mapping or list that begins below its key is
    /// where its key is.
    pub(crate) fn mark_of(&self, path: &FieldPath) -> Mark {
        let (mut node, mut mark) = (self, self.mark);
        for segment in path.segments() {
            let next = match segment {
                Segment::Field(name) => node.entry(name).map(|entry| (&entry.value, entry.place())),
                Segment::Index(index) => {
                    node.element(*index).map(|element| (element, element.mark))
                }
            };
            let Some((value, place)) = next else { break };
            (node, mark) = (value, place);
        }
        mark
    }

    /// The value without its places.
    pub(crate) fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) | Content::Boolish(text) => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Content::Map(entries) => {
                let pairs = entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }
}

impl Entry {
    fn place(&self) -> Mark {
        match self.value.content {
            Content::List(_) | Content::Map(_) | Content::Null
                if self.value.mark.line != self.mark.line =>
            {
                self.mark
            }
            _ => self.value.mark,
        }
    }
}
