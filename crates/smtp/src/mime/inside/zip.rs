//! The entries of zip archives (APPNOTE 4.3.7 and 4.3.12): local headers and the central directory, each by itself.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{Look, MAX_NAME, cp437, is_plausible, number16, number32};

static SIGNATURE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"PK"));

/// General purpose flag 11: names are UTF-8.
const UTF8: usize = 1 << 11;
/// Info-ZIP's Unicode Path: a second name, which some readers prefer.
const UNICODE_PATH: usize = 0x7075;

/// Where the fields of an entry stand.
struct Layout {
    flags: usize,
    method: usize,
    /// The length of the name; that of the extra field follows.
    lengths: usize,
    name: usize,
}

const LOCAL: Layout = Layout {
    flags: 6,
    method: 8,
    lengths: 26,
    name: 30,
};

const CENTRAL: Layout = Layout {
    flags: 8,
    method: 10,
    lengths: 28,
    name: 46,
};

pub(super) fn find(window: &[u8]) -> Option<usize> {
    SIGNATURE.find(window)
}

/// Reads an entry, if one stands at the beginning of `window`. Sizes are not looked at, so it matters not whether they are
/// known, follow the data, or stand in a zip64 field; neither does encryption, which leaves names as they are.
pub(super) fn look(window: &[u8]) -> Look {
    let layout = match window.get(2..4) {
        Some([3, 4]) => LOCAL,
        Some([1, 2]) => CENTRAL,
        Some(_) => return Look::Chance,
        None => return Look::Partial,
    };
    read(window, &layout).unwrap_or(Look::Partial)
}

/// `None` if the entry goes beyond the window.
fn read(window: &[u8], layout: &Layout) -> Option<Look> {
    let flags = number16(window, layout.flags)?;
    let method = number16(window, layout.method)?;
    let length = number16(window, layout.lengths)?;
    let extra = number16(window, layout.lengths + 2)?;
    if length > MAX_NAME {
        // By chance, unless a reader could unpack it.
        return Some(if is_known(method) {
            Look::TooLong
        } else {
            Look::Chance
        });
    }
    let name = window.get(layout.name..layout.name + length)?;
    if length == 0 || !(is_known(method) || is_plausible(name)) {
        return Some(Look::Chance);
    }
    let end = layout.name + length + extra;
    let extra = window.get(layout.name + length..end)?;
    let mut names = vec![text(name, flags & UTF8 != 0)];
    names.extend(unicode_paths(extra));
    Some(Look::Names { names, octets: end })
}

/// Methods that programs unpack (APPNOTE 4.4.5); a reader can open no entry of another.
fn is_known(method: usize) -> bool {
    matches!(method, 0..=10 | 12 | 14 | 16 | 18..=20 | 93..=99)
}

fn text(name: &[u8], is_utf8: bool) -> String {
    match std::str::from_utf8(name) {
        Ok(name) => name.to_owned(),
        Err(_) if is_utf8 => String::from_utf8_lossy(name).into_owned(),
        Err(_) => cp437::decode(name),
    }
}

fn unicode_paths(extra: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = extra;
    while let (Some(id), Some(length)) = (number16(rest, 0), number16(rest, 2)) {
        let end = (4 + length).min(rest.len());
        // A version, and a checksum of the other name that not every reader minds.
        if let (UNICODE_PATH, Some(_)) = (id, number32(rest, 5)) {
            let name = rest.get(9..end.min(9 + MAX_NAME)).unwrap_or_default();
            names.push(String::from_utf8_lossy(name).into_owned());
        }
        rest = &rest[end..];
    }
    names
}
