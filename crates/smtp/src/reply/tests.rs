//! Writing and reading replies: examples of RFC 5321 and RFC 2034, faults, round trips.

use proptest::prelude::*;

use super::*;
use crate::Error;

fn parse(bytes: &[u8]) -> Result<Reply, Error> {
    match ReplyParser::default().feed(bytes)? {
        ReplyProgress::Done { consumed, reply } => {
            assert_eq!(consumed, bytes.len());
            Ok(reply)
        }
        ReplyProgress::NeedMore => panic!("incomplete: {}", bytes.escape_ascii()),
    }
}

#[test]
fn writes_the_enhanced_code_on_each_line() {
    let lines = vec!["Mailbox".into(), "does not exist".into()];
    let reply = Reply::multiline(550, Some(EnhancedCode::new(5, 1, 1)), lines);
    assert_eq!(
        reply.to_bytes(),
        b"550-5.1.1 Mailbox\r\n550 5.1.1 does not exist\r\n"
    );
    assert_eq!(Reply::plain(354, "Go on").to_bytes(), b"354 Go on\r\n");
    assert_eq!(Reply::plain(250, "").to_bytes(), b"250 \r\n");
}

#[test]
fn tags_the_last_line() {
    let reply = Reply::new(550, (5, 7, 1), "No").tagged("7Q2M-X4K9-0B3T");
    assert_eq!(reply.to_bytes(), b"550 5.7.1 No [7Q2M-X4K9-0B3T]\r\n");
    assert_eq!(Reply::plain(550, "").tagged(1).to_bytes(), b"550 [1]\r\n");
}

#[test]
fn text_cannot_break_out() {
    let reply = Reply::new(550, (5, 1, 1), "a\r\n250 OK\0\u{7f}é");
    assert_eq!(reply.to_bytes(), b"550 5.1.1 a??250 OK???\r\n");
    assert_eq!(Reply::plain(999, "x").code(), 451);
    assert_eq!(Reply::plain(199, "x").code(), 451);
}

#[test]
fn wraps_long_text_and_never_a_challenge() {
    let text = "word ".repeat(300);
    let bytes = Reply::new(451, (4, 3, 0), text.clone()).to_bytes();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= MAX_LINE));
    assert!(lines[0].starts_with(b"451-4.3.0 word"));
    assert!(lines[lines.len() - 1].starts_with(b"451 4.3.0 "));
    let unbroken = Reply::plain(250, "x".repeat(1000)).to_bytes();
    assert!(
        unbroken
            .split_inclusive(|b| *b == b'\n')
            .all(|line| line.len() <= MAX_LINE)
    );
    assert_eq!(
        Reply::plain(334, "x".repeat(12_000)).to_bytes().len(),
        12_006
    );
}

#[test]
fn reads_replies_of_servers() {
    let reply = parse(b"250-First line\r\n250-Second line\r\n250-234 Text beginning with numbers\r\n250 The last line\r\n");
    let reply = reply.unwrap();
    assert_eq!(
        reply.lines(),
        [
            "First line",
            "Second line",
            "234 Text beginning with numbers",
            "The last line"
        ]
    );
    assert_eq!((reply.code(), reply.enhanced()), (250, None));
    let reply = parse(b"550-5.7.1 Refused\r\n550 5.7.1 See http://example.jp/\r\n").unwrap();
    assert_eq!(reply.enhanced(), Some(EnhancedCode::new(5, 7, 1)));
    assert_eq!(reply.text(), "Refused See http://example.jp/");
    assert_eq!(parse(b"250\r\n").unwrap().lines(), [""]);
    assert!(parse(b"421 4.3.0 closing\r\n").unwrap().is_closing());
    // The class of an enhanced code must agree with the reply (RFC 2034 section 4); otherwise it is text.
    let reply = parse(b"550 2.1.5 odd\r\n").unwrap();
    assert_eq!(
        (reply.enhanced(), reply.text().as_str()),
        (None, "2.1.5 odd")
    );
}

#[test]
fn refuses_replies_that_cannot_be_believed() {
    let cases: [(&[u8], Error); 11] = [
        (b"250-a\r\n550 b\r\n", Error::ReplyMixedCodes),
        (b"250 ok\n", Error::BareNewline),
        (b"250 o\rk\r\n", Error::BareNewline),
        (b"250ok\r\n", Error::ReplyCode),
        (b"25\r\n", Error::ReplyCode),
        (b"\r\n", Error::ReplyCode),
        (b"150 x\r\n", Error::ReplyCode),
        (b"600 x\r\n", Error::ReplyCode),
        (b"2x0 x\r\n", Error::ReplyCode),
        (&b"250-x\r\n".repeat(129), Error::ReplyTooLong),
        (&[b'2'; 65 * 1024], Error::ReplyTooLong),
    ];
    for (bytes, error) in cases {
        assert_eq!(ReplyParser::default().feed(bytes), Err(error));
    }
}

#[test]
fn takes_no_more_than_one_reply() {
    let mut parser = ReplyParser::default();
    let bytes = b"250 2.1.0 Ok\r\n550 5.1.1 No\r\n";
    let ReplyProgress::Done { consumed, reply } = parser.feed(bytes).unwrap() else {
        panic!()
    };
    assert_eq!((consumed, reply.code()), (14, 250));
    assert!(!parser.is_mid_reply());
    assert_eq!(parser.feed(&bytes[14..20]), Ok(ReplyProgress::NeedMore));
    assert!(parser.is_mid_reply());
    let ReplyProgress::Done { consumed, reply } = parser.feed(&bytes[20..]).unwrap() else {
        panic!()
    };
    assert_eq!((consumed, reply.code()), (8, 550));
}

#[test]
fn parses_enhanced_codes_strictly() {
    assert_eq!(
        EnhancedCode::parse("4.999.0"),
        Some(EnhancedCode::new(4, 999, 0))
    );
    for text in [
        "", "5", "5.1", "5.1.1.1", "3.1.1", "5.01.1", "5.1.1000", "5.+1.1", "5..1", "05.1.1",
    ] {
        assert_eq!(EnhancedCode::parse(text), None, "{text}");
    }
}

proptest! {
    /// What is written is read again, however it is cut.
    #[test]
    fn round_trips(
        code in 200..600_u16,
        detail in proptest::option::of((0..1000_u16, 0..1000_u16)),
        lines in prop::collection::vec("[a-zA-Z ,.<>@:-]{0,60}", 1..6),
        sizes in prop::collection::vec(1..40_usize, 1..5),
    ) {
        let class = (code / 100) as u8;
        let enhanced = detail.filter(|_| class != 3).map(|(s, d)| EnhancedCode::new(class, s, d));
        let reply = Reply::multiline(code, enhanced, lines.into_iter().map(Cow::Owned).collect());
        let bytes = reply.to_bytes();
        let (mut parser, mut rest, mut sizes) = (ReplyParser::default(), bytes.as_slice(), sizes.iter().cycle());
        loop {
            let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            rest = after;
            match parser.feed(piece).unwrap() {
                ReplyProgress::NeedMore => prop_assert!(!rest.is_empty()),
                ReplyProgress::Done { consumed, reply: read } => {
                    prop_assert_eq!((consumed, rest.len()), (piece.len(), 0));
                    prop_assert_eq!(read, reply);
                    break;
                }
            }
        }
    }
}
