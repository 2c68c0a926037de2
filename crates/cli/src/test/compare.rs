//! What was expected against what was seen.

use sekisho_compile::files::Expect;
use serde::Serialize;

use super::seen::Seen;

/// One thing that is not as expected.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    pub(super) what: &'static str,
    pub(super) expected: String,
    pub(super) got: String,
}

/// Everything that is not as expected; what is not expected is not looked at.
pub(super) fn differences(expect: &Expect, seen: &Seen) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut note = |what, expected: String, got: String, agrees: bool| {
        if !agrees {
            found.push(Difference {
                what,
                expected,
                got,
            });
        }
    };
    if let Some(verdict) = expect.verdict {
        note(
            "verdict",
            format!("{verdict:?}"),
            format!("{:?}", seen.verdict),
            verdict == seen.verdict,
        );
    }
    let refusal = seen.refusal.as_ref();
    if let Some(reply) = &expect.reply {
        let got = refusal.map_or("none", |refused| &refused.reply);
        note("reply", reply.clone(), got.to_owned(), begins(got, reply));
    }
    if let Some(stage) = expect.stage {
        let got = refusal.map_or_else(none, |refused| format!("{:?}", refused.stage));
        note(
            "stage",
            format!("{stage:?}"),
            got,
            refusal.is_some_and(|refused| refused.stage == stage),
        );
    }
    let voices =
        |pick: fn(&(String, String)) -> &String| listed(seen.voices.iter().map(pick), " and ");
    if expect.rule.is_some() || expect.part.is_some() {
        let (rule, part) = (expect.rule.as_ref(), expect.part.as_ref());
        let speaks = |voice: &&(String, String)| {
            rule.is_none_or(|rule| *rule == voice.0) && part.is_none_or(|part| *part == voice.1)
        };
        let agrees = seen.voices.iter().any(|voice| speaks(&voice));
        if let Some(rule) = rule {
            let same = agrees || seen.voices.iter().any(|voice| voice.0 == *rule);
            note("rule", rule.clone(), voices(|voice| &voice.0), same);
        }
        if let Some(part) = part {
            note("part", part.clone(), voices(|voice| &voice.1), agrees);
        }
    }
    if let Some(class) = expect.class {
        note(
            "class",
            format!("{class:?}"),
            format!("{:?}", seen.class),
            class == seen.class,
        );
    }
    if let Some(recipients) = expect.recipients {
        note(
            "recipients",
            recipients.to_string(),
            seen.recipients.to_string(),
            recipients == seen.recipients,
        );
    }
    if let Some(pool) = &expect.pool {
        note(
            "pool",
            pool.clone(),
            seen.pool.clone().unwrap_or_else(none),
            seen.pool.as_ref() == Some(pool),
        );
    }
    if let Some(member) = &expect.member {
        let certain = seen.members.as_slice() == std::slice::from_ref(member);
        note(
            "member",
            member.clone(),
            listed(seen.members.iter(), " or "),
            certain,
        );
    }
    if let Some(shadow) = &expect.shadow {
        let same = shadow.len() == seen.shadow.len()
            && shadow.iter().all(|rule| seen.shadow.contains(rule));
        note(
            "shadow",
            listed(shadow.iter(), " and "),
            listed(seen.shadow.iter(), " and "),
            same,
        );
    }
    found
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
