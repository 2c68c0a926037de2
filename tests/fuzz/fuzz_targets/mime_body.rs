//! What must hold of any message: the same report however it is cut, within the limits, and no executable missed that
//! another parser finds. Beside the fuzz target a test of the crate runs it over altered messages of the corpus.

use mail_parser::{MessageParser, MimeHeaders};
use sekisho_smtp::data::{BareNewlines, DataProgress, Decoder};
use sekisho_smtp::mime::{Report, Walker, WalkerLimits, extensions};

const LIMITS: WalkerLimits = WalkerLimits {
    depth: 6,
    parts: 40,
    part_header: 2048,
    inner_names: 20,
    name_octets: 4096,
};
const TEXT: usize = 600;

fn walk(message: &[u8], size: usize) -> Report {
    let mut walker = Walker::new(LIMITS).with_text(TEXT);
    message.chunks(size).for_each(|chunk| walker.feed(chunk));
    walker.finish()
}

/// The first octet of `data` says how the rest is cut.
pub fn check(data: &[u8]) {
    let [size, rest @ ..] = data else { return };
    let mut message = Vec::new();
    if Decoder::new(BareNewlines::Normalize).decode_into(rest, &mut message) != DataProgress::More {
        return;
    }
    let report = walk(&message, usize::MAX);
    assert_eq!(report, walk(&message, usize::from(*size).max(1)));
    assert!(
        report
            .text
            .as_ref()
            .is_some_and(|text| text.body.len() <= TEXT)
    );
    // A part that readers disagree about, and a message read both ways, may come twice.
    assert!(report.parts <= 16 * LIMITS.parts && report.attachments.len() <= report.parts);
    for name in report.names() {
        assert!(!name.is_empty() && name.len() <= 4096);
        for extension in extensions(name) {
            assert!(!extension.is_empty() && !extension.contains(['.', '/', '\\']));
        }
    }
    if report.exceeded.is_none() {
        second_opinion(&message, &report);
    }
}

/// What mail-parser calls an executable must be found to be one, where the two can agree.
fn second_opinion(message: &[u8], report: &Report) {
    let executable = |name: &str| extensions(name).first().is_some_and(|e| e == "exe");
    if !comparable(message) || report.names().any(executable) {
        return;
    }
    let Some(theirs) = MessageParser::default().parse(message) else {
        return;
    };
    let found = theirs
        .parts
        .iter()
        .filter_map(|part| part.attachment_name())
        .any(executable);
    assert!(!found, "{}", message.escape_ascii());
}

/// mail-parser decodes parts that are messages and fails a debug assertion on some of them (0.11.9, "Invalid part ID"),
/// sees delimiters within lines, decodes raw octets otherwise, reads malformed continuation marks in its own way, and takes
/// `Content-Ty pe` for a name, which no mail program does.
fn comparable(message: &[u8]) -> bool {
    let plain = message
        .iter()
        .all(|octet| matches!(octet, b' '..=b'~' | b'\r' | b'\n' | b'\t'));
    let lower = String::from_utf8_lossy(message).to_ascii_lowercase();
    let hyphens = |line: &[u8]| memchr::memmem::find(line, b"--").is_some_and(|at| at > 0);
    let is_mark = |at: usize| {
        let after = &message[at + 1..];
        let after = after
            .strip_prefix(b"0")
            .or(after.strip_prefix(b"1"))
            .unwrap_or(after);
        after.strip_prefix(b"*").unwrap_or(after).starts_with(b"=")
    };
    let gapped = |line: &[u8]| {
        let name = line.split(|octet| *octet == b':').next().unwrap_or(line);
        let mut letters = name.to_ascii_lowercase();
        letters.retain(|octet| !octet.is_ascii_whitespace());
        letters.len() < name.trim_ascii().len() && letters.starts_with(b"content-")
    };
    plain
        && !message.split(|octet| *octet == b'\n').any(gapped)
        && !message.split(|octet| *octet == b'\n').any(hyphens)
        && !["encoding", "message/"]
            .iter()
            .any(|word| lower.contains(word))
        && memchr::memchr_iter(b'*', message).all(is_mark)
}
