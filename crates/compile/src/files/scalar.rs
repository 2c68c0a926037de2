//! What an unquoted word means: the core schema of YAML 1.2, and where `kubectl`, which reads YAML 1.1, disagrees.

use serde_json::Number;

use super::node::Content;

/// The value of an unquoted word.
pub(super) fn resolve(word: &str) -> Content {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "n" | "N" | "no" | "No" | "NO"
        | "off" | "Off" | "OFF" => Content::Boolish(word.to_owned()),
        _ => number(word).map_or_else(|| Content::Text(word.to_owned()), Content::Number),
    }
}

fn number(word: &str) -> Option<Number> {
    if let Some(digits) = word.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = word.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    if unsigned.is_empty() || !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return integer(word, unsigned);
    }
    float(word, unsigned)
}

fn radix(digits: &str, radix: u32) -> Option<Number> {
    let valid = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    valid
        .then(|| u64::from_str_radix(digits, radix).ok())
        .flatten()
        .map(Number::from)
}

/// A decimal integer. With a leading zero it is octal to YAML 1.1 and decimal to YAML 1.2, so it is neither here.
fn integer(word: &str, digits: &str) -> Option<Number> {
    if digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    let word = word.strip_prefix('+').unwrap_or(word);
    word.parse::<i64>()
        .map(Number::from)
        .or_else(|_| word.parse::<u64>().map(Number::from))
        .ok()
}

/// A decimal fraction. A whole one is an integer, as it is once it has been through JSON.
fn float(word: &str, unsigned: &str) -> Option<Number> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let known = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
    if !unsigned.bytes().all(known) || !unsigned.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: f64 = word.strip_prefix('+').unwrap_or(word).parse().ok()?;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_the_core_schema_says() {
        let number = |n: i64| Content::Number(n.into());
        let text = |t: &str| Content::Text(t.to_owned());
        for (word, value) in [
            ("", Content::Null),
            ("~", Content::Null),
            ("true", Content::Bool(true)),
            ("FALSE", Content::Bool(false)),
            ("0", number(0)),
            ("-12", number(-12)),
            ("+7", number(7)),
            ("0x1F", number(31)),
            ("0o17", number(15)),
            ("1e3", number(1000)),
            ("5.0", number(5)),
            ("JP", text("JP")),
            ("1h", text("1h")),
            ("25Mi", text("25Mi")),
            ("0587", text("0587")),
            ("1_000", text("1_000")),
            ("192.0.2.1", text("192.0.2.1")),
            ("192.0.2.0/24", text("192.0.2.0/24")),
            (".inf", text(".inf")),
            (".", text(".")),
            ("-", text("-")),
            ("e5", text("e5")),
            ("0x", text("0x")),
            ("99999999999999999999", text("99999999999999999999")),
        ] {
            assert_eq!(resolve(word), value, "{word}");
        }
        assert_eq!(
            resolve("2.5"),
            Content::Number(Number::from_f64(2.5).unwrap())
        );
    }

    #[test]
    fn norway_is_no_boolean() {
        for word in ["NO", "no", "Off", "on", "y", "Yes"] {
            assert_eq!(resolve(word), Content::Boolish(word.to_owned()));
        }
    }
}
