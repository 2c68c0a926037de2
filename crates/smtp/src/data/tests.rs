//! The framing against a slow reference, under any chunking, and against lax receivers.

use proptest::prelude::*;

use super::*;

/// Octets that matter to framing, and two that do not.
fn hostile(length: usize) -> impl Strategy<Value = Vec<u8>> {
    let octet = prop::sample::select(vec![b'\r', b'\n', b'.', 0, b'a', 0xE9]);
    let crlf = prop::sample::select(vec![
        &b"\r\n"[..],
        b"\r\n.",
        b"\n.\n",
        b"\r.\r",
        b"\r\n..",
        b".\r\n",
    ]);
    let piece = prop_oneof![3 => octet.prop_map(|o| vec![o]), 2 => crlf.prop_map(<[u8]>::to_vec)];
    prop::collection::vec(piece, 0..length).prop_map(|pieces| pieces.concat())
}

fn chunks<'a>(bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut sizes = sizes.iter().cycle();
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let size = sizes
            .next()
            .map_or(rest.len(), |size| (*size).clamp(1, rest.len()));
        let (piece, after) = rest.split_at(size);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..9_usize, 1..6)
}

fn decode(wire: &[u8], sizes: &[usize], policy: BareNewlines) -> (Vec<u8>, Option<usize>, Decoder) {
    let (mut decoder, mut out, mut taken) = (Decoder::new(policy), Vec::new(), 0);
    for chunk in chunks(wire, sizes) {
        match decoder.decode_into(chunk, &mut out) {
            DataProgress::More => taken += chunk.len(),
            DataProgress::End { consumed } => return (out, Some(taken + consumed), decoder),
        }
    }
    (out, None, decoder)
}

fn decode_chunks(message: &[u8], sizes: &[usize], policy: BareNewlines) -> (Vec<u8>, Decoder) {
    let (mut decoder, mut out) = (Decoder::of_chunks(policy), Vec::new());
    for chunk in chunks(message, sizes) {
        assert_eq!(decoder.decode_into(chunk, &mut out), DataProgress::More);
    }
    decoder.finish(|piece| out.extend_from_slice(piece));
    (out, decoder)
}

fn encode(message: &[u8], sizes: &[usize]) -> Vec<u8> {
    let (mut encoder, mut wire) = (Encoder::new(), Vec::new());
    for chunk in chunks(message, sizes) {
        encoder.encode_into(chunk, &mut wire);
    }
    wire.extend_from_slice(encoder.finish());
    wire
}

/// All line ends CRLF, no NUL.
fn normalize(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut octets = text.iter().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b'\r' => {
                octets.next_if_eq(&&b'\n');
                out.extend(b"\r\n");
            }
            b'\n' => out.extend(b"\r\n"),
            0 => {}
            other => out.push(*other),
        }
    }
    out
}

/// What a whole wire holds, found by splitting instead of by states.
fn reference(wire: &[u8]) -> Option<(Vec<u8>, usize)> {
    let with_start = [b"\r\n", wire].concat();
    let end = memchr::memmem::find(&with_start, b"\r\n.\r\n")?;
    let text = &with_start[2.min(end)..end];
    let mut message = Vec::new();
    if end > 0 {
        let mut rest = Some(text);
        while let Some(line) = rest {
            let (line, after) = match memchr::memmem::find(line, b"\r\n") {
                Some(at) => (&line[..at], Some(&line[at + 2..])),
                None => (line, None),
            };
            message.extend(normalize(line.strip_prefix(b".").unwrap_or(line)));
            message.extend(b"\r\n");
            rest = after;
        }
    }
    Some((message, end + 5 - 2))
}

/// Places where a receiver that takes CR, LF and CRLF for one another, and skips NUL, sees the end of a message.
fn lax_ends(wire: &[u8]) -> Vec<usize> {
    let seen: Vec<u8> = wire.iter().copied().filter(|octet| *octet != 0).collect();
    let newline = |octet: Option<&u8>| matches!(octet, Some(b'\r' | b'\n'));
    (0..seen.len())
        .filter(|&at| {
            seen[at] == b'.' && (at == 0 || newline(seen.get(at - 1))) && newline(seen.get(at + 1))
        })
        .collect()
}

#[test]
fn ends_where_the_rfc_says() {
    let cases: [(&[u8], &[u8], usize); 12] = [
        (b".\r\nQUIT\r\n", b"", 3),
        (b"a\r\n.\r\n", b"a\r\n", 6),
        (b"a\r\n..\r\n.\r\n", b"a\r\n.\r\n", 10),
        (b"..a\r\n.b\r\n.\r\n", b".a\r\nb\r\n", 12),
        (b"\r\n.\r\n", b"\r\n", 5),
        (b"a\n.\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n", 10),
        (b"a\n.\r\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n", 11),
        (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\r\nb\r\n", 11),
        (b"a\r\n.\rb\r\n.\r\n", b"a\r\n\r\nb\r\n", 11),
        (b"a\r.\rb\r\n.\r\n", b"a\r\n.\r\nb\r\n", 10),
        (b"a\r\n\0.\r\nb\r\n.\r\n", b"a\r\n.\r\nb\r\n", 13),
        (b"a\r\r\n.\r\n", b"a\r\n\r\n", 7),
    ];
    for (wire, message, length) in cases {
        for size in [1, 2, 3, 64] {
            let (out, end, _) = decode(wire, &[size], BareNewlines::Normalize);
            assert_eq!(
                (out.as_slice(), end),
                (message, Some(length)),
                "{} by {size}",
                wire.escape_ascii()
            );
        }
    }
}

#[test]
fn a_clean_message_is_handed_on_in_one_piece() {
    let wire = b"Subject: x\r\n\r\nHello\r\nthere\r\n.\r\nQUIT\r\n";
    let mut pieces = Vec::new();
    let progress =
        Decoder::new(BareNewlines::Reject).decode(wire, |piece| pieces.push(piece.as_ptr_range()));
    assert_eq!(
        progress,
        DataProgress::End {
            consumed: wire.len() - 6
        }
    );
    assert_eq!(pieces, [wire[..wire.len() - 9].as_ptr_range()]);
    let mut pieces = Vec::new();
    Encoder::new().encode(&wire[..wire.len() - 9], |piece| {
        pieces.push(piece.as_ptr_range())
    });
    assert_eq!(pieces, [wire[..wire.len() - 9].as_ptr_range()]);
}

#[test]
fn chunks_have_no_dots_and_no_end() {
    let table: [(&[u8], &[u8]); 8] = [
        (b"", b""),
        (b".\r\n", b".\r\n"),
        (b"a\r\n.\r\nb", b"a\r\n.\r\nb"),
        (b"..a\r\n..b\r\n", b"..a\r\n..b\r\n"),
        (b"a\n.\nb", b"a\r\n.\r\nb"),
        (b"a\r", b"a\r\n"),
        (b"\xE7\x94\xA8\r\n", b"\xE7\x94\xA8\r\n"),
        (b"a\r\n.\0\r\n", b"a\r\n.\r\n"),
    ];
    for (message, expected) in table {
        for size in 1..=message.len().max(1) {
            let (out, decoder) = decode_chunks(message, &[size], BareNewlines::Normalize);
            assert_eq!(out, expected, "{} by {size}", message.escape_ascii());
            assert_eq!(decoder.stats().octets, expected.len() as u64);
        }
    }
    let (_, decoder) = decode_chunks(b"a\r", &[1], BareNewlines::Reject);
    assert!(decoder.refusal().is_some(), "the last CR stands alone");
}

#[test]
fn counts_what_it_sees() {
    let (_, _, decoder) = decode(
        b"abc\r\n\xE9\0\nlonger line\r\n.\r\n",
        &[3],
        BareNewlines::Normalize,
    );
    let stats = Stats {
        octets: 21,
        longest_line: 11,
        bare_newlines: 1,
        nuls: 1,
        eight_bit: true,
    };
    assert_eq!(*decoder.stats(), stats);
    assert_eq!(decoder.refusal(), None);
}

#[test]
fn refuses_at_the_end_and_hands_nothing_more_on() {
    for (wire, text) in [
        (
            &b"good\r\nbad\nMAIL FROM:<x@y>\r\n.\r\n"[..],
            "Message has a bare CR or LF",
        ),
        (
            b"good\r\nbad\0MAIL FROM:<x@y>\r\n.\r\n",
            "Message has a NUL",
        ),
    ] {
        let (out, end, decoder) = decode(wire, &[64], BareNewlines::Reject);
        assert_eq!(end, Some(wire.len()));
        assert_eq!(out, b"good\r\nbad");
        let refusal = decoder.refusal().unwrap();
        assert_eq!(refusal.reply.to_string(), format!("550 5.6.0 {text}"));
        assert_eq!(
            refusal.then,
            crate::Then::Continue,
            "the body was swallowed, so commands follow"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn decodes_as_the_reference_does(start in hostile(24), sizes in sizes(), tail in hostile(6)) {
        let wire = [start.as_slice(), b"\r\n.\r\n", &tail].concat();
        let (message, end) = reference(&wire).unwrap();
        let (out, consumed, decoder) = decode(&wire, &sizes, BareNewlines::Normalize);
        prop_assert_eq!(consumed, Some(end));
        prop_assert_eq!(out.escape_ascii().to_string(), message.escape_ascii().to_string());
        prop_assert_eq!(decoder.stats().octets, message.len() as u64);
        let longest = message.split(|b| *b == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l).len()).max();
        prop_assert_eq!(decoder.stats().longest_line, longest.unwrap_or(0) as u64);
        prop_assert_eq!(decoder.stats().eight_bit, !message.is_ascii());

        let (strict, consumed, decoder) = decode(&wire, &sizes, BareNewlines::Reject);
        prop_assert_eq!(consumed, Some(end));
        match decoder.refusal() {
            None => prop_assert_eq!(strict, message),
            Some(_) => prop_assert!(decoder.stats().bare_newlines + decoder.stats().nuls > 0),
        }
    }

    #[test]
    fn decoding_undoes_encoding(message in hostile(24), first in sizes(), second in sizes()) {
        let mut expected = normalize(&message);
        if !expected.is_empty() && !expected.ends_with(b"\r\n") {
            expected.extend(b"\r\n");
        }
        let wire = encode(&message, &first);
        let (out, end, decoder) = decode(&wire, &second, BareNewlines::Reject);
        prop_assert_eq!(end, Some(wire.len()));
        prop_assert_eq!(decoder.refusal(), None);
        prop_assert_eq!(out.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn no_lax_receiver_sees_an_early_end(start in hostile(24), first in sizes(), second in sizes()) {
        let received = [start.as_slice(), b"\r\n.\r\n"].concat();
        let (message, _, _) = decode(&received, &first, BareNewlines::Normalize);
        for content in [&message, &received] {
            let wire = encode(content, &second);
            prop_assert_eq!(lax_ends(&wire), vec![wire.len() - 3], "{}", wire.escape_ascii());
        }
    }

    /// One message in, the same message out, whether it came by DATA or by BDAT, and however it was cut.
    #[test]
    fn chunks_and_dots_carry_the_same(message in hostile(24), first in sizes(), second in sizes(), third in sizes()) {
        let (out, decoder) = decode_chunks(&message, &first, BareNewlines::Normalize);
        prop_assert_eq!(out.escape_ascii().to_string(), normalize(&message).escape_ascii().to_string());
        prop_assert_eq!(decoder.stats().octets, out.len() as u64);
        prop_assert_eq!(decoder.clone().decode(b"x", |_| {}), DataProgress::End { consumed: 0 });
        let onward = encode(&out, &second);
        prop_assert_eq!(lax_ends(&onward), vec![onward.len() - 3]);
        let (by_dots, _, _) = decode(&onward, &third, BareNewlines::Reject);
        let whole = if out.is_empty() || out.ends_with(b"\r\n") { out } else { [out.as_slice(), b"\r\n"].concat() };
        prop_assert_eq!(by_dots, whole);
    }
}
