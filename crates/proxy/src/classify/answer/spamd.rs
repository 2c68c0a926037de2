//! Spamd's answer to `SYMBOLS`: a status line, fields, and the names of rules in the body.

use sekisho_policy::opinion::{EngineFault, EngineVerdict, MAX_SYMBOLS, Score};

use super::{symbol, thousandths};

/// Longer numbers are none of a score's.
const MAX_NUMBER: usize = 16;

/// Reads a whole answer, up to where the connection was closed.
///
/// # Errors
/// [`EngineFault::Refused`] where it says that it failed, [`EngineFault::Broken`] where it ends early, else
/// [`EngineFault::BadAnswer`].
pub(crate) fn spamd(answer: &[u8]) -> Result<Score, EngineFault> {
    if answer.is_empty() {
        return Err(EngineFault::Broken);
    }
    let (status, mut rest) = line(answer)?;
    check_status(status)?;
    let (mut points, mut length) = (None, None);
    loop {
        let (field, after) = line(rest)?;
        rest = after;
        if field.is_empty() {
            break;
        }
        let (name, value) = field.split_once(':').ok_or(EngineFault::BadAnswer)?;
        let place: &mut Option<_> = match () {
            () if name.eq_ignore_ascii_case("Spam") => &mut points,
            () if name.eq_ignore_ascii_case("Content-length") => &mut length,
            () => continue,
        };
        if place.replace(value.trim()).is_some() {
            return Err(EngineFault::BadAnswer);
        }
    }
    check_length(length, rest)?;
    Ok(Score {
        points: points_of(points.ok_or(EngineFault::BadAnswer)?)?,
        // Whether it is spam by spamd's own mark (`True`) is not asked: the policy has marks of its own, and spamd refuses nothing.
        verdict: EngineVerdict::Pass,
        symbols: names(rest)?
            .split([',', '\r', '\n'])
            .filter_map(|name| symbol(name.trim(), None))
            .take(MAX_SYMBOLS)
            .collect(),
    })
}

/// The first line without its end, and what follows it.
fn line(octets: &[u8]) -> Result<(&str, &[u8]), EngineFault> {
    let at = memchr::memchr(b'\n', octets).ok_or(EngineFault::Broken)?;
    let line = octets[..at]
        .strip_suffix(b"\r")
        .ok_or(EngineFault::BadAnswer)?;
    let line = str::from_utf8(line).map_err(|_| EngineFault::BadAnswer)?;
    Ok((line, &octets[at + 1..]))
}

/// `SPAMD/1.1 0 EX_OK`
fn check_status(line: &str) -> Result<(), EngineFault> {
    let mut words = line.split(' ');
    let version = words.next().and_then(|word| word.strip_prefix("SPAMD/"));
    let code = words.next().filter(|code| is_digits(code));
    match (version, code) {
        (Some(_), Some("0")) => Ok(()),
        (Some(_), Some(_)) => Err(EngineFault::Refused),
        _ => Err(EngineFault::BadAnswer),
    }
}

fn check_length(field: Option<&str>, body: &[u8]) -> Result<(), EngineFault> {
    let Some(field) = field else { return Ok(()) };
    let length = Some(field)
        .filter(|field| is_digits(field))
        .and_then(|field| field.parse::<usize>().ok())
        .ok_or(EngineFault::BadAnswer)?;
    match body.len().cmp(&length) {
        std::cmp::Ordering::Less => Err(EngineFault::Broken),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(EngineFault::BadAnswer),
    }
}

/// `True ; 15.0 / 5.0`
fn points_of(value: &str) -> Result<i64, EngineFault> {
    let (flag, scores) = value.split_once(';').ok_or(EngineFault::BadAnswer)?;
    let (score, mark) = scores.split_once('/').ok_or(EngineFault::BadAnswer)?;
    if !["True", "False", "Yes", "No"].contains(&flag.trim()) {
        return Err(EngineFault::BadAnswer);
    }
    number(mark.trim())?;
    number(score.trim())
}

/// Digits with at most one sign and one point. `f64` alone would also read `inf`, `nan` and `1e9`.
fn number(text: &str) -> Result<i64, EngineFault> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    if text.len() > MAX_NUMBER || !is_digits(whole) || !is_digits(part) {
        return Err(EngineFault::BadAnswer);
    }
    thousandths(text.parse().map_err(|_| EngineFault::BadAnswer)?)
}

fn names(body: &[u8]) -> Result<&str, EngineFault> {
    str::from_utf8(body).map_err(|_| EngineFault::BadAnswer)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str) -> Result<(i64, Vec<String>), EngineFault> {
        let score = spamd(answer.as_bytes())?;
        let names = score.symbols.iter().map(|symbol| symbol.name.to_string());
        Ok((score.points, names.collect()))
    }

    fn with(fields: &str) -> String {
        format!("SPAMD/1.1 0 EX_OK\r\n{fields}\r\n\r\nA,B\r\n")
    }

    #[test]
    fn scores() {
        for (field, points) in [
            ("True ; 1000.0 / 5.0", 1_000_000),
            ("False ; -0.1 / 5.0", -100),
            ("True ; 15 / 5", 15_000),
            ("Yes;15.25/5.0", 15_250),
            ("False ; 0.0 / 5.0", 0),
        ] {
            let names = vec!["A".to_owned(), "B".to_owned()];
            let read = read(&with(&format!("Spam: {field}")));
            assert_eq!(read, Ok((points, names)), "{field}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_no_answer() {
        let fine = "Spam: True ; 15.0 / 5.0";
        assert!(read(&with(fine)).is_ok());
        for fields in [
            "X: y",
            "Spam: True",
            "Spam: True ; 15.0",
            "Spam: maybe ; 15.0 / 5.0",
            "Spam: True ; nan / 5.0",
            "Spam: True ; inf / 5.0",
            "Spam: True ; 1e9 / 5.0",
            "Spam: True ; +15.0 / 5.0",
            "Spam: True ; 15.0.0 / 5.0",
            "Spam: True ; 99999999.0 / 5.0",
            "Spam: True ; 15.0 / five",
            "Spam: True ; 15.0 / 5.0\r\nSpam: False ; 0.0 / 5.0",
            "Spam: True ; 15.0 / 5.0\r\nContent-length: 4",
            "Spam: True ; 15.0 / 5.0\r\nContent-length: -1",
            "Spam: True ; 15.0 / 5.0\nX: y",
            "no field",
        ] {
            assert_eq!(
                read(&with(fields)),
                Err(EngineFault::BadAnswer),
                "{fields:?}"
            );
        }
        for (answer, fault) in [
            ("", EngineFault::Broken),
            ("SPAMD/1.1 0 EX_OK\r\n", EngineFault::Broken),
            (
                "SPAMD/1.1 0 EX_OK\r\nSpam: True ; 15.0 / 5.0\r\n",
                EngineFault::Broken,
            ),
            (
                "SPAMD/1.0 76 Bad header line: (EOF) \r\n",
                EngineFault::Refused,
            ),
            ("SPAMD/1.1 00 EX_OK\r\n", EngineFault::Refused),
            ("HTTP/1.1 200 OK\r\n\r\n", EngineFault::BadAnswer),
            ("SPAMD/1.1\r\n\r\n", EngineFault::BadAnswer),
        ] {
            assert_eq!(read(answer), Err(fault), "{answer:?}");
        }
        let short = with(&format!("{fine}\r\nContent-length: 6"));
        assert_eq!(read(&short), Err(EngineFault::Broken));
    }

    #[test]
    fn names_are_bounded() {
        let many: Vec<String> = (0..100).map(|at| format!("RULE_{at}")).collect();
        let body = format!("two words,,\u{7},名,{},{}", "L".repeat(65), many.join(","));
        let answer = format!("SPAMD/1.1 0 EX_OK\r\nSpam: True ; 15.0 / 5.0\r\n\r\n{body}\r\n");
        let (_, names) = read(&answer).unwrap();
        assert_eq!(names, many[..MAX_SYMBOLS]);
    }
}
