//! Replies: the same however the bytes are cut, bounded, one code; what is read can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_smtp::reply::{ReplyLimits, ReplyParser, ReplyProgress};
use sekisho_smtp::{Capabilities, Error, Reply};

const LIMITS: ReplyLimits = ReplyLimits { lines: 16, octets: 2048 };

fn read(bytes: &[u8], size: usize) -> (Vec<Reply>, Option<Error>, usize) {
    let (mut parser, mut replies, mut taken) = (ReplyParser::new(LIMITS), Vec::new(), 0);
    for chunk in bytes.chunks(size) {
        let mut rest = chunk;
        while !rest.is_empty() {
            match parser.feed(rest) {
                Ok(ReplyProgress::NeedMore) => rest = &[],
                Ok(ReplyProgress::Done { consumed, reply }) => {
                    assert!(consumed > 0 && !parser.is_mid_reply());
                    taken += consumed;
                    rest = &rest[consumed..];
                    replies.push(reply);
                }
                Err(error) => return (replies, Some(error), taken),
            }
        }
    }
    (replies, None, taken)
}

fuzz_target!(|data: &[u8]| {
    let [size, bytes @ ..] = data else { return };
    let (replies, error, _) = read(bytes, usize::MAX);
    let cut = read(bytes, usize::from(*size).max(1));
    assert_eq!(cut.0, replies);
    // A line that is both too long and malformed may be found to be either first.
    assert_eq!(cut.1.is_some(), error.is_some());
    for reply in replies {
        assert!((200..600).contains(&reply.code()) && (1..=LIMITS.lines).contains(&reply.lines().len()));
        let _ = Capabilities::parse(&reply);
        let written = reply.to_bytes();
        assert!(written.is_ascii());
        assert!(reply.code() == 334 || written.split_inclusive(|b| *b == b'\n').all(|line| line.len() <= 512));
        let (again, error, taken) = read(&written, usize::MAX);
        if written.len() > LIMITS.octets || again.is_empty() {
            assert_eq!(error, Some(Error::ReplyTooLong));
            continue;
        }
        assert_eq!((again.len(), taken), (1, written.len()));
        assert_eq!(again[0].code(), reply.code());
        let plain = reply.lines().iter().all(|line| line.len() < 400 && line.bytes().all(|b| matches!(b, b' '..=b'~')));
        // An enhanced code on a later line alone reads as text; written after none on the first it still does.
        if plain {
            assert_eq!(again[0], reply);
        }
    }
});
