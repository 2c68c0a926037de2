//! Header sections: found where a search finds them, however cut; a From that we take for one mailbox is the one that
//! another parser shows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail_parser::MessageParser;
use sekisho_smtp::data::{BareNewlines, DataProgress, Decoder};
use sekisho_smtp::header::{FromHeader, HeaderProgress, HeaderReader, parse_address_list};

fn read(message: &[u8], size: usize) -> (HeaderReader, bool) {
    let mut reader = HeaderReader::new(4096);
    for chunk in message.chunks(size) {
        match reader.feed(chunk) {
            HeaderProgress::More => {}
            HeaderProgress::Complete { .. } => return (reader, true),
            HeaderProgress::TooLong => return (reader, false),
        }
    }
    (reader, true)
}

fuzz_target!(|data: &[u8]| {
    let [size, wire @ ..] = data else { return };
    let mut message = Vec::new();
    if Decoder::new(BareNewlines::Normalize).decode_into(wire, &mut message) != DataProgress::More {
        return;
    }
    let message = message.as_slice();
    let (reader, fits) = read(message, usize::MAX);
    let (cut, also_fits) = read(message, usize::from(*size).max(1));
    assert_eq!(fits, also_fits);
    if !fits {
        return;
    }
    assert_eq!(reader.section(), cut.section());
    let start = message.starts_with(b"\r\n").then_some(2);
    let end = start.or_else(|| memchr::memmem::find(message, b"\r\n\r\n").map(|at| at + 4));
    assert_eq!(reader.section().len(), end.unwrap_or(message.len()));

    let headers = reader.headers();
    let octets: usize = headers.iter().map(|f| f.name.len() + 1 + f.raw.len()).sum();
    assert!(octets <= message.len());
    for field in headers.iter() {
        // At most U+FFFD, three octets, for each octet of a value.
        assert!(field.decoded().len() <= 3 * field.raw.len());
        if let Ok(items) = parse_address_list(field.raw) {
            assert!(items.len() <= memchr::memchr_iter(b'@', field.raw).count());
        }
    }
    assert!(headers.visible_recipients() <= message.len() + 1);
    if let FromHeader::One(mailbox) = FromHeader::of(&headers) {
        second_opinion(reader.section(), mailbox.as_str());
    }
});

/// Whatever mail-parser shows as From must be the mailbox that policy compared, where both can read it.
fn second_opinion(section: &[u8], ours: &str) {
    let simple = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '@' | '-' | '_' | '+');
    if !section.is_ascii() || !ours.chars().all(simple) {
        return;
    }
    let parsed = MessageParser::default().parse(section);
    let Some(theirs) = parsed.as_ref().and_then(|m| m.from()).and_then(|a| a.first()).and_then(|a| a.address()) else {
        return;
    };
    let blank = |text: &str| text.chars().filter(|c| !c.is_ascii_whitespace()).collect::<String>();
    assert_eq!(blank(theirs), ours, "{}", section.escape_ascii());
}
