//! Moments as RFC 3339 writes them, in UTC and to the second.

use sekisho_policy::Timestamp;

/// Reads `2026-01-05T09:00:00Z`.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let octets = text.as_bytes();
    let separators = [
        (4, b'-'),
        (7, b'-'),
        (10, b'T'),
        (13, b':'),
        (16, b':'),
        (19, b'Z'),
    ];
    if octets.len() != 20
        || separators
            .iter()
            .any(|&(at, separator)| octets[at] != separator)
    {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = &octets[from..to];
        let all = digits.iter().all(u8::is_ascii_digit);
        all.then(|| {
            digits
                .iter()
                .fold(0, |n, digit| n * 10 + u64::from(digit - b'0'))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let seconds = ((days_before(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    in_range.then_some(Timestamp(seconds * 1000))
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        2 => 28 + u64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let past = year.saturating_sub(1);
    let leaps = past / 4 - past / 100 + past / 400;
    let first_of_year = (year.saturating_sub(1970) * 365 + leaps).saturating_sub(477);
    let in_year: u64 = (1..month).map(|month| days_of(year, month)).sum();
    first_of_year + in_year + day.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (text, at) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2024-02-29T23:59:59Z", 1_709_251_199),
            ("2026-07-31T05:12:09Z", 1_785_474_729),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(moment(text), Some(Timestamp(at * 1000)), "{text}");
        }
    }

    #[test]
    fn others_are_refused() {
        for text in [
            "",
            "2026-01-05",
            "2026-01-05T09:00:00",
            "2026-01-05T09:00:00+00:00",
            "2026-02-29T09:00:00Z",
            "2026-13-01T09:00:00Z",
            "2026-00-01T09:00:00Z",
            "2026-01-00T09:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-01-05T24:00:00Z",
            "2026-01-05T09:60:00Z",
            "2026-01-05T09:00:60Z",
            "2026-01-0éT09:00:0Z",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
