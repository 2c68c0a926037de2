//! The structural half of a schema: types, words, bounds, patterns, required and unknown fields, keys of lists.
//!
//! All that is wrong with an object is reported, not the first thing alone.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use crate::diagnostic::{Code, Diagnostic};
use crate::files::{Content, Mark, Node};
use crate::path::FieldPath;
use crate::suggest::did_you_mean;

/// The regular expressions of a schema, by their text.
pub(crate) type Patterns = BTreeMap<String, Regex>;

/// Compiles every pattern of a schema, so that each is compiled once and not for each value.
pub(crate) fn patterns_of(schema: &Value) -> Patterns {
    let mut patterns = Patterns::new();
    collect_patterns(schema, &mut patterns);
    patterns
}

fn collect_patterns(schema: &Value, patterns: &mut Patterns) {
    let Value::Object(map) = schema else { return };
    if let Some(pattern) = map.get("pattern").and_then(Value::as_str) {
        let regex =
            Regex::new(pattern).expect("the kinds' own patterns compile; a test reads them all");
        patterns.insert(pattern.to_owned(), regex);
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(child) = map.get(keyword) {
            collect_patterns(child, patterns);
        }
    }
    if let Some(properties) = map.get("properties").and_then(Value::as_object) {
        properties
            .values()
            .for_each(|child| collect_patterns(child, patterns));
    }
}

/// One finding and the place it has if not that of its field.
pub(crate) struct Finding {
    pub(crate) diagnostic: Diagnostic,
    pub(crate) mark: Option<Mark>,
}

impl Finding {
    /// A finding whose place is that of its field.
    pub(crate) fn at_its_field(diagnostic: Diagnostic) -> Self {
        Self {
            diagnostic,
            mark: None,
        }
    }
}

/// Checks a value against a schema.
pub(crate) struct Check<'a> {
    pub(crate) patterns: &'a Patterns,
    pub(crate) findings: Vec<Finding>,
}

impl Check<'_> {
    /// Checks `value` and everything in it. `node` is the same value as it was written, where it was.
    pub(crate) fn value(
        &mut self,
        schema: &Value,
        value: &Value,
        node: Option<&Node>,
        path: &FieldPath,
    ) {
        let expected = schema
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        match (expected, value) {
            ("object", Value::Object(map)) => self.object(schema, map, node, path),
            ("array", Value::Array(items)) => self.list(schema, items, node, path),
            ("string", Value::String(text)) => self.text(schema, text, node, path),
            ("integer", Value::Number(number)) if number.is_i64() || number.is_u64() => {
                self.number(schema, number.as_i64().unwrap_or(i64::MAX), path);
            }
            ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) => {}
            _ => self.wrong_type(schema, expected, value, path),
        }
    }

    fn object(
        &mut self,
        schema: &Value,
        map: &Map<String, Value>,
        node: Option<&Node>,
        path: &FieldPath,
    ) {
        self.required(schema, map, path);
        self.bound(
            schema,
            map.len(),
            ["minProperties", "maxProperties"],
            "entries",
            path,
        );
        let none = Map::new();
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&none);
        for (name, child) in map {
            let (child_path, child_node) =
                (path.field(name), node.and_then(|node| node.child(name)));
            match properties
                .get(name)
                .or_else(|| schema.get("additionalProperties"))
            {
                Some(schema) => self.value(schema, child, child_node, &child_path),
                None => {
                    let names = properties.keys().map(String::as_str);
                    let remedy = did_you_mean(name, names.clone(), || fields_are(names.collect()));
                    let diagnostic = Diagnostic::error(
                        Code::UnknownField,
                        format!("there is no field `{name}`"),
                    );
                    let mark = node
                        .and_then(|node| node.entry(name))
                        .map(|entry| entry.mark);
                    self.findings.push(Finding {
                        diagnostic: diagnostic.at(child_path).mend(remedy),
                        mark,
                    });
                }
            }
        }
    }

    fn required(&mut self, schema: &Value, map: &Map<String, Value>, path: &FieldPath) {
        let required = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for name in required
            .filter_map(Value::as_str)
            .filter(|name| !map.contains_key(*name))
        {
            let description = schema
                .pointer(&format!("/properties/{name}/description"))
                .and_then(Value::as_str)
                .and_then(|text| text.split_inclusive(". ").next())
                .unwrap_or_default();
            let remedy = lower_first(description.trim().trim_end_matches('.'));
            self.push(
                Diagnostic::error(Code::Required, "must be given")
                    .at(path.field(name))
                    .mend(remedy),
            );
        }
    }

    fn list(&mut self, schema: &Value, items: &[Value], node: Option<&Node>, path: &FieldPath) {
        self.bound(
            schema,
            items.len(),
            ["minItems", "maxItems"],
            "elements",
            path,
        );
        if let Some(item_schema) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                let item_node = node.and_then(|node| node.element(index));
                self.value(item_schema, item, item_node, &path.index(index));
            }
        }
        self.duplicates(schema, items, path);
    }

    /// A list of type `set` has no element twice, one of type `map` no two with the same keys.
    fn duplicates(&mut self, schema: &Value, items: &[Value], path: &FieldPath) {
        let keys: Vec<&str> = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
            Some("set") => Vec::new(),
            Some("map") => {
                let keys = schema
                    .get("x-kubernetes-list-map-keys")
                    .and_then(Value::as_array);
                keys.into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect()
            }
            _ => return,
        };
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            let identity = if keys.is_empty() {
                item.to_string()
            } else {
                keys.iter()
                    .map(|key| item.get(key).unwrap_or(&Value::Null).to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            if let Some(first) = seen.get(&identity) {
                let message = match keys.as_slice() {
                    [] => format!("is the same as element {first}: {identity}"),
                    keys => format!(
                        "has the same {} as element {first}: {identity}",
                        keys.join(" and ")
                    ),
                };
                let diagnostic = Diagnostic::error(Code::DuplicateItem, message);
                self.push(diagnostic.at(path.index(index)).mend("keep one of them"));
            } else {
                seen.insert(identity, index);
            }
        }
    }

    fn text(&mut self, schema: &Value, text: &str, node: Option<&Node>, path: &FieldPath) {
        self.boolish(text, node, path);
        if let Some(words) = schema.get("enum").and_then(Value::as_array) {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            if !words.contains(&text) {
                let list = || format!("one of {}", words.join(", "));
                let remedy = did_you_mean(text, words.iter().copied(), list);
                let message = format!("{} is no value of this field", quote(text));
                self.push(
                    Diagnostic::error(Code::UnsupportedValue, message)
                        .at(path.clone())
                        .mend(remedy),
                );
            }
            return;
        }
        let problems = self.findings.len();
        self.bound(
            schema,
            text.chars().count(),
            ["minLength", "maxLength"],
            "characters",
            path,
        );
        let pattern = schema
            .get("pattern")
            .and_then(Value::as_str)
            .and_then(|text| self.patterns.get(text));
        if let Some(pattern) = pattern
            && problems == self.findings.len()
            && !pattern.is_match(text)
        {
            let message = format!("{} does not have the form of this field", quote(text));
            let remedy = expected_form(pattern);
            self.push(
                Diagnostic::error(Code::InvalidValue, message)
                    .at(path.clone())
                    .mend(remedy),
            );
        }
    }

    /// `kubectl` reads YAML 1.1, in which some unquoted words are booleans: the object would be refused there.
    fn boolish(&mut self, text: &str, node: Option<&Node>, path: &FieldPath) {
        if node.is_some_and(|node| matches!(node.content, Content::Boolish(_))) {
            let message = format!(
                "{text} without quotes is a boolean to kubectl, and the cluster would refuse it"
            );
            let remedy = format!("write \"{text}\"");
            self.push(
                Diagnostic::warning(Code::AmbiguousScalar, message)
                    .at(path.clone())
                    .mend(remedy),
            );
        }
    }

    fn number(&mut self, schema: &Value, number: i64, path: &FieldPath) {
        let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_i64);
        let (least, most) = (
            bound("minimum").unwrap_or(i64::MIN),
            bound("maximum").unwrap_or(i64::MAX),
        );
        if number < least || number > most {
            let diagnostic =
                Diagnostic::error(Code::OutOfBounds, format!("{number} is out of bounds"));
            self.push(
                diagnostic
                    .at(path.clone())
                    .mend(format!("from {least} to {most}")),
            );
        }
    }

    fn bound(
        &mut self,
        schema: &Value,
        size: usize,
        keywords: [&str; 2],
        unit: &str,
        path: &FieldPath,
    ) {
        let [least, most] = keywords.map(|keyword| schema.get(keyword).and_then(Value::as_u64));
        let size = size as u64;
        let message = match (least, most) {
            (Some(least), _) if size < least => {
                format!("has {size} {unit}, and needs at least {least}")
            }
            (_, Some(most)) if size > most => format!("has {size} {unit}, and {most} is the most"),
            _ => return,
        };
        self.push(Diagnostic::error(Code::OutOfBounds, message).at(path.clone()));
    }

    fn wrong_type(&mut self, schema: &Value, expected: &str, value: &Value, path: &FieldPath) {
        let message = format!("must be {}, is {}", type_name(expected), describe(value));
        let form = schema
            .get("pattern")
            .and_then(Value::as_str)
            .and_then(sekisho_crd::form_of);
        let remedy = match (expected, value) {
            ("string", Value::Number(_)) if form.is_some() => form.unwrap_or_default().to_owned(),
            ("string", Value::Number(_) | Value::Bool(_)) => {
                format!("write it in quotes: \"{value}\"")
            }
            ("array", Value::String(_) | Value::Object(_)) => {
                "write it as an element of a list: [ ... ]".to_owned()
            }
            ("integer", Value::String(text)) if text.parse::<i64>().is_ok() => {
                "leave the quotes out".to_owned()
            }
            _ => String::new(),
        };
        self.push(
            Diagnostic::error(Code::WrongType, message)
                .at(path.clone())
                .mend(remedy),
        );
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        self.findings.push(Finding {
            diagnostic,
            mark: None,
        });
    }
}

/// The first sentence of a description, to stand in brackets.
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

fn fields_are(mut names: Vec<&str>) -> String {
    const SHOWN: usize = 12;
    if names.is_empty() {
        return "it has no fields".to_owned();
    }
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    names.truncate(SHOWN);
    format!("the fields are {}{more}", names.join(", "))
}

fn expected_form(pattern: &Regex) -> String {
    match sekisho_crd::form_of(pattern.as_str()) {
        Some(form) => form.to_owned(),
        None => format!("it must match {}", pattern.as_str()),
    }
}

fn type_name(expected: &str) -> &'static str {
    match expected {
        "object" => "a mapping",
        "array" => "a list",
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "something else",
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text {}", quote(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

/// A text in quotes, cut where it is long and without control characters.
pub(crate) fn quote(text: &str) -> String {
    const SHOWN: usize = 60;
    let shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    let more = if text.chars().nth(SHOWN).is_some() {
        "..."
    } else {
        ""
    };
    format!("\"{shown}{more}\"")
}
