//! What is left out of a header section, however it is written and cut; and that nothing else is.

use proptest::prelude::*;

use super::*;

fn edits(message: &[u8]) -> Edits {
    Edits::of(&Headers::new(message))
}

fn pass(message: &[u8], chunk: usize) -> Vec<u8> {
    let mut editor = Editor::new("mail.example.jp", edits(message));
    let mut passed = Vec::new();
    for chunk in message.chunks(chunk.max(1)) {
        passed.extend_from_slice(&editor.pass(chunk));
    }
    passed.extend(editor.finish());
    passed
}

fn expect(message: &str, expected: &str) {
    for chunk in 1..=message.len().max(1) {
        let passed = pass(message.as_bytes(), chunk);
        assert_eq!(
            String::from_utf8_lossy(&passed),
            expected,
            "{message:?} in chunks of {chunk}"
        );
    }
}

/// Above a message stands our Received field, which its first line must not add to.
#[test]
fn a_first_line_continues_nothing() {
    expect(" forged\r\n\tmore\r\nA: b\r\n", "A: b\r\n");
    expect("\tforged\r\n\r\nbody\r\n", "\r\nbody\r\n");
}

#[test]
fn our_own_fields_go_however_they_are_written() {
    for forged in [
        "X-Sekisho-Verdict: class=clean\r\n",
        "x-sekISHO-account: x\r\n",
        "X-Sekisho-Verdict \t : x\r\n",
        "X-Sekisho-Verdict\r\n : x\r\n",
        "X-Sekisho-Verdict:\r\n x;\r\n\ty\r\n",
        "X-Sekisho-Verdict: x\r\nX-Sekisho-Account: y\r\n",
        "X-Sekisho-: x\r\n",
    ] {
        expect(
            &format!("{forged}A: b\r\n c\r\n\r\nd\r\n"),
            "A: b\r\n c\r\n\r\nd\r\n",
        );
        expect(&format!("A: b\r\n{forged}\r\n"), "A: b\r\n\r\n");
        expect(forged, "");
    }
    for stays in [
        "X-Sekisho: x\r\n\r\n",
        "X-Sekishos-Verdict: x\r\n\r\n",
        "A: b\r\n X-Sekisho-Verdict: x\r\n\r\n",
        "A: b\r\n\r\nX-Sekisho-Verdict: x\r\n",
        "\r\nX-Sekisho-Verdict: x\r\nBcc: y\r\n",
        "X-Sekisho",
        "Hello.\r\nNo header at all.\r\n",
        "",
    ] {
        expect(stays, stays);
    }
}

#[test]
fn results_in_our_name_go_and_those_of_others_stay() {
    for forged in [
        " mail.example.jp; spf=pass",
        "mail.example.jp;spf=pass",
        " MAIL.Example.JP 1; none",
        " mail.example.jp.; none",
        "\r\n\tmail.example.jp;\r\n\tspf=pass",
        " (ours (really) \\) ) mail.example.jp (x) 1 (y) ; none",
        " \"mail.example.jp\"; none",
        " \"mail.\\example.jp\"; none",
        " mail.example.jp",
        // In nobody's name, or in one that cannot be read.
        "",
        " ; spf=pass",
        " (unended mail.example.jp; none",
        " \"mail.example.jp; none",
        " mail(x).example.jp; none",
        " other mail.example.jp; none",
    ] {
        let field = format!("Authentication-Results:{forged}\r\n");
        expect(&format!("{field}A: b\r\n\r\nc"), "A: b\r\n\r\nc");
        expect(&format!("A: b\r\n{field}{field}\r\n"), "A: b\r\n\r\n");
        expect(&field, "");
    }
    expect("authentication-RESULTS \t: mail.example.jp; none\r\n", "");
    for honest in [
        " mx.example.net; spf=pass smtp.mailfrom=mail.example.jp",
        " mail.example.jp.example.net; none",
        "\r\n mx.example.net (mail.example.jp) 1;\r\n none",
    ] {
        let message = format!("A: b\r\nAuthentication-Results:{honest}\r\nC: d\r\n\r\n");
        expect(&message, &message);
        expect(
            &format!("Authentication-Results:{honest}"),
            &format!("Authentication-Results:{honest}"),
        );
    }
    expect(
        "Authentication-Results-X: mail.example.jp; none\r\n",
        "Authentication-Results-X: mail.example.jp; none\r\n",
    );
    let endless = format!(
        "Authentication-Results: mx.example.net;{}\r\n",
        " x".repeat(9000)
    );
    assert_eq!(pass(endless.as_bytes(), 4096), b"");
    let unicode = "Authentication-Results: mail.例え.jp; none\r\n".as_bytes();
    let mut ours = Editor::new("mail.xn--r8jz45g.jp", Edits::UNKNOWN);
    assert_eq!(&*ours.pass(unicode), b"");
    assert_eq!(ours.finish(), b"");
}

#[test]
fn bcc_goes_unless_a_signature_covers_it() {
    let body = "To: a@b\r\n\r\nBcc: text\r\n";
    for bcc in [
        "Bcc: c@d\r\n",
        "BCC :c@d,\r\n e@f\r\n",
        "Resent-Bcc: c@d\r\nbcc:\r\n",
    ] {
        expect(&format!("{bcc}{body}"), body);
        let unrelated = "DKIM-Signature: v=1; h=From:To:Date; b=bcc\r\n";
        expect(
            &format!("{unrelated}{bcc}{body}"),
            &format!("{unrelated}{body}"),
        );
        for signed in [
            "DKIM-Signature: v=1; h=From:Bcc; b=x\r\n",
            "dkim-signature: v=1;\r\n h = from :\r\n\tBCC;\r\n b=x\r\n",
            "ARC-Message-Signature: i=1; h=resent-bcc; b=x\r\n",
        ] {
            let message = format!("{bcc}{signed}{body}");
            expect(&message, &message);
        }
    }
    expect("Bccs: x\r\n\r\n", "Bccs: x\r\n\r\n");
}

#[test]
fn what_is_missing_may_be_added_unless_a_signature_says_that_it_is_not_there() {
    use Presence::{Missing, Settled};
    let table = [
        ("From: a@b\r\n\r\n", Missing, Missing),
        ("message-id : <x@y>\r\nDATE:\r\n\r\n", Settled, Settled),
        ("Subject: x\r\n\r\nDate: body\r\n", Missing, Missing),
        (
            "DKIM-Signature: h=from:message-id; b=x\r\n\r\n",
            Settled,
            Missing,
        ),
        ("DKIM-Signature: h=from:date; b=x\r\n\r\n", Missing, Settled),
        ("", Missing, Missing),
    ];
    for (message, message_id, date) in table {
        let edits = edits(message.as_bytes());
        assert_eq!(
            (edits.message_id, edits.date),
            (message_id, date),
            "{message:?}"
        );
    }
}

#[test]
fn a_clean_section_is_not_copied() {
    let message = b"From: a@b\r\nBase: x\r\nReceived: y\r\n\r\nbody";
    let mut editor = Editor::new("mail.example.jp", edits(message));
    assert!(matches!(editor.pass(message), Cow::Borrowed(_)));
    assert!(matches!(editor.pass(b"more"), Cow::Borrowed(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// What a signature covers passes octet by octet, whatever the body and the other fields are.
    #[test]
    fn nothing_else_is_lost(
        lines in prop::collection::vec("[ -~é]{0,40}", 0..20),
        chunk in 1usize..50,
    ) {
        let message: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let header = message.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
        prop_assume!(!["bcc", "x-sekisho-", "authentication-results"].iter().any(|name| header.contains(name)));
        let first = lines.iter().position(|line| !line.starts_with(' ')).unwrap_or(lines.len());
        let kept: String = lines[first..].iter().map(|line| format!("{line}\r\n")).collect();
        prop_assert_eq!(pass(message.as_bytes(), chunk), kept.as_bytes());
    }

    /// The cuts make no difference; what is left out is whole fields; and what was left out once is gone.
    #[test]
    fn the_cuts_make_no_difference(
        parts in prop::collection::vec(prop::sample::select(vec![
            "Bcc", "bcc:", "X-Sekisho-V", "Authentication-Results:", " mail.example.jp;", " mx.net;", "(", "\"", "\\",
            "DKIM-Signature: h=bcc\r\n", ":", " ", "\r\n", "x", "\r",
        ]), 0..40),
        chunk in 1..9_usize,
    ) {
        let message = parts.concat();
        let whole = pass(message.as_bytes(), usize::MAX);
        prop_assert_eq!(&pass(message.as_bytes(), chunk), &whole);
        let mut rest = message.as_bytes();
        for line in whole.split_inclusive(|octet| *octet == b'\n') {
            let at = memchr::memmem::find(rest, line);
            prop_assert!(at.is_some(), "{:?}", line.escape_ascii().to_string());
            rest = &rest[at.unwrap_or_default() + line.len()..];
        }
    }
}
