//! The messages that are sent.

use crate::up::ACCOUNT;

/// RFC 5321 4.5.3.1.6: a line may have 998 octets before its CRLF. Mail programs send longer ones.
const LONGEST_LINE: usize = 998;

/// Sekisho's gateways of these tests take less than this, and more than [`LARGE`].
pub(super) const MOST: &str = "6Mi";
const LARGE: usize = 5 << 20;
const TOO_LARGE: usize = 7 << 20;

/// A message that many mail programs could have written.
pub(super) fn plain() -> Vec<u8> {
    plain_about("hello")
}

/// The same with another subject.
pub(super) fn plain_about(subject: &str) -> Vec<u8> {
    with_body(subject, "It is me.\r\n\r\nAlice\r\n")
}

/// Dots where they end messages, and the longest lines; `beyond` has one that is longer than allowed.
pub(super) fn dots_and_long_lines(beyond: bool) -> Vec<u8> {
    let long = "x".repeat(LONGEST_LINE);
    let longer = if beyond {
        "y".repeat(4 * LONGEST_LINE)
    } else {
        String::new()
    };
    with_body(
        "dots",
        &format!(
            ".one\r\n..two\r\n.\r\n\r\n.{}\r\n{long}\r\n{longer}\r\n..\r\nend\r\n",
            &long[1..]
        ),
    )
}

pub(super) fn eight_bit() -> Vec<u8> {
    let mut message = with_body("8-bit", "関所を通る手紙。\r\nGrüße, naïveté\r\n");
    let extra = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n";
    message.splice(0..0, extra.iter().copied());
    message
}

/// Five million octets and some.
pub(super) fn large() -> Vec<u8> {
    of_size(LARGE)
}

pub(super) fn too_large() -> Vec<u8> {
    of_size(TOO_LARGE)
}

fn of_size(octets: usize) -> Vec<u8> {
    let line = "The quick brown fox jumps over the lazy dog, and over and over again.\r\n";
    with_body("large", &line.repeat(octets / line.len()))
}

fn with_body(subject: &str, body: &str) -> Vec<u8> {
    format!(
        "From: Alice <{ACCOUNT}>\r\nTo: bob@example.net\r\nSubject: {subject}\r\nDate: Mon, 2 Mar 2026 09:00:00 +0900\r\nMessage-ID: <{subject}@client.example.jp>\r\n\r\n{body}"
    )
    .into_bytes()
}
