//! Header sections, encoded words and address lists: examples of RFC 2047, RFC 5322 and of Japanese mail; disguises.

use proptest::prelude::*;

use super::*;

fn collect(message: &[u8], size: usize) -> (HeaderReader, HeaderProgress, usize) {
    let (mut reader, mut taken) = (HeaderReader::default(), 0);
    for chunk in message.chunks(size) {
        match reader.feed(chunk) {
            HeaderProgress::More => taken += chunk.len(),
            HeaderProgress::Complete { consumed } => {
                return (
                    reader,
                    HeaderProgress::Complete { consumed },
                    taken + consumed,
                );
            }
            HeaderProgress::TooLong => return (reader, HeaderProgress::TooLong, taken),
        }
    }
    (reader, HeaderProgress::More, taken)
}

#[test]
fn finds_the_body_however_the_message_is_cut() {
    let cases: [(&[u8], Option<usize>); 6] = [
        (b"A: b\r\nC: d\r\n\r\nbody\r\n\r\n", Some(14)),
        (b"\r\nbody", Some(2)),
        (b"A: b\r\n\r\n", Some(8)),
        (b"A: b\r\n", None),
        (b"A: b\r\n\r", None),
        (b"A: b\n\nC: d\r\n", None),
    ];
    for (message, body) in cases {
        for size in [1, 2, 3, 4, 5, 64] {
            let (reader, progress, taken) = collect(message, size);
            assert_eq!(
                matches!(progress, HeaderProgress::Complete { .. }),
                body.is_some(),
                "{}",
                message.escape_ascii()
            );
            assert_eq!(taken, body.unwrap_or(message.len()));
            assert_eq!(reader.section(), &message[..taken]);
        }
    }
}

#[test]
fn gives_up_on_a_section_without_end() {
    let mut reader = HeaderReader::new(100);
    assert_eq!(reader.feed(&[b'x'; 60]), HeaderProgress::More);
    assert_eq!(reader.feed(&[b'x'; 60]), HeaderProgress::TooLong);
    assert_eq!(
        HeaderReader::new(7).feed(b"A: b\r\n\r\n"),
        HeaderProgress::TooLong
    );
    assert_eq!(
        HeaderReader::new(8).feed(b"A: b\r\n\r\nbody"),
        HeaderProgress::Complete { consumed: 8 }
    );
}

#[test]
fn iterates_fields() {
    let section = b"Received: from a\r\n\tby b; c\r\nSubject : folded\r\n  value \r\nX-Empty:\r\nbroken line\r\n\r\nFrom: body\r\n";
    let headers = Headers::new(section);
    let fields: Vec<(&str, String)> = headers.iter().map(|f| (f.name, f.decoded())).collect();
    assert_eq!(
        fields,
        [
            ("Received", "from a\tby b; c".to_owned()),
            ("Subject", "folded  value".to_owned()),
            ("X-Empty", String::new())
        ]
    );
    assert!(!headers.is_well_formed());
    assert!(Headers::new(b"A: b\r\n c\r\n").is_well_formed());
    for section in [
        &b" continued\r\nA: b\r\n"[..],
        b": b\r\n",
        b"A b: c\r\n",
        b"From x@y Sat Nov 21\r\nA: b\r\n",
        b"\xE9: b\r\n",
    ] {
        assert!(
            !Headers::new(section).is_well_formed(),
            "{}",
            section.escape_ascii()
        );
    }
}

#[test]
fn decodes_words() {
    let cases: [(&[u8], &str); 22] = [
        (b"plain", "plain"),
        (b"=?ISO-8859-1?Q?a?=", "a"),
        (b"=?ISO-8859-1?Q?a?= b", "a b"),
        (b"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a?=  =?UTF-8?Q?b?=", "ab"),
        (b"=?ISO-8859-1?Q?a_b?=", "a b"),
        (b"=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"),
        (b"=?iso-8859-1?q?J=F8rgen?= x", "Jørgen x"),
        (b"=?ISO-2022-JP?B?GyRCRnxLXDhsGyhC?=", "日本語"),
        (b"=?Shift_JIS?B?k/qWe4zq?=", "日本語"),
        (b"=?cp932?B?k/qWe4zq?=", "日本語"),
        (b"=?EUC-JP?B?xvzL3Ljs?=", "日本語"),
        (b"=?utf-8?B?5pel5pys6Kqe?=", "日本語"),
        // A character split between words, which mail programs do and the RFC forbids.
        (b"=?utf-8?B?5pel5pw=?= =?UTF-8?B?rOiqng==?=", "日本語"),
        (b"=?utf-8?B?5pel5pys6Kqe?=casino", "日本語casino"),
        (b"=?x-unknown?Q?a=C3=A9?=", "aé"),
        (b"\x1b$BF|K\\8l\x1b(B", "日本語"),
        (b"caf\xE9", "café"),
        (b"caf\xC3\xA9", "café"),
        (b"=?utf-8?Q?a", "=?utf-8?Q?a"),
        (b"=?utf-8?X?a?=", "=?utf-8?X?a?="),
        (b"=?utf-8?Q?=G1=4?=", "=G1=4"),
    ];
    for (value, text) in cases {
        assert_eq!(decode_words(value), text, "{}", value.escape_ascii());
    }
}

fn list(value: &str) -> Result<Vec<String>, ListFault> {
    let show = |l: Listed| {
        if l.display.is_empty() {
            l.mailbox.to_string()
        } else {
            format!("{}|{}", l.display, l.mailbox)
        }
    };
    parse_address_list(value.as_bytes()).map(|items| items.into_iter().map(show).collect())
}

#[test]
fn reads_address_lists() {
    let cases: [(&str, &[&str]); 20] = [
        ("a@x.jp <a@x.jp>", &["a@x.jp|a@x.jp"]),
        ("", &[]),
        ("a@x.jp", &["a@x.jp"]),
        (
            "John Doe <jdoe@machine.example>",
            &["John Doe|jdoe@machine.example"],
        ),
        (
            "\"Joe Q. Public\" <john.q.public@example.com>",
            &["Joe Q. Public|john.q.public@example.com"],
        ),
        (
            "Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
            &[
                "Mary Smith|mary@x.test",
                "jdoe@example.org",
                "Who?|one@y.test",
            ],
        ),
        (
            "<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
            &[
                "boss@nil.test",
                "Giant; \"Big\" Box|sysservices@example.net",
            ],
        ),
        (
            "A Group:Ed Jones <joe@where.test>,b@x.jp;",
            &["Ed Jones|joe@where.test", "b@x.jp"],
        ),
        ("Undisclosed recipients:;", &[]),
        (
            "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
            &["Pete|pete@silly.test"],
        ),
        (
            "Mary Smith <@node.test:mary@example.net>, , jdoe@test . example",
            &["Mary Smith|mary@example.net", "jdoe@test.example"],
        ),
        (
            "\"Joe Q. Public\" <john . q . public@example.com>",
            &["Joe Q. Public|john.q.public@example.com"],
        ),
        ("John Q. Public <a@x.jp>", &["John Q. Public|a@x.jp"]),
        ("a@x.jp (Taro (the first))", &["a@x.jp"]),
        ("=?utf-8?B?5pel5pys6Kqe?= <a@x.jp>", &["日本語|a@x.jp"]),
        ("\"=?utf-8?B?5pel5pys6Kqe?=\" <a@x.jp>", &["日本語|a@x.jp"]),
        ("日本 <a@x.jp>", &["日本|a@x.jp"]),
        ("taro..x.@docomo.ne.jp", &["taro..x.@docomo.ne.jp"]),
        ("\"a b\"@[192.0.2.1]", &["\"a b\"@[192.0.2.1]"]),
        ("a@x.jp,\r\n b@x.jp", &["a@x.jp", "b@x.jp"]),
    ];
    for (value, expected) in cases {
        let expected: Vec<String> = expected.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(list(value), Ok(expected), "{value}");
    }
    // A name in raw Shift_JIS, as old mail programs put it.
    assert_eq!(
        parse_address_list(b"\x93\xFA\x96{ <a@x.jp>").map(|l| l.len()),
        Ok(1)
    );
}

#[test]
fn refuses_address_lists_that_readers_read_differently() {
    for (value, fault) in [
        ("a@x.jp\0", ListFault::Nul),
        ("=?utf-8?Q?a=40x.jp?=", ListFault::EncodedAddress),
        ("=?utf-8?Q?a@b?= <a@x.jp>", ListFault::Syntax),
        ("<=?utf-8?Q?a?=@x.jp>", ListFault::EncodedAddress),
        ("=?utf-8?Q?a?=@x.jp", ListFault::EncodedAddress),
        ("a@x.jp <b@y.jp>", ListFault::Syntax),
        ("<a@x.jp> <b@y.jp>", ListFault::Syntax),
        ("<a@x.jp> b@y.jp", ListFault::Syntax),
        ("<a@x.jp", ListFault::Syntax),
        ("a@x.jp>", ListFault::Syntax),
        ("<<a@x.jp>>", ListFault::Syntax),
        ("a b@x.jp", ListFault::Syntax),
        ("\"Taro <a@x.jp>", ListFault::Syntax),
        ("(Taro a@x.jp", ListFault::Syntax),
        ("Taro) a@x.jp", ListFault::Syntax),
        ("Taro", ListFault::Syntax),
        ("<>", ListFault::Syntax),
        ("g:a@x.jp", ListFault::Syntax),
        ("g:h:a@x.jp;;", ListFault::Syntax),
        ("g:a@x.jp; b@x.jp", ListFault::Syntax),
        ("a@x.jp;b@x.jp", ListFault::Syntax),
        ("a@b@c", ListFault::Syntax),
    ] {
        assert_eq!(list(value), Err(fault), "{value}");
    }
    assert_eq!(parse_address_list(b"<a\xFF@x.jp>"), Err(ListFault::Syntax));
}

#[test]
fn judges_the_from() {
    let one = |text: &str| FromHeader::One(text.parse().unwrap());
    let malformed = |fault| FromHeader::Malformed(FromFault::List(fault));
    for (section, verdict) in [
        ("From: Taro <taro@x.jp>\r\nTo: a@b\r\n", one("taro@x.jp")),
        ("from : taro@x.jp\r\n", one("taro@x.jp")),
        ("From: \"boss@x.jp\" <thief@y.jp>\r\n", one("thief@y.jp")),
        ("From:\r\n taro@x.jp\r\n", one("taro@x.jp")),
        ("To: a@b\r\n", FromHeader::Missing),
        (
            "From: taro@x.jp\r\nFROM: other@y.jp\r\n",
            FromHeader::Several,
        ),
        (
            "From: taro@x.jp\r\nFrom : other@y.jp\r\n",
            FromHeader::Several,
        ),
        ("From: taro@x.jp, other@y.jp\r\n", FromHeader::Several),
        ("From:\r\n", FromHeader::Malformed(FromFault::Empty)),
        (
            "From: taro@x.jp\r\nno field\r\nTo: a@b\r\n",
            FromHeader::Malformed(FromFault::Section),
        ),
        (
            "From: g: taro@x.jp;\r\n",
            FromHeader::Malformed(FromFault::Group),
        ),
        ("From: taro@x.jp\0\r\n", malformed(ListFault::Nul)),
        (
            "From: =?utf-8?Q?taro?=@x.jp\r\n",
            malformed(ListFault::EncodedAddress),
        ),
        (
            "From: =?utf-8?Q?taro=40x.jp?=\r\n",
            malformed(ListFault::EncodedAddress),
        ),
        (
            "From: taro@x.jp <other@y.jp>\r\n",
            malformed(ListFault::Syntax),
        ),
    ] {
        assert_eq!(
            FromHeader::of(&Headers::new(section.as_bytes())),
            verdict,
            "{section}"
        );
    }
    assert_eq!(
        one("a@b").mailbox().map(ToString::to_string).as_deref(),
        Some("a@b")
    );
}

#[test]
fn counts_who_is_shown() {
    for (section, count) in [
        ("To: a@x.jp, b@x.jp\r\nCc: c@x.jp\r\nBcc: d@x.jp\r\n", 3),
        ("To: g: a@x.jp, b@x.jp;, c@x.jp\r\nto: d@x.jp\r\n", 4),
        ("To: undisclosed-recipients:;\r\n", 0),
        ("Subject: x\r\n", 0),
        ("To: a@x.jp b@x.jp c@x.jp\r\n", 3),
        ("To: \"unclosed, a, b, c\r\n", 4),
    ] {
        assert_eq!(
            Headers::new(section.as_bytes()).visible_recipients(),
            count,
            "{section}"
        );
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_or_invented(
        fields in prop::collection::vec(("[!-9;-~]{1,12}", "[ -~é]{0,30}(\r\n [a-z]{1,9}){0,2}"), 0..8),
        body in "[ -~\r\n]{0,40}",
        size in 1..50_usize,
    ) {
        let section: String = fields.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
        let message = format!("{section}\r\n{body}");
        let (reader, _, taken) = collect(message.as_bytes(), size);
        prop_assert_eq!(&message[taken..], body);
        prop_assert!(reader.headers().is_well_formed());
        let read: Vec<(String, &[u8])> = reader.headers().iter().map(|f| (f.name.to_owned(), f.raw)).collect();
        let given: Vec<(String, &[u8])> = fields.iter().map(|(n, v)| (n.clone(), v.as_bytes())).collect();
        prop_assert_eq!(read, given);
    }

    /// What is listed can be written and read again, and never holds what could be read as two.
    #[test]
    fn addresses_are_strict(value in "[a-c@.<>,:;\"() \\\\=?é]{0,30}") {
        if let Ok(items) = parse_address_list(value.as_bytes()) {
            for item in items {
                let alone = parse_address_list(format!("<{}>", item.mailbox).as_bytes());
                prop_assert_eq!(alone.map(|l| l[0].mailbox.clone()), Ok(item.mailbox));
            }
        }
    }
}
