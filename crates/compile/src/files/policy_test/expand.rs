//! Many of a kind in one line: `{n}` for the number of a repetition, `{1..40}` for a run of recipients.

/// The most recipients of one message.
pub(super) const MAX_RECIPIENTS: usize = 10_000;

/// `text` with the number of the repetition in place of each `{n}`.
pub fn numbered(text: &str, repetition: u32) -> String {
    text.replace("{n}", &repetition.to_string())
}

/// Every recipient with a run like `user{1..40}@example.org` spelt out; `None` if there are too many.
pub(super) fn runs(recipients: &[String]) -> Option<Vec<String>> {
    let mut spelt = Vec::new();
    for recipient in recipients {
        match run(recipient) {
            None => spelt.push(recipient.clone()),
            Some((before, first, last, after)) => {
                if last.abs_diff(first) as usize >= MAX_RECIPIENTS {
                    return None;
                }
                spelt.extend((first..=last).map(|number| format!("{before}{number}{after}")));
            }
        }
        if spelt.len() > MAX_RECIPIENTS {
            return None;
        }
    }
    Some(spelt)
}

/// The first run: what is before it, its ends, and what is after it. Two dots in a row are in no address that is not quoted,
/// so that none is taken for a run.
fn run(text: &str) -> Option<(&str, u32, u32, &str)> {
    let (before, rest) = text.split_once('{')?;
    let (range, after) = rest.split_once('}')?;
    let (first, last) = range.split_once("..")?;
    let number = |digits: &str| digits.parse::<u32>().ok();
    Some((before, number(first)?, number(last)?, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_spelt_out() {
        let of = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
            runs(&texts).map(|all| all.join(" "))
        };
        assert_eq!(of(&["a{2..4}@b", "c@d"]).unwrap(), "a2@b a3@b a4@b c@d");
        assert_eq!(of(&["a{7..7}@b"]).unwrap(), "a7@b");
        assert_eq!(
            of(&["{n}@b", "{x}@b", "{1..}@b"]).unwrap(),
            "{n}@b {x}@b {1..}@b"
        );
        assert_eq!(of(&["a{1..10000}@b"]).unwrap().split(' ').count(), 10_000);
        assert_eq!(of(&["a{1..10001}@b"]), None);
        assert_eq!(of(&["a{0..4294967295}@b"]), None);
        assert_eq!(of(&["a{1..6000}@b", "a{1..6000}@c"]), None);
    }

    #[test]
    fn repetitions_are_numbered() {
        assert_eq!(numbered("203.0.113.{n}", 9), "203.0.113.9");
        assert_eq!(numbered("u{n}@x{n}.example", 12), "u12@x12.example");
        assert_eq!(numbered("{m}", 1), "{m}");
    }
}
