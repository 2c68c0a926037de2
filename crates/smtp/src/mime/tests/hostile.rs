//! Messages made to cost much: work grows with their length, and what is kept does not.

use crate::mime::{LimitExceeded, Report, Walker, WalkerLimits, steps};

const UNLIMITED: WalkerLimits = WalkerLimits {
    depth: 1_000,
    parts: usize::MAX,
    part_header: usize::MAX,
    inner_names: usize::MAX,
    name_octets: usize::MAX,
};

fn walk(limits: WalkerLimits, message: &[u8]) -> Report {
    let mut walker = Walker::new(limits).with_text(64 * 1024);
    message.chunks(4096).for_each(|chunk| walker.feed(chunk));
    walker.finish()
}

/// A beginning, and what is repeated after it.
fn hostile() -> Vec<(&'static str, String, &'static str)> {
    let multipart = |parameters: &str| format!("Content-Type: multipart/mixed{parameters}\r\n\r\n");
    let boundaries =
        |count: usize| -> String { (0..count).map(|n| format!("; boundary=x{n}")).collect() };
    let html = "Content-Type: text/html\r\n\r\n".to_owned();
    let encoded = |name: &str| format!("Content-Transfer-Encoding: {name}\r\n\r\n");
    let messages =
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
            .repeat(3);
    vec![
        ("parts", multipart("; boundary=b"), "--b\r\n\r\n"),
        ("parts that end", multipart("; boundary=b"), "--b--\r\n"),
        (
            "lines like delimiters",
            multipart(&boundaries(16)),
            "--y\r\n",
        ),
        ("hyphens", multipart("; boundary=b"), "-"),
        (
            "long lines like delimiters",
            multipart("; boundary=b"),
            "--------------------------------------------\r\n",
        ),
        ("fields", String::new(), "X: y\r\n"),
        ("types", String::new(), "Content-Type: a/b; c=d\r\n"),
        ("parameters", "Content-Type: a/b".to_owned(), "; c=d"),
        (
            "continuations",
            "Content-Type: a/b".to_owned(),
            "; name*7=d",
        ),
        ("a folded field", "Content-Type: a/b".to_owned(), "\r\n "),
        (
            "parts with names",
            multipart("; boundary=b"),
            "--b\r\nContent-Type: a/b; name=c\r\n\r\n",
        ),
        (
            "messages",
            String::new(),
            "Content-Type: message/rfc822\r\n\r\n",
        ),
        ("messages that are encoded", messages, "X: y\r\n\r\n=3D"),
        ("quoted-printable", encoded("quoted-printable"), "= \t"),
        ("base64", encoded("base64"), "A=!"),
        (
            "beginnings of uuencoded files",
            "\r\n".to_owned(),
            "\nbegin 644 x",
        ),
        (
            "beginnings of zip entries",
            "\r\n".to_owned(),
            "PK\x03\x04PK\x01\x02",
        ),
        ("comments", html.clone(), "<!--"),
        ("tags", html.clone(), "<a "),
        ("attributes", html.clone(), "<a href=\""),
        ("hidden elements", html.clone(), "<style></s"),
        ("declarations", html.clone(), "<!x"),
        ("end tags of nothing", html.clone(), "</ "),
        ("elements of text", html.clone(), "<title></t"),
        ("elements of text in turns", html.clone(), "<xmp><title>"),
        ("quotes", html.clone(), "<a b='<a b=\""),
        ("names of references", html.clone(), "&shyagraagraagra"),
        ("references", html, "&#x0"),
    ]
}

#[test]
fn work_grows_with_the_length_and_not_with_its_square() {
    for (what, start, repeated) in hostile() {
        let steps = |octets: usize| {
            let message = start.clone() + &repeated.repeat(octets / repeated.len());
            let steps = steps::count(|| drop(walk(UNLIMITED, message.as_bytes())));
            // Three messages that are encoded within one another, each read in two ways.
            assert!(
                steps <= 200 * octets as u64,
                "{what}: {steps} steps for {octets} octets"
            );
            steps
        };
        let (one, two) = (steps(100_000), steps(200_000));
        assert!(two <= 2 * one + 10_000, "{what}: {one} steps, then {two}");
    }
}

#[test]
fn what_is_kept_has_a_bound() {
    for (what, start, repeated) in hostile() {
        let message = start + &repeated.repeat(3_000_000 / repeated.len());
        let limits = WalkerLimits::default();
        let report = walk(limits, message.as_bytes());
        assert!(report.attachments.len() <= 2 * limits.parts, "{what}");
        assert!(report.parts <= limits.parts + 1, "{what}");
        let octets: usize = report.names().map(str::len).sum();
        assert!(octets <= limits.name_octets, "{what}");
        assert!(
            report.text.is_some_and(|text| text.body.len() <= 64 * 1024),
            "{what}"
        );
    }
}

#[test]
fn each_limit_ends_what_it_bounds() {
    let part = |header: &str| format!("--b\r\n{header}\r\n\r\n");
    let mixed = |parts: String| format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}");
    let limits = WalkerLimits::default();
    let tight = WalkerLimits {
        name_octets: 9,
        inner_names: 1,
        ..limits
    };
    let boundaries: String = (0..15).map(|n| format!("; boundary=x{n}")).collect();
    let nested: String = (0..5)
        .map(|level| {
            format!(
                "Content-Type: multipart/mixed{boundaries}; boundary=b{level}\r\n\r\n--b{level}\r\n"
            )
        })
        .collect();
    let million = mixed("--b\r\n\r\n".repeat(1_000_000));
    let header = "X: y\r\n".repeat(1_000_000);
    let names = mixed(part("Content-Type: a/b; name=12345").repeat(2));
    let uuencoded =
        mixed(part("X: y") + "begin 644 a\r\nbegin 644 b\r\n" + &part("Content-Type: a/b; name=z"));
    for (message, limits, exceeded, found) in [
        (nested, limits, LimitExceeded::Boundary, 0),
        (million, limits, LimitExceeded::Parts, 0),
        (header, limits, LimitExceeded::PartHeader, 0),
        (names, tight, LimitExceeded::Names, 1),
        // The parts after an archive that lists too much are still seen.
        (uuencoded, tight, LimitExceeded::InnerNames, 2),
    ] {
        let report = walk(limits, message.as_bytes());
        assert_eq!(report.exceeded, Some(exceeded));
        assert_eq!(report.attachments.len(), found, "{exceeded:?}");
    }
}
