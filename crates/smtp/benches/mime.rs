//! How fast the MIME walker is on one core, in octets of message a second: `cargo bench -p sekisho-smtp --bench mime`.
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sekisho_smtp::mime::{Report, Walker, WalkerLimits};

const MIB: usize = 1024 * 1024;
/// What a session reads at once, about.
const CHUNK: usize = 64 * 1024;
const TEXT: usize = 256 * 1024;

fn main() {
    // Under `cargo test` a bench only has to run.
    let quick = std::env::args().any(|argument| argument == "--test");
    let (rounds, size) = if quick { (1, MIB) } else { (15, 20 * MIB) };
    if let Some(corpus) = sekisho_testkit::corpus() {
        let messages: Vec<Vec<u8>> = corpus.messages().map(|(_, message)| message).collect();
        let crlf: Vec<Vec<u8>> = messages.iter().map(|message| with_crlf(message)).collect();
        measure("corpus, each message by itself", rounds, &crlf, None);
        measure("corpus, with text", rounds, &crlf, Some(TEXT));
        let one = [in_one(&crlf)];
        measure("corpus, as the parts of one message", rounds, &one, None);
        measure(
            "corpus, as the parts of one message, with text",
            rounds,
            &one,
            Some(TEXT),
        );
    }
    let plain = [message("a.pdf", &noise(size / 4 * 3))];
    measure("one base64 attachment", rounds, &plain, None);
    measure(
        "one base64 attachment, with text",
        rounds,
        &plain,
        Some(TEXT),
    );
    let zip = [message("a.zip", &zip(size / 4 * 3))];
    measure("a base64 zip", rounds, &zip, None);
    measure("a base64 zip, with text", rounds, &zip, Some(TEXT));
    let text = [long_text(size)];
    measure("long text", rounds, &text, None);
    measure("long text, with text", rounds, &text, Some(TEXT));
}

fn walk(message: &[u8], text: Option<usize>) -> Report {
    let limits = WalkerLimits {
        parts: 100_000,
        ..WalkerLimits::default()
    };
    let mut walker = Walker::new(limits);
    if let Some(most) = text {
        walker = walker.with_text(most);
    }
    message.chunks(CHUNK).for_each(|chunk| walker.feed(chunk));
    walker.finish()
}

/// Prints the median of the rounds, and the best: on a machine that does other work too, the one that was disturbed least.
fn measure(name: &str, rounds: usize, messages: &[Vec<u8>], text: Option<usize>) {
    let octets: usize = messages.iter().map(Vec::len).sum();
    let mut found = 0;
    let mut rates: Vec<f64> = (0..rounds)
        .map(|_| {
            let begin = Instant::now();
            found = 0;
            for message in messages {
                found += black_box(walk(message, text)).names().count();
            }
            octets as f64 / begin.elapsed().as_secs_f64() / 1e6
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    println!(
        "{name}: {:.0} MB/s (best {:.0}; {:.1} MB in {} messages, {found} names)",
        rates[rates.len() / 2],
        rates[rates.len() - 1],
        octets as f64 / 1e6,
        messages.len()
    );
}

fn with_crlf(message: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(message.len() * 21 / 20);
    for line in message.split_inclusive(|b| *b == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        lines.extend_from_slice(text.strip_suffix(b"\r").unwrap_or(text));
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

/// A digest: every message of the corpus as a part.
fn in_one(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut one = b"Content-Type: multipart/mixed; boundary=corpus-corpus-corpus\r\n\r\n".to_vec();
    for message in messages {
        one.extend_from_slice(b"--corpus-corpus-corpus\r\nContent-Type: message/rfc822\r\n\r\n");
        one.extend_from_slice(message);
    }
    one
}

fn message(name: &str, attachment: &[u8]) -> Vec<u8> {
    let mut message = format!(
        "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee the attachment.\r\n\
         --b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename={name}\r\n\r\n"
    )
    .into_bytes();
    for line in STANDARD.encode(attachment).as_bytes().chunks(76) {
        message.extend_from_slice(line);
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"--b--\r\n");
    message
}

/// Octets as good as random, which begin no archive.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let octets = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    octets.flatten().take(length).collect()
}

/// A hundred stored files, without a directory.
fn zip(length: usize) -> Vec<u8> {
    let mut archive = Vec::with_capacity(length);
    let content = noise(length / 100 - 40);
    for number in 0..100 {
        archive.extend_from_slice(b"PK\x03\x04\x14\0\0\0\0\0");
        archive.extend_from_slice(&[0; 16]);
        archive.extend_from_slice(&[10, 0, 0, 0]);
        archive.extend_from_slice(format!("file{number:02}.txt").as_bytes());
        archive.extend_from_slice(&content);
    }
    archive
}

fn long_text(length: usize) -> Vec<u8> {
    let mut message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n".to_vec();
    while message.len() < length {
        message.extend_from_slice(
            b"A line of text as people write it, -- with hyphens - here and there.\r\n",
        );
    }
    message
}
