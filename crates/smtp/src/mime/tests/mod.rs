//! Messages with attachments, plain and in disguise; limits.

mod bodies;
mod evasion;
mod hostile;

use super::*;

fn walk_with(limits: WalkerLimits, message: &[u8], size: usize) -> Report {
    let mut walker = Walker::new(limits);
    message.chunks(size).for_each(|chunk| walker.feed(chunk));
    walker.finish()
}

/// The names found, the same however the message is cut.
fn names(message: &str) -> Vec<Vec<String>> {
    let message = message.replace('\n', "\r\n");
    let reports: Vec<Report> = [1, 7, 64, usize::MAX]
        .map(|size| walk_with(WalkerLimits::default(), message.as_bytes(), size))
        .to_vec();
    assert!(reports.iter().all(|report| *report == reports[0]));
    assert_eq!(reports[0].exceeded, None);
    reports[0]
        .attachments
        .iter()
        .map(|attachment| attachment.names.clone())
        .collect()
}

fn part(header: &str) -> String {
    format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n{header}\n\nbody\n--b--\n")
}

#[test]
fn finds_names_in_nested_parts() {
    let message = "Subject: x
MIME-Version: 1.0
Content-Type: multipart/mixed;
 boundary=\"outer b\"

preamble
--outer b
Content-Type: multipart/alternative; boundary=outer

--outer
Content-Type: text/plain; name=one.txt

--outer b2
filename=no.exe
--outer--
epilogue
--outer b
Content-Type: message/rfc822

Subject: forwarded
Content-Type: multipart/mixed; boundary=inner

--inner
Content-Disposition: attachment; filename=two.exe

MZ
--outer b
Content-Type: application/octet-stream
Content-Disposition: attachment; filename=\"three.zip\"

PK
--outer b--
--inner
Content-Disposition: attachment; filename=not-a-part.exe

";
    assert_eq!(
        names(message),
        [vec!["one.txt"], vec!["two.exe"], vec!["three.zip"]]
    );
}

#[test]
fn finds_names_in_each_spelling() {
    let cases: [(&str, &[&str]); 24] = [
        // Found by fuzzing: what other parsers take for names.
        (
            "\tContent-Disposition: attachment; filename=a.exe",
            &["a.exe"],
        ),
        (
            "Content-Disposition: attachment; filename*=''a.e; filename*1=xe",
            &["a.e", "a.exe"],
        ),
        (
            "Content-Disposition: attachment; \"x; filename=a.exe",
            &["a.exe"],
        ),
        (
            "Content-Type: a/b; name=\"=?utf-8?Q?a?b=2Eexe?=\"",
            &["a?b.exe"],
        ),
        (
            "Content-Type: a/b; name=\"=? x-unknown?Q?a=2Eexe?=\"",
            &["a.exe"],
        ),
        (
            "Content-Disposition: attachment; filename=a.exe",
            &["a.exe"],
        ),
        (
            "content-disposition: ATTACHMENT;\n FileName = \"a b.exe\" ; size=1",
            &["a b.exe"],
        ),
        (
            "Content-Disposition: attachment; filename=\"a;b\\\".exe\"",
            &["a;b\".exe"],
        ),
        (
            "Content-Disposition: attachment; filename=\"a.exe",
            &["a.exe"],
        ),
        (
            "Content-Disposition: attachment; filename=a b.exe",
            &["a", "a b.exe"],
        ),
        (
            "Content-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment; filename=a.exe",
            &["a.pdf", "a.exe"],
        ),
        (
            "Content-Type: a/b; name=a.pdf; name=a.exe",
            &["a.pdf", "a.exe"],
        ),
        (
            "Content-Type: a/b; name=a.pdf\nContent-Type: a/b; name=a.exe",
            &["a.pdf", "a.exe"],
        ),
        (
            "Content-Disposition: attachment; filename*=UTF-8''%E6%97%A5%E6%9C%AC.exe",
            &["日本.exe"],
        ),
        (
            "Content-Disposition: attachment; filename*=iso-2022-jp'ja'%1B$BF|K%5C%1B(B.exe",
            // Where a comment begins, to those who know them.
            &["日本.exe", "日本\u{FFFD}"],
        ),
        (
            "Content-Disposition: attachment; filename*0=\"a.e\"; filename*1=xe",
            &["a.exe"],
        ),
        (
            "Content-Disposition: attachment; filename*1*=%78e; filename*0*=utf-8'en'a.e",
            &["a.exe"],
        ),
        (
            "Content-Disposition: attachment; filename*0=a.e; filename*1=x; filename*1=e",
            &["a.ex", "a.exe"],
        ),
        (
            "Content-Disposition: attachment; filename=a.txt; filename*=''a.exe",
            &["a.txt", "a.exe"],
        ),
        (
            "Content-Type: a/b; name=\"=?utf-8?B?5pel5pysLmV4ZQ==?=\"",
            &["日本.exe"],
        ),
        ("Content-Type: a/b; name==?utf-8?Q?a=2Eexe?=", &["a.exe"]),
        (
            "Content-Disposition: attachment; filename==?utf-8?Q?a?= =?utf-8?Q?=2Eexe?=",
            &["a", "a.exe"],
        ),
        (
            "Content-Disposition: attachment; filename=100%.exe",
            &["100%.exe"],
        ),
        (
            "Content-Disposition: attachment; filename*=utf-8''100%.exe%4",
            &["100%.exe%4"],
        ),
    ];
    for (header, expected) in cases {
        assert_eq!(names(&part(header)), [expected], "{header}");
    }
}

#[test]
fn follows_boundaries_that_readers_might_follow() {
    let attachment = "Content-Disposition: attachment; filename=a.exe";
    for (top, line) in [
        ("boundary=one; boundary=two", "--one"),
        ("boundary=one; boundary=two", "--two"),
        ("boundary*0=o; boundary*1=ne", "--one"),
        ("boundary=\"one\"", "--one \t"),
        ("boundary=\"one \"", "--one"),
        ("boundary=one--", "--one--"),
        ("boundary=one", "--one or more"),
        ("\"x; boundary=one", "--one"),
    ] {
        let message =
            format!("Content-Type: multipart/mixed; {top}\n\n{line}\n{attachment}\n\nbody\n");
        assert_eq!(names(&message), [["a.exe"]], "{top}");
    }
    let message = format!(
        "Content-Type: multipart/digest; boundary=b\n\n--b\n\nContent-Type: a/b; name=x.scr\n\n--b\n\n{attachment}\n\n"
    );
    assert_eq!(names(&message), [["x.scr"], ["a.exe"]]);
}

#[test]
fn a_message_that_is_itself_a_file_or_ends_early_is_seen() {
    assert_eq!(
        names("Content-Type: a/b; name=top.exe\n\nMZ"),
        [["top.exe"]]
    );
    assert_eq!(names("Content-Type: a/b; name=top.exe"), [["top.exe"]]);
    assert_eq!(
        names("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: a/b; name=x.exe"),
        [["x.exe"]]
    );
    assert_eq!(
        names(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: a/b; name=x.exe\n--b--"
        ),
        [["x.exe"]]
    );
    assert_eq!(
        names("Content-Type: multipart/mixed\n\n--\nContent-Type: a/b; name=x.exe\n\n"),
        Vec::<Vec<String>>::new()
    );
}

#[test]
fn says_which_limit_was_exceeded() {
    let limits = WalkerLimits {
        depth: 3,
        parts: 4,
        part_header: 200,
        ..WalkerLimits::default()
    };
    let mut nested = String::new();
    for level in 0..4 {
        nested.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n"
        ));
    }
    let many = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}",
        "--b\r\n\r\n".repeat(4)
    );
    let long_header = format!("X: y\r\n{}\r\n\r\n", "X: yyyyyyy\r\n".repeat(20));
    let long_line = format!("X: {}\r\n\r\n", "y".repeat(300));
    let boundary = format!(
        "Content-Type: multipart/mixed; boundary={}\r\n\r\n",
        "b".repeat(257)
    );
    let boundaries: String = (0..20).map(|n| format!("; boundary={n}")).collect();
    let boundaries = format!("Content-Type: multipart/mixed{boundaries}\r\n\r\n");
    let names: String = (0..20).map(|n| format!("; name={n}")).collect();
    let names = format!("Content-Type: a/b{names}\r\n\r\n");
    let roomy = WalkerLimits {
        part_header: 1000,
        ..limits
    };
    for (message, limits, exceeded) in [
        (nested, limits, LimitExceeded::Depth),
        (many, limits, LimitExceeded::Parts),
        (long_header, limits, LimitExceeded::PartHeader),
        (long_line, limits, LimitExceeded::PartHeader),
        (boundary, roomy, LimitExceeded::Boundary),
        (boundaries, roomy, LimitExceeded::Boundary),
        (names, roomy, LimitExceeded::Names),
    ] {
        for size in [1, 50, usize::MAX] {
            assert_eq!(
                walk_with(limits, message.as_bytes(), size).exceeded,
                Some(exceeded),
                "{message}"
            );
        }
    }
}

#[test]
fn states_the_type() {
    let message = b"Content-Type: Application/PDF (a comment); name=a\r\n\r\n";
    assert_eq!(
        walk_with(WalkerLimits::default(), message, 9).attachments[0].content_type,
        "application/pdf"
    );
    let message = b"Content-Disposition: attachment; filename=a\r\n\r\n";
    assert_eq!(
        walk_with(WalkerLimits::default(), message, 9).attachments[0].content_type,
        "text/plain"
    );
}
