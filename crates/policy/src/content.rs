//! What rules ask of content, and the scanner of header fields. No content leaves here: a match is a rule's name.

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
}

impl Ruleset {
    /// Appends to `matched` the names of the classification rules that `value` of the field `name` matches, each once.
    ///
    /// `name` is compared without regard to case; `value` is unfolded, with encoded words decoded. Time is linear in
    /// `value`; the caller bounds its length.
    pub fn scan_header(&self, name: &str, value: &str, matched: &mut Vec<Box<str>>) {
        let Some(classify) = self
            .submission()
            .and_then(|policy| policy.classify.as_ref())
        else {
            return;
        };
        for pattern in classify
            .patterns
            .iter()
            .filter(|pattern| pattern.header.eq_ignore_ascii_case(name))
        {
            if !matched.contains(&pattern.name) && pattern.regex.is_match(value) {
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
    header: Box<str>,
    regex: Regex,
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
            let part =
                |why: String| Defect::new(format!("spec.classify.rules[{}]", rule.name), why);
            if patterns.iter().any(|earlier| *earlier.name == *rule.name) {
                return Err(part("the name is there twice".into()));
            }
            if rule.matches.len() > MAX_PATTERN {
                return Err(part(format!(
                    "the pattern has {} octets, {MAX_PATTERN} is the most",
                    rule.matches.len()
                )));
            }
            let regex = RegexBuilder::new(&rule.matches)
                .size_limit(PATTERN_MEMORY)
                .dfa_size_limit(PATTERN_MEMORY)
                .nest_limit(64)
                .build()
                .map_err(|error| part(error.to_string()))?;
            let header = rule.header.as_str().into();
            patterns.push(Pattern {
                name: rule.name.as_str().into(),
                score: rule.score,
                header,
                regex,
            });
        }
        Ok(Self(patterns))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pattern> + Clone {
        self.0.iter()
    }
}
