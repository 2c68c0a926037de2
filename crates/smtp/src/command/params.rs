//! The parameters of MAIL and RCPT (RFC 5321 4.1.2, esmtp-param).

use super::syntax;
use crate::reply::Refusal;

/// `keyword[=value]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Param<'a> {
    pub(super) keyword: &'a str,
    pub(super) value: Option<&'a str>,
}

impl<'a> Param<'a> {
    pub(super) fn is(&self, keyword: &str) -> bool {
        self.keyword.eq_ignore_ascii_case(keyword)
    }

    pub(super) fn value(&self) -> Result<&'a str, Refusal> {
        self.value
            .filter(|value| !value.is_empty())
            .ok_or_else(|| syntax("Parameter needs a value"))
    }
}

/// The parameters in `text`, which follows the path: each begins with a space.
pub(super) fn split(
    text: &str,
) -> Result<impl Iterator<Item = Result<Param<'_>, Refusal>>, Refusal> {
    if !text.is_empty() && !text.starts_with(' ') {
        return Err(syntax("Malformed path"));
    }
    Ok(text.split(' ').filter(|word| !word.is_empty()).map(parse))
}

fn parse(word: &str) -> Result<Param<'_>, Refusal> {
    let (keyword, value) = match word.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (word, None),
    };
    let spelled = keyword
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !keyword.starts_with('-');
    if keyword.is_empty() || !spelled || value.is_some_and(|v| v.contains('=')) {
        return Err(syntax("Malformed parameter"));
    }
    Ok(Param { keyword, value })
}

/// Fills a parameter that may stand once.
pub(super) fn set_once<T>(slot: &mut Option<T>, value: T) -> Result<(), Refusal> {
    if slot.replace(value).is_some() {
        Err(syntax("Parameter given twice"))
    } else {
        Ok(())
    }
}

pub(super) fn unknown() -> Refusal {
    Refusal::new(
        555,
        (5, 5, 4),
        "Parameter not recognized or not implemented",
    )
}
