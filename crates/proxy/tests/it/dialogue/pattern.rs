//! What a line must look like: text, `*` for any run of characters, `{id}` for a decision id.

/// Whether all of `line` matches.
pub(super) fn matches(pattern: &str, line: &str) -> bool {
    let Some(first) = pattern.chars().next() else {
        return line.is_empty();
    };
    if let Some(rest) = pattern.strip_prefix("{id}") {
        return id_length(line).is_some_and(|length| matches(rest, &line[length..]));
    }
    if first == '*' {
        let rest = &pattern[1..];
        return (0..=line.len())
            .filter(|at| line.is_char_boundary(*at))
            .any(|at| matches(rest, &line[at..]));
    }
    line.strip_prefix(first)
        .is_some_and(|line| matches(&pattern[first.len_utf8()..], line))
}

fn id_length(line: &str) -> Option<usize> {
    let id = line.get(..14)?;
    id.parse::<sekisho_policy::DecisionId>()
        .ok()
        .map(|_| id.len())
}

#[test]
fn patterns() {
    assert!(matches(
        "550 5.7.1 * [{id}]",
        "550 5.7.1 No, never [7Q2M-X4K9-0B3T]"
    ));
    assert!(!matches(
        "550 5.7.1 * [{id}]",
        "550 5.7.1 No, never [7Q2M-X4K9]"
    ));
    assert!(matches("250*", "250") && !matches("250", "250 "));
}
