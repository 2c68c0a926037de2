//! What rules saw, in words with figures. Written without the formatting machinery, which would be a good part of the time
//! that a decision takes.

use std::borrow::Cow;

/// `12 of 200 octets`; `rest` begins with its own space.
pub(crate) fn of(count: u64, limit: u64, rest: &str) -> Cow<'static, str> {
    let mut text = String::with_capacity(44 + rest.len());
    push_number(&mut text, count);
    text.push_str(" of ");
    push_number(&mut text, limit);
    text.push_str(rest);
    text.into()
}

/// `12` and what follows it.
pub(crate) fn number(count: u64, rest: &str, more: &str) -> Cow<'static, str> {
    let mut text = String::with_capacity(20 + rest.len() + more.len());
    push_number(&mut text, count);
    text.push_str(rest);
    text.push_str(more);
    text.into()
}

fn push_number(text: &mut String, mut number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    // Digits are text.
    text.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        assert_eq!(
            of(0, u64::MAX, " octets"),
            format!("0 of {} octets", u64::MAX)
        );
        assert_eq!(
            number(1024, " of 10", ", not charged"),
            "1024 of 10, not charged"
        );
    }
}
