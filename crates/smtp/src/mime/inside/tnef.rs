//! Attachments within TNEF (MS-OXTNEF), what Outlook sends as `winmail.dat`: the title of each, and its long name among the
//! MAPI properties. Found by their tags rather than by walking the attributes, so that those of messages within, and those
//! behind an attribute with a wrong length, are found too.

use std::borrow::Cow;

use encoding_rs::UTF_16LE;

use super::{Look, MAX_NAME, number32, until_zero};
use crate::charset;

/// attAttachTitle (MS-OXTNEF 2.1.3.3.15), a string.
const TITLE: u32 = 0x0001_8010;
/// PidTagAttachLongFilename and PidTagAttachFilename (MS-OXPROPS), in octets and in UTF-16.
const LONG_NAME: [u32; 2] = [0x3707_001E, 0x3707_001F];
const SHORT_NAME: [u32; 2] = [0x3704_001E, 0x3704_001F];

/// A title of more octets is no title: four octets come up by chance in a large attachment.
const MAX_BELIEVED: usize = 1024 * 1024;

/// Where a tag may begin, by its first octet.
pub(super) fn find(window: &[u8]) -> Option<usize> {
    memchr::memchr3(0x10, 0x1E, 0x1F, window)
}

pub(super) fn look(window: &[u8]) -> Look {
    let Some(tag) = number32(window, 0) else {
        return Look::Partial;
    };
    let is_property = LONG_NAME.contains(&tag) || SHORT_NAME.contains(&tag);
    // A property says how many values follow. One, for these; the first, if it lies.
    let start = match tag {
        TITLE => 8,
        _ if is_property => 12,
        _ => return Look::Chance,
    };
    let Some(length) = number32(window, start - 4) else {
        return Look::Partial;
    };
    let Ok(length) = usize::try_from(length) else {
        return Look::Chance;
    };
    if length > 2 * MAX_NAME {
        return match number32(window, 4) {
            Some(1) if is_property => Look::TooLong,
            _ if !is_property && length <= MAX_BELIEVED => Look::TooLong,
            _ => Look::Chance,
        };
    }
    let Some(value) = window.get(start..start + length) else {
        return Look::Partial;
    };
    let wide = is_property && tag & 1 == 1;
    let name = if wide {
        wide_text(value)
    } else {
        charset::guess(until_zero(value))
    };
    if name.len() > MAX_NAME {
        return Look::TooLong;
    }
    Look::Names {
        names: vec![name.into_owned()],
        octets: start + length,
    }
}

fn wide_text(value: &[u8]) -> Cow<'_, str> {
    let end = value
        .chunks_exact(2)
        .position(|unit| unit == [0, 0])
        .map_or(value.len(), |units| units * 2);
    UTF_16LE.decode_without_bom_handling(&value[..end]).0
}
