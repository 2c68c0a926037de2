//! JSON of which each line is a value of its own.

/// What is wrong with a line, and at which of its characters, counted from 1. The parser counts octets, and calls each line the first.
#[must_use]
pub fn wrong_in_line(line: &[u8], error: &serde_json::Error) -> String {
    let said = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let Some(what) = said.strip_suffix(&place) else {
        return said;
    };
    let up_to = &line[..error.column().min(line.len())];
    match String::from_utf8_lossy(up_to).chars().count() {
        0 => what.to_owned(),
        column => format!("{what} at column {column}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn one_place_is_named_and_it_is_true() {
        for (line, said) in [
            ("{\"a\": x}", "expected value at column 7"),
            ("  {\"a\": x}", "expected value at column 9"),
            ("{\"関所\": x}", "expected value at column 8"),
            ("{\"a\"", "EOF while parsing an object at column 4"),
            ("", "EOF while parsing a value"),
        ] {
            let error = serde_json::from_str::<Value>(line).unwrap_err();
            assert_eq!(wrong_in_line(line.as_bytes(), &error), said, "{line}");
        }
    }
}
