//! Regular expressions that are none, or that would take too much memory.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use regex::RegexBuilder;
use sekisho_crd::SubmissionPolicySpec;
use sekisho_policy::content::MAX_PATTERN;

use crate::diagnostic::{Code, Diagnostic};
use crate::objects::Objects;
use crate::view::valid;

/// The most memory of one compiled pattern, in octets.
const PATTERN_MEMORY: usize = 1 << 20;

pub(super) fn check(objects: &Objects, out: &mut Vec<Diagnostic>) {
    for view in valid::<SubmissionPolicySpec>(objects) {
        let rules = view
            .spec
            .classify
            .iter()
            .flat_map(|classify| &classify.rules);
        for (index, rule) in rules.enumerate() {
            if let Some(why) = defect(&rule.matches) {
                out.push(view.error(
                    Code::InvalidPattern,
                    &format!("classify.rules[{index}].matches"),
                    why,
                ));
            }
        }
    }
}

/// Patterns that were found good: to find out takes longer than all other checks of an object, and it never changes.
#[derive(Default)]
struct Good {
    patterns: HashSet<Box<str>>,
    octets: usize,
}

/// All of them are forgotten when they come to more octets than this.
const MOST_REMEMBERED: usize = 1 << 20;

static GOOD: LazyLock<Mutex<Good>> = LazyLock::new(Mutex::default);

fn known_good() -> MutexGuard<'static, Good> {
    GOOD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn defect(pattern: &str) -> Option<String> {
    if known_good().patterns.contains(pattern) {
        return None;
    }
    let defect = find_defect(pattern);
    if defect.is_none() {
        let mut good = known_good();
        if good.octets + pattern.len() > MOST_REMEMBERED {
            *good = Good::default();
        }
        if good.patterns.insert(pattern.into()) {
            good.octets += pattern.len();
        }
    }
    defect
}

fn find_defect(pattern: &str) -> Option<String> {
    if pattern.len() > MAX_PATTERN {
        return Some(format!(
            "has {} octets, {MAX_PATTERN} is the most",
            pattern.len()
        ));
    }
    let built = RegexBuilder::new(pattern)
        .size_limit(PATTERN_MEMORY)
        .nest_limit(64)
        .build();
    // The library draws the place in the pattern over several lines; the last one says what it is.
    let what = |error: regex::Error| {
        error
            .to_string()
            .lines()
            .last()
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    built.err().map(|error| {
        format!(
            "is no regular expression: {}",
            what(error).trim_start_matches("error: ")
        )
    })
}
