//! Attachments: the same names however the message is cut, within the limits, and none that another parser finds is missed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail_parser::{MessageParser, MimeHeaders};
use sekisho_smtp::data::{BareNewlines, DataProgress, Decoder};
use sekisho_smtp::mime::{Report, Walker, WalkerLimits, extensions};

const LIMITS: WalkerLimits = WalkerLimits { depth: 6, parts: 40, part_header: 2048 };

fn walk(message: &[u8], size: usize) -> Report {
    let mut walker = Walker::new(LIMITS);
    message.chunks(size).for_each(|chunk| walker.feed(chunk));
    walker.finish()
}

fuzz_target!(|data: &[u8]| {
    let [size, rest @ ..] = data else { return };
    let mut message = Vec::new();
    if Decoder::new(BareNewlines::Normalize).decode_into(rest, &mut message) != DataProgress::More {
        return;
    }
    let report = walk(&message, usize::MAX);
    assert_eq!(report, walk(&message, usize::from(*size).max(1)));
    assert!(report.attachments.len() <= LIMITS.parts);
    for name in report.attachments.iter().flat_map(|attachment| &attachment.names) {
        assert!(!name.is_empty() && name.len() <= 4096);
        for extension in extensions(name) {
            assert!(!extension.is_empty() && !extension.contains(['.', '/', '\\']));
        }
    }
    if report.exceeded.is_none() {
        second_opinion(&message, &report);
    }
});

/// What mail-parser calls an executable must be found to be one, where the two can agree.
fn second_opinion(message: &[u8], report: &Report) {
    let executable = |name: &str| extensions(name).first().is_some_and(|e| e == "exe");
    if !comparable(message) || report.attachments.iter().flat_map(|a| &a.names).any(|name| executable(name)) {
        return;
    }
    let Some(theirs) = MessageParser::default().parse(message) else { return };
    let found = theirs.parts.iter().filter_map(|part| part.attachment_name()).any(executable);
    assert!(!found, "{}", message.escape_ascii());
}

/// mail-parser decodes parts that are messages and fails a debug assertion on some of them (0.11.9, "Invalid part ID"),
/// sees delimiters within lines, decodes raw octets otherwise, and reads malformed continuation marks in its own way.
fn comparable(message: &[u8]) -> bool {
    let plain = message.iter().all(|octet| matches!(octet, b' '..=b'~' | b'\r' | b'\n' | b'\t'));
    let lower = String::from_utf8_lossy(message).to_ascii_lowercase();
    let hyphens = |line: &[u8]| memchr::memmem::find(line, b"--").is_some_and(|at| at > 0);
    let is_mark = |at: usize| {
        let after = &message[at + 1..];
        let after = after.strip_prefix(b"0").or(after.strip_prefix(b"1")).unwrap_or(after);
        after.strip_prefix(b"*").unwrap_or(after).starts_with(b"=")
    };
    plain
        && !message.split(|octet| *octet == b'\n').any(hyphens)
        && !["encoding", "message/"].iter().any(|word| lower.contains(word))
        && memchr::memchr_iter(b'*', message).all(is_mark)
}
