//! "Did you mean": the nearest of the words that would have been right.

/// The candidate that `word` is most likely a misspelling of, if one is near enough.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if word.chars().count() > LONGEST {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| {
            (
                distance(&word.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, candidate)| *distance <= allowed(word.len().min(candidate.len())))
        .min()
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?", or `otherwise`.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    nearest(word, candidates).map_or_else(otherwise, |near| format!("did you mean `{near}`?"))
}

/// How many edits are a slip of the finger in a word of this length.
fn allowed(length: usize) -> usize {
    match length {
        0..=2 => 1,
        3..=7 => 2,
        _ => 3,
    }
}

/// Edits between two words, a swap of neighbours counting once (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let change = above[j] + usize::from(from != to);
            let mut best = change.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_nothing_else() {
        let fields = ["listeners", "upstream", "unit", "count", "per", "mode"];
        for (word, found) in [
            ("listner", Some("listeners")),
            ("uint", Some("unit")),
            ("Upstream", Some("upstream")),
            ("cuont", Some("count")),
            ("password", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, fields), found, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(10_000), fields), None);
    }
}
