//! What was expected against what was seen.

use std::fmt::Debug;

use sekisho_compile::files::Expect;
use serde::Serialize;

use super::seen::{Seen, Voice};

/// One thing that is not as expected.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    pub(super) what: &'static str,
    pub(super) expected: String,
    pub(super) got: String,
}

/// Everything that is not as expected; what is not expected is not looked at.
pub(super) fn differences(expect: &Expect, seen: &Seen) -> Vec<Difference> {
    let mut comparison = Comparison(Vec::new());
    if let Some(verdict) = expect.verdict {
        comparison.words("verdict", &verdict, &seen.verdict);
    }
    comparison.refusal(expect, seen);
    comparison.voices(expect, seen);
    if let Some(class) = expect.class {
        comparison.words("class", &class, &seen.class);
    }
    if let Some(recipients) = expect.recipients {
        comparison.words("recipients", &recipients, &seen.recipients);
    }
    comparison.way(expect, seen);
    if let Some(shadow) = &expect.shadow {
        let same = shadow.len() == seen.shadow.len()
            && shadow.iter().all(|rule| seen.shadow.contains(rule));
        let (expected, got) = (
            listed(shadow.iter(), " and "),
            listed(seen.shadow.iter(), " and "),
        );
        comparison.note("shadow", same, expected, got);
    }
    comparison.0
}

struct Comparison(Vec<Difference>);

impl Comparison {
    fn note(&mut self, what: &'static str, agrees: bool, expected: String, got: String) {
        if !agrees {
            self.0.push(Difference {
                what,
                expected,
                got,
            });
        }
    }

    /// Compares what reads as it is named.
    fn words<T: PartialEq + Debug>(&mut self, what: &'static str, expected: &T, got: &T) {
        self.note(
            what,
            expected == got,
            format!("{expected:?}"),
            format!("{got:?}"),
        );
    }

    fn refusal(&mut self, expect: &Expect, seen: &Seen) {
        let refusal = seen.refusal.as_ref();
        if let Some(reply) = &expect.reply {
            let got = refusal.map_or_else(none, |refused| refused.reply.clone());
            self.note("reply", begins(&got, reply), reply.clone(), got);
        }
        if let Some(stage) = expect.stage {
            let got = refusal.map_or_else(none, |refused| format!("{:?}", refused.stage));
            let same = refusal.is_some_and(|refused| refused.stage == stage);
            self.note("stage", same, format!("{stage:?}"), got);
        }
    }

    fn voices(&mut self, expect: &Expect, seen: &Seen) {
        let rule_of = |voice: &&Voice| expect.rule.as_ref().is_none_or(|rule| *rule == voice.rule);
        if let Some(rule) = &expect.rule {
            let spoke = seen.voices.iter().any(|voice| rule_of(&voice));
            let got = listed(seen.voices.iter().map(|voice| &voice.rule), " and ");
            self.note("rule", spoke, rule.clone(), got);
        }
        if let Some(part) = &expect.part {
            let spoke = seen
                .voices
                .iter()
                .filter(rule_of)
                .any(|voice| voice.part == *part);
            let got = listed(seen.voices.iter().map(|voice| &voice.part), " and ");
            self.note("part", spoke, part.clone(), got);
        }
    }

    fn way(&mut self, expect: &Expect, seen: &Seen) {
        if let Some(pool) = &expect.pool {
            let got = seen.pool.clone().unwrap_or_else(none);
            self.note("pool", seen.pool.as_ref() == Some(pool), pool.clone(), got);
        }
        if let Some(member) = &expect.member {
            let certain = seen.members.as_slice() == std::slice::from_ref(member);
            self.note(
                "member",
                certain,
                member.clone(),
                listed(seen.members.iter(), " or "),
            );
        }
    }
}

/// Whether `reply` is the expected one, of which only the beginning may be given, in whole words.
fn begins(reply: &str, expected: &str) -> bool {
    reply
        .strip_prefix(expected)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' ') || expected.ends_with(' '))
}

fn listed<'a>(names: impl Iterator<Item = &'a String>, between: &str) -> String {
    let mut names: Vec<&str> = names.map(String::as_str).collect();
    names.dedup();
    if names.is_empty() {
        none()
    } else {
        names.join(between)
    }
}

fn none() -> String {
    "none".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_compared_in_whole_words() {
        let reply = "450 4.7.1 Too many recipients sent to, try again in 60 minutes";
        for expected in ["450", "450 4.7.1", "450 4.7.1 Too many", reply] {
            assert!(begins(reply, expected), "{expected}");
        }
        for expected in [
            "45",
            "450 4.7",
            "451",
            "4.7.1",
            "450 4.7.1 Too many recipients sent to, try again in 60 minutes!",
        ] {
            assert!(!begins(reply, expected), "{expected}");
        }
    }
}
