//! The message that a case describes.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use sekisho_compile::files::{TestContent, numbered};

use crate::simulate::Message;

const BOUNDARY: &str = "=_sekisho";

/// Who writes, and to whom first. The other recipients are blind copies, unless the header says otherwise.
pub(super) struct Ends<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
}

/// The message of this repetition.
///
/// # Errors
/// A file that cannot be read; a header that cannot be written; a size that what is written exceeds.
pub(super) fn compose(content: &TestContent, ends: &Ends<'_>, repetition: u32) -> Result<Message> {
    let (header, body, attachments, size) = match content {
        TestContent::File(path) => return Message::read(path),
        TestContent::Written {
            header,
            body,
            attachments,
            size,
        } => (header, body, attachments, size),
    };
    let states = |name: &str| {
        header
            .keys()
            .any(|stated| stated.eq_ignore_ascii_case(name))
    };
    let mut text = String::new();
    for (name, value) in [("From", ends.from), ("To", ends.to), ("Subject", "Test")] {
        if !states(name) {
            field(&mut text, name, value);
        }
    }
    for (name, value) in header {
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        ensure!(is_name, "{name:?} is no name of a header field");
        field(&mut text, name, &numbered(value, repetition));
    }
    let body = numbered(body.as_deref().unwrap_or("Test"), repetition);
    if attachments.is_empty() {
        text.push_str("\r\n");
        lines(&mut text, &body);
        fill(&mut text, *size, 0)?;
    } else {
        ensure!(
            !states("Content-Type"),
            "a message with attachments has a Content-Type of its own"
        );
        enclose(&mut text, &body, attachments, *size)?;
    }
    Ok(Message::from_octets(text.as_bytes()))
}

fn field(text: &mut String, name: &str, value: &str) {
    // A value of several lines is folded; an empty line in it would end the header.
    let lines: Vec<&str> = value
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let _ = write!(text, "{name}: {}\r\n", lines.join("\r\n "));
}

fn lines(text: &mut String, body: &str) {
    for line in body.lines() {
        let _ = write!(text, "{line}\r\n");
    }
}

fn enclose(text: &mut String, body: &str, attachments: &[String], size: Option<u64>) -> Result<()> {
    let _ = write!(
        text,
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\r\n\r\n"
    );
    let _ = write!(
        text,
        "--{BOUNDARY}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    );
    lines(text, body);
    for name in attachments {
        let _ = write!(
            text,
            "--{BOUNDARY}\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; {}\r\n\r\n",
            parameter(name)
        );
        text.push_str("attached\r\n");
    }
    let end = format!("--{BOUNDARY}--\r\n");
    fill(text, size, end.len())?;
    text.push_str(&end);
    Ok(())
}

/// The parameter that names a file: quoted, or by RFC 2231 where it is not ASCII.
fn parameter(name: &str) -> String {
    if name.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
        return format!(
            "filename=\"{}\"",
            name.replace('\\', "\\\\").replace('"', "\\\"")
        );
    }
    let octets = name.bytes().map(|octet| {
        if octet.is_ascii_alphanumeric() || octet == b'.' {
            char::from(octet).to_string()
        } else {
            format!("%{octet:02X}")
        }
    });
    format!("filename*=utf-8''{}", octets.collect::<String>())
}

/// Lines of filling, until `size` octets are reached with `rest` more to come.
fn fill(text: &mut String, size: Option<u64>, rest: usize) -> Result<()> {
    const LINE: usize = 78;
    let Some(size) = size else { return Ok(()) };
    let written = (text.len() + rest) as u64;
    let lacking = usize::try_from(size.saturating_sub(written))?;
    ensure!(
        size >= written && lacking != 1,
        "{size} octets are too few: what is written has {written}"
    );
    let mut lacking = lacking;
    text.reserve(lacking);
    while lacking > 0 {
        let line = if lacking >= LINE + 2 { LINE } else { lacking };
        text.extend(std::iter::repeat_n('x', line - 2));
        text.push_str("\r\n");
        lacking -= line;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn written(header: &[(&str, &str)], attachments: &[&str], size: Option<u64>) -> TestContent {
        let header: BTreeMap<_, _> = header
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let attachments = attachments.iter().map(|&name| name.to_owned()).collect();
        TestContent::Written {
            header,
            body: None,
            attachments,
            size,
        }
    }

    const ENDS: Ends<'_> = Ends {
        from: "a@b.example",
        to: "c@d.example",
    };

    #[test]
    fn a_size_is_met_to_the_octet() {
        for attachments in [&[][..], &["a.txt"][..]] {
            for size in (400..600).chain([100_000]) {
                let message = compose(&written(&[], attachments, Some(size)), &ENDS, 1).unwrap();
                assert_eq!(message.octets(), size);
            }
            assert!(compose(&written(&[], attachments, Some(10)), &ENDS, 1).is_err());
        }
    }

    #[test]
    fn no_value_ends_the_header() {
        let content = written(
            &[("Subject", "one\n\ntwo\r\n"), ("to", "x{n}@y.example")],
            &[],
            None,
        );
        let message = compose(&content, &ENDS, 7).unwrap();
        let expected =
            "From: a@b.example\r\nSubject: one\r\n two\r\nto: x7@y.example\r\n\r\nTest\r\n";
        assert_eq!(message, Message::from_octets(expected.as_bytes()));
        assert!(compose(&written(&[("A b", "c")], &[], None), &ENDS, 1).is_err());
    }

    #[test]
    fn names_survive() {
        assert_eq!(parameter("a \"b\".exe"), "filename=\"a \\\"b\\\".exe\"");
        assert_eq!(
            parameter("請求書.exe"),
            "filename*=utf-8''%E8%AB%8B%E6%B1%82%E6%9B%B8.exe"
        );
    }
}
