//! What lies within the bodies of parts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{names, walk_with};
use crate::mime::{Holder, LimitExceeded, WalkerLimits};

const ENCODED: &str = "Content-Transfer-Encoding: base64";

#[test]
fn names_within_parts_are_told_from_those_of_parts() {
    // A zip with the local header of `a.exe`.
    const ZIP: &str = "UEsDBBQAAAAAAAAAAAAAAAAAAAAAAAAAAAAFAAAAYS5leGU=";
    let inside = |header: &str, body: &str| {
        let message = format!(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n{header}\n\n{body}\n--b--\n"
        );
        let report = walk_with(WalkerLimits::default(), message.as_bytes(), 1);
        assert_eq!(report.exceeded, None);
        let found = report.attachments.into_iter().map(|attachment| {
            let inside = attachment
                .inside
                .into_iter()
                .map(|inner| (inner.holder, inner.name));
            (attachment.names, inside.collect::<Vec<_>>())
        });
        found.collect::<Vec<_>>()
    };
    let exe = |holder| vec![(holder, "a.exe".to_owned())];
    let zip = exe(Holder::Zip);
    assert_eq!(
        inside(&format!("Content-Type: a/b; name=x.dat\n{ENCODED}"), ZIP),
        [(vec!["x.dat".to_owned()], zip.clone())]
    );
    assert_eq!(inside(ENCODED, ZIP), [(vec![], zip.clone())]);
    // By its name or type, whatever it begins with; by whichever encoding is stated.
    let prefixed = format!("AAAA{ZIP}");
    assert_eq!(
        inside(
            &format!("Content-Type: a/b; name=x.jar\n{ENCODED}"),
            &prefixed
        ),
        [(vec!["x.jar".to_owned()], zip.clone())]
    );
    assert_eq!(
        inside(
            &format!("Content-Type: application/x-zip-compressed\n{ENCODED}"),
            &prefixed
        ),
        [(vec![], zip.clone())]
    );
    assert_eq!(
        inside(&format!("Content-Type: a/b\n{ENCODED}"), &prefixed),
        []
    );
    assert_eq!(
        inside(&format!("Content-Transfer-Encoding: 7bit\n{ENCODED}"), ZIP),
        [(vec![], zip)]
    );
    assert_eq!(
        inside("X: y", "begin 644 a.exe\nM"),
        [(vec![], exe(Holder::Uuencode))]
    );
    assert_eq!(
        inside(
            "Content-Type: a/b\nContent-Transfer-Encoding: x-uuencode",
            "\nbegin 644 a.exe"
        ),
        [(vec![], exe(Holder::Uuencode))]
    );
    let gzip = "H4sICAAAAAAAA2EuZXhlAA==";
    assert_eq!(
        inside(&format!("Content-Type: a/b\n{ENCODED}"), gzip),
        [(vec![], exe(Holder::Gzip))]
    );
    // A title in TNEF, and TNEF that is none.
    let tnef = format!("Content-Type: application/ms-tnef\n{ENCODED}");
    assert_eq!(
        inside(&tnef, "eJ8+IgEAAhCAAQAFAAAAYS5leGU="),
        [(vec!["winmail.dat".to_owned()], exe(Holder::Tnef))]
    );
    assert_eq!(
        inside(&tnef, "AAAA"),
        [(vec!["winmail.dat".to_owned()], vec![])]
    );
    let report = walk_with(
        WalkerLimits::default(),
        format!("{ENCODED}\n\n{ZIP}").as_bytes(),
        9,
    );
    assert_eq!(report.names().collect::<Vec<_>>(), ["a.exe"]);
}

#[test]
fn messages_that_are_encoded_are_walked_both_ways() {
    let nested =
        format!("Content-Type: multipart/mixed; boundary=i\n\n--i\n{ATTACHMENT}\n\nx\n--i--\n");
    let base64 = STANDARD.encode(&nested);
    let quoted = nested.replace('=', "=3D");
    for (encoding, body) in [
        ("base64", &base64),
        ("base64", &nested),
        ("quoted-printable", &quoted),
    ] {
        let header = format!("Content-Type: message/rfc822\nContent-Transfer-Encoding: {encoding}");
        let message = format!(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n{header}\n\n{body}\n--b--\n"
        );
        let names = names(&message);
        assert!(
            names.contains(&vec!["a.exe".to_owned()]),
            "{encoding}: {names:?}"
        );
    }
    // A long one is no header section beyond its limit, and five within one another are too many.
    let long = format!(
        "Content-Type: message/rfc822\n{ENCODED}\n\n{}",
        "QUJD".repeat(100_000)
    );
    assert_eq!(
        walk_with(WalkerLimits::default(), long.as_bytes(), 4096).exceeded,
        None
    );
    let mut deep = nested;
    for _ in 0..5 {
        let body = STANDARD.encode(&deep);
        deep = format!("Content-Type: message/rfc822\n{ENCODED}\n\n{body}");
    }
    assert_eq!(
        walk_with(WalkerLimits::default(), deep.as_bytes(), 100).exceeded,
        Some(LimitExceeded::Depth)
    );
}

const ATTACHMENT: &str = "Content-Disposition: attachment; filename=a.exe";

#[test]
fn a_body_goes_on_past_a_line_that_ends_it_only_to_some_readers() {
    let header = format!("Content-Type: application/zip\n{ENCODED}");
    // The second header of the archive comes after a line that is a delimiter to some.
    let message = format!(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n{header}\n\nUEsDBBQAAAAA\n--b!\nAAAAAAAAAAAAAAAAAAAAAAAFAAAAYS5leGU=\n--b--\n"
    );
    let report = walk_with(WalkerLimits::default(), message.as_bytes(), 7);
    // The letter of the line is in the alphabet, so one reader sees it shifted; the archive after it does not suffer.
    let second = format!(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n{header}\n\nAAAA\n--b!AAA\nUEsDBBQAAAAAAAAAAAAAAAAAAAAAAAAAAAAFAAAAYS5leGU=\n--b--\n"
    );
    assert_eq!(report.exceeded, None);
    let report = walk_with(WalkerLimits::default(), second.as_bytes(), 7);
    assert_eq!(report.names().collect::<Vec<_>>(), ["a.exe"]);
    let many = format!(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n{}",
        "--b!\n\n".repeat(5)
    );
    assert_eq!(
        walk_with(WalkerLimits::default(), many.as_bytes(), 7).exceeded,
        Some(LimitExceeded::Boundary)
    );
}

#[test]
fn a_multipart_without_its_delimiter_is_looked_at_as_text() {
    const ZIP: &str = "PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0a.exe";
    const UUENCODED: &str = "begin 644 a.exe\n#86)C\n`\nend\n";
    let holds_exe = |message: &str| {
        let report = walk_with(WalkerLimits::default(), message.as_bytes(), 1);
        assert_eq!(report.exceeded, None);
        report.names().any(|name| name == "a.exe")
    };
    for body in [ZIP, UUENCODED] {
        let head = "Content-Type: multipart/mixed; boundary=b\n\n";
        for (tail, expected) in [
            ("", true),
            ("\n--b--\n", true),
            ("\n--b2\n\ntext\n", true),
            ("\n--b\n\ntext\n--b--\n", false),
        ] {
            let message = format!("{head}{body}{tail}");
            assert_eq!(holds_exe(&message), expected, "{message:?}");
            // Within another, whose delimiter is none of its own.
            let outer = format!(
                "Content-Type: multipart/mixed; boundary=o\n\n--o\n{message}\n--o\n\nend\n--o--\n"
            );
            assert_eq!(holds_exe(&outer), expected, "{outer:?}");
        }
    }
}
