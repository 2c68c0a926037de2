//! `begin 644 name` and `begin-base64 644 name` (POSIX uuencode): a file within text, to readers that look for one.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{Look, MAX_NAME};
use crate::charset;

/// A line that begins so.
pub(super) const SIGNATURE: &[u8] = b"\nbegin";
/// Octets of a line apart from the name.
const MAX_PREFIX: usize = 64;

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(SIGNATURE));

pub(super) fn find(window: &[u8]) -> Option<usize> {
    FINDER.find(window)
}

/// Reads the line after the newline with which `window` begins.
pub(super) fn look(window: &[u8], last: bool) -> Look {
    let rest = &window[SIGNATURE.len()..];
    // A few octets tell most text from a file, so that the rest of a long line need not be kept.
    let head = &rest[..rest.len().min(MAX_PREFIX)];
    match name_start(head) {
        Start::Partial if !last && head.len() < MAX_PREFIX => return Look::Partial,
        Start::Partial | Start::Chance => return Look::Chance,
        Start::Name => {}
    }
    let line = match memchr::memchr(b'\n', &rest[..rest.len().min(MAX_NAME + MAX_PREFIX)]) {
        Some(end) => &rest[..end],
        // A sentence, in a paragraph without line ends.
        None if rest.len() >= MAX_NAME + MAX_PREFIX => return Look::Chance,
        None if last => rest,
        None => return Look::Partial,
    };
    let line = line.trim_ascii();
    let line = line
        .strip_prefix(b"-base64")
        .unwrap_or(line)
        .trim_ascii_start();
    let digits = line.iter().take_while(|b| b.is_ascii_digit()).count();
    let (mode, name) = line.split_at(digits);
    let name = charset::guess(name.trim_ascii());
    // `begin 1 of` is a sentence, and `begin 1 a.exe` a file to programs that take any number for the mode.
    if name.len() > MAX_NAME || (mode.len() < 3 && !name.contains('.')) {
        return Look::Chance;
    }
    Look::Names {
        octets: line.len(),
        names: vec![name.into_owned()],
    }
}

enum Start {
    Partial,
    Chance,
    Name,
}

/// Whether a mode and a name follow `begin`.
fn name_start(head: &[u8]) -> Start {
    const BASE64: &[u8] = b"-base64";
    let after = head.strip_prefix(BASE64).unwrap_or(head);
    if head.len() < BASE64.len() && BASE64.starts_with(head) {
        return Start::Partial;
    }
    let mode = after.trim_ascii_start();
    let spaces = &after[..after.len() - mode.len()];
    if spaces.contains(&b'\n') || (spaces.is_empty() && !after.is_empty()) {
        return Start::Chance;
    }
    let digits = mode.iter().take_while(|b| matches!(b, b'0'..=b'7')).count();
    match mode.get(digits..) {
        None | Some([]) => Start::Partial,
        Some([b' ' | b'\t', name @ ..]) if (1..=6).contains(&digits) => {
            match name.trim_ascii_start() {
                [] if name.contains(&b'\n') => Start::Chance,
                [] => Start::Partial,
                _ if name[..name.len() - name.trim_ascii_start().len()].contains(&b'\n') => {
                    Start::Chance
                }
                _ => Start::Name,
            }
        }
        Some(_) => Start::Chance,
    }
}
