//! Lines: the same however the bytes are cut; within their limits; only CRLF ends one; nothing is kept without bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_smtp::line::{Expect, LineReader, LineStep, MAX_AUTH};

/// A line, or that one was refused.
type Found = Option<Vec<u8>>;

fn read(bytes: &[u8], size: usize, expect: Expect) -> Vec<Found> {
    let (mut reader, mut buffer, mut found) = (LineReader::new(), Vec::new(), Vec::new());
    for chunk in bytes.chunks(size) {
        buffer.extend_from_slice(chunk);
        loop {
            let taken = match reader.next(&buffer, expect) {
                LineStep::NeedMore { consumed } => {
                    buffer.drain(..consumed);
                    if consumed == 0 {
                        break;
                    }
                    continue;
                }
                LineStep::Line { line, consumed } => {
                    assert!(consumed == line.len() + 2 && consumed <= MAX_AUTH);
                    assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
                    assert_eq!(&buffer[line.len()..consumed], b"\r\n");
                    found.push(Some(line.to_vec()));
                    consumed
                }
                LineStep::Fault { consumed, .. } => {
                    assert!(consumed > 0);
                    found.push(None);
                    consumed
                }
            };
            buffer.drain(..taken);
        }
        assert!(buffer.len() <= MAX_AUTH.saturating_add(size));
    }
    found
}

fuzz_target!(|data: &[u8]| {
    let [size, expect, bytes @ ..] = data else { return };
    let expect = if expect % 2 == 0 { Expect::Command } else { Expect::AuthResponse };
    let whole = read(bytes, usize::MAX, expect);
    assert_eq!(whole, read(bytes, usize::from(*size).max(1), expect));
    assert!(whole.len() <= bytes.len());
});
