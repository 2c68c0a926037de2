//! Framing: the end is where a search finds it, however the bytes are cut; encoding is undone by decoding; no lax
//! receiver, and no second implementation, sees another end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_smtp::data::{BareNewlines, DataProgress, Decoder, Encoder};

fn decode(wire: &[u8], size: usize, policy: BareNewlines) -> (Vec<u8>, Option<usize>, Decoder) {
    let (mut decoder, mut out, mut taken) = (Decoder::new(policy), Vec::new(), 0);
    for chunk in wire.chunks(size) {
        match decoder.decode_into(chunk, &mut out) {
            DataProgress::More => taken += chunk.len(),
            DataProgress::End { consumed } => return (out, Some(taken + consumed), decoder),
        }
    }
    (out, None, decoder)
}

fn encode(message: &[u8], size: usize) -> Vec<u8> {
    let (mut encoder, mut wire) = (Encoder::new(), Vec::new());
    message.chunks(size).for_each(|chunk| encoder.encode_into(chunk, &mut wire));
    wire.extend_from_slice(encoder.finish());
    wire
}

fn real_end(wire: &[u8]) -> Option<usize> {
    let start = wire.starts_with(b".\r\n").then_some(3);
    start.or_else(|| memchr::memmem::find(wire, b"\r\n.\r\n").map(|at| at + 5))
}

/// Places where a receiver that takes CR, LF and CRLF for one another, and skips NUL, sees an end.
fn lax_ends(wire: &[u8]) -> usize {
    let seen: Vec<u8> = wire.iter().copied().filter(|octet| *octet != 0).collect();
    let newline = |octet: Option<&u8>| matches!(octet, Some(b'\r' | b'\n'));
    (0..seen.len())
        .filter(|&at| seen[at] == b'.' && (at == 0 || newline(seen.get(at - 1))) && newline(seen.get(at + 1)))
        .count()
}

fuzz_target!(|data: &[u8]| {
    let [first, second, wire @ ..] = data else { return };
    let (first, second) = (usize::from(*first).max(1), usize::from(*second).max(1));

    let (message, end, decoder) = decode(wire, usize::MAX, BareNewlines::Normalize);
    assert_eq!(end, real_end(wire));
    let cut = decode(wire, first, BareNewlines::Normalize);
    assert_eq!((&cut.0, cut.1, cut.2.stats()), (&message, end, decoder.stats()));
    assert!(!message.contains(&0));
    let strict = decode(wire, second, BareNewlines::Reject);
    assert_eq!(strict.1, end);
    let mended = decoder.stats().bare_newlines + decoder.stats().nuls > 0;
    assert_eq!(strict.2.refusal().is_some(), mended);
    assert!(mended || strict.0 == message);

    // The same octets by BDAT: mended alike, and the cuts make no difference.
    let by_chunks = |size: usize| {
        let (mut decoder, mut out) = (Decoder::of_chunks(BareNewlines::Normalize), Vec::new());
        for chunk in wire.chunks(size) {
            assert_eq!(decoder.decode_into(chunk, &mut out), DataProgress::More);
        }
        decoder.finish(|piece| out.extend_from_slice(piece));
        assert_eq!(decoder.stats().octets, out.len() as u64);
        out
    };
    let chunked = by_chunks(usize::MAX);
    assert_eq!(by_chunks(first), chunked);
    assert_eq!(lax_ends(&encode(&chunked, second)), 1);
    if !wire.starts_with(b".") && memchr::memmem::find(wire, b"\r\n.").is_none() && wire.last() != Some(&b'\r') {
        assert_eq!(chunked, message, "without dots at line starts both ways carry the same");
    }

    for content in [message.as_slice(), wire] {
        let sent = encode(content, first);
        assert_eq!(sent, encode(content, usize::MAX));
        assert_eq!(lax_ends(&sent), 1);
        let (received, end, decoder) = decode(&sent, second, BareNewlines::Reject);
        assert_eq!(end, Some(sent.len()));
        assert!(decoder.refusal().is_none());
        if end.is_some() && content.as_ptr() == message.as_ptr() && message.ends_with(b"\r\n") {
            assert_eq!(received, message);
        }
        second_opinion(&sent, &received);
    }
});

/// smtp-proto does not look at a dot right after DATA; beyond that it must agree about what we send.
fn second_opinion(sent: &[u8], received: &[u8]) {
    if sent.starts_with(b".") {
        return;
    }
    let mut theirs = Vec::new();
    let mut octets = sent.iter();
    assert!(smtp_proto::request::receiver::DataReceiver::new().ingest(&mut octets, &mut theirs));
    assert!(octets.as_slice().is_empty());
    assert_eq!(theirs, received);
}
