//! The name in a gzip header (RFC 1952 2.3).

use super::{Look, MAX_NAME, number16};
use crate::charset;

const FEXTRA: u8 = 4;
const FNAME: u8 = 8;

/// Reads the header of the first member, with which the stream begins.
pub(super) fn look(window: &[u8]) -> Look {
    match window {
        [0x1F, 0x8B, ..] | [0x1F] => read(window).unwrap_or(Look::Partial),
        _ => Look::Chance,
    }
}

fn read(window: &[u8]) -> Option<Look> {
    let flags = *window.get(3)?;
    if flags & FNAME == 0 {
        return Some(Look::Chance);
    }
    let start = match flags & FEXTRA {
        0 => 10,
        _ => 12 + number16(window, 10)?,
    };
    let rest = window.get(start..)?;
    match memchr::memchr(0, rest) {
        Some(end) if end <= MAX_NAME => Some(Look::Names {
            // Latin-1 by the letter, UTF-8 by habit.
            names: vec![charset::guess(&rest[..end]).into_owned()],
            octets: start + end,
        }),
        Some(_) => Some(Look::TooLong),
        None if rest.len() > MAX_NAME => Some(Look::TooLong),
        None => None,
    }
}
