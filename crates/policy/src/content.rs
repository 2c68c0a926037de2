//! What rules ask of content, and the scanners of header fields and text. No content leaves here: a match is a rule's name.

use regex::{Regex, RegexBuilder};

use crate::rules::Defect;
use crate::ruleset::Ruleset;
use crate::snapshot::ContentRule;

/// The longest pattern, in octets.
pub const MAX_PATTERN: usize = 1024;
/// The most patterns of one policy.
pub const MAX_PATTERNS: usize = 256;
/// The most memory of one compiled pattern, in octets; its lazy automaton may take as much again.
const PATTERN_MEMORY: usize = 1 << 20;

/// What must be examined of a message, so that the proxy streams where nothing asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentNeeds {
    /// Fields of the header section are looked at: From, To and Cc, or classification patterns.
    pub headers: bool,
    /// File-name extensions of attachments are looked at.
    pub attachments: bool,
    /// The text is looked at.
    pub text: bool,
    /// Content engines are asked.
    pub engines: bool,
    /// What is known only at the end of the message can still choose another way for it.
    pub end_routes: bool,
}

impl ContentNeeds {
    /// Whether the message must be held to its end before any of it goes on.
    #[must_use]
    pub const fn hold(&self) -> bool {
        self.attachments || self.text || self.engines || self.end_routes
    }
}

impl Ruleset {
    /// Appends to `matched` the names of the classification rules that `value` of the field `name` matches, each once.
    ///
    /// `name` is compared without regard to case; `value` is unfolded, with encoded words decoded. Time is linear in
    /// `value`; the caller bounds its length.
    pub fn scan_header(&self, name: &str, value: &str, matched: &mut Vec<Box<str>>) {
        self.scan(value, matched, |part| match part {
            Part::Header(header) => header.eq_ignore_ascii_case(name),
            Part::Text => false,
        });
    }

    /// Appends to `matched` the names of the classification rules that a piece of the message's text matches, each once.
    ///
    /// `text` is decoded; a pattern is looked for within one piece. Time is linear in `text`; the caller bounds its length.
    pub fn scan_text(&self, text: &str, matched: &mut Vec<Box<str>>) {
        self.scan(text, matched, |part| matches!(part, Part::Text));
    }

    /// Whether some SubmissionPolicy refuses files with this extension.
    #[must_use]
    pub fn refuses_extension(&self, extension: &str) -> bool {
        self.submissions().any(|policy| policy.blocks(extension))
    }

    /// How many patterns [`Ruleset::scan_text`] looks for.
    #[must_use]
    pub fn text_patterns(&self) -> usize {
        let classify = self
            .submission()
            .and_then(|policy| policy.classify.as_ref());
        classify.map_or(0, |classify| classify.patterns.of_text())
    }

    fn scan(&self, text: &str, matched: &mut Vec<Box<str>>, is_about: impl Fn(&Part) -> bool) {
        let Some(classify) = self
            .submission()
            .and_then(|policy| policy.classify.as_ref())
        else {
            return;
        };
        for pattern in classify.patterns.iter() {
            if is_about(&pattern.part)
                && !matched.contains(&pattern.name)
                && pattern.regex.is_match(text)
            {
                matched.push(pattern.name.clone());
            }
        }
    }
}

/// The classification patterns of a policy.
#[derive(Clone, Debug)]
pub(crate) struct Patterns(Vec<Pattern>);

#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) name: Box<str>,
    pub(crate) score: i64,
    part: Part,
    regex: Regex,
}

/// Where a pattern is looked for.
#[derive(Clone, Debug)]
enum Part {
    Header(Box<str>),
    Text,
}

impl Patterns {
    /// Compiles the patterns within bounds, or names the first that cannot be.
    pub(crate) fn new(rules: &[ContentRule]) -> Result<Self, Defect> {
        if rules.len() > MAX_PATTERNS {
            return Err(Defect::new(
                "spec.classify.rules",
                format!("{} patterns, {MAX_PATTERNS} is the most", rules.len()),
            ));
        }
        let mut patterns: Vec<Pattern> = Vec::with_capacity(rules.len());
        for rule in rules {
            let defect =
                |why: String| Defect::new(format!("spec.classify.rules[{}]", rule.name), why);
            if patterns.iter().any(|earlier| *earlier.name == *rule.name) {
                return Err(defect("the name is there twice".into()));
            }
            if rule.matches.len() > MAX_PATTERN {
                return Err(defect(format!(
                    "the pattern has {} octets, {MAX_PATTERN} is the most",
                    rule.matches.len()
                )));
            }
            let regex = RegexBuilder::new(&rule.matches)
                .size_limit(PATTERN_MEMORY)
                .dfa_size_limit(PATTERN_MEMORY)
                .nest_limit(64)
                .build()
                .map_err(|error| defect(error.to_string()))?;
            let part = match &rule.header {
                Some(header) => Part::Header(header.as_str().into()),
                None => Part::Text,
            };
            patterns.push(Pattern {
                name: rule.name.as_str().into(),
                score: rule.score,
                part,
                regex,
            });
        }
        Ok(Self(patterns))
    }

    /// Whether the text is looked at.
    pub(crate) fn ask_text(&self) -> bool {
        self.of_text() > 0
    }

    /// How many of them are looked for in the text.
    fn of_text(&self) -> usize {
        let of_text = |pattern: &&Pattern| matches!(pattern.part, Part::Text);
        self.0.iter().filter(of_text).count()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pattern> + Clone {
        self.0.iter()
    }
}
