//! Sessions made of what matters to the protocol, good and bad, in any order and in any pieces, before the oracle.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::oracle::{Arena, CUT, WAIT};

/// One step of a client.
fn step() -> impl Strategy<Value = Vec<u8>> {
    let line = |text: &'static str| Just(text.as_bytes().to_vec());
    prop_oneof![
        12 => (1..4_usize, content()).prop_map(|(recipients, content)| transaction(recipients, &content)),
        2 => line("EHLO pc.example.jp\r\n"),
        6 => line("MAIL FROM:<taro@example.jp>\r\n"),
        8 => line("RCPT TO:<hanako@example.net>\r\n"),
        2 => line("RCPT TO:<nobody@example.net>\r\n"),
        1 => line("MAIL FROM:<> SIZE=30000\r\n"),
        1 => line("RCPT TO:<\"a\\\"b> DATA\"@example.net>\r\n"),
        1 => line("RSET\r\n"),
        1 => line("NOOP \r\n"),
        1 => line("HELO x\r\n"),
        1 => line("VRFY hanako\r\n"),
        1 => line("STARTTLS\r\n"),
        1 => line("AUTH PLAIN AHRhcm8Ac2VjcmV0\r\n"),
        1 => line("AUTH LOGIN\r\n*\r\n"),
        1 => line("\r\n"),
        1 => line("MAIL FROM:<a@b>\rRCPT TO:<c@d>\n"),
        1 => line("QUIT\r\n"),
        6 => content(),
        1 => line("BDAT 99999999999999999999 LAST\r\n"),
        1 => line("BDAT 0 LAST\r\n"),
    ]
}

/// A message, or what looks like one.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => body().prop_map(|body| [b"DATA\r\n".to_vec(), vec![WAIT], body, b"\r\n.\r\n".to_vec()].concat()),
        1 => body().prop_map(|body| [b"DATA\r\n".to_vec(), body].concat()),
        4 => (body(), body()).prop_map(|(first, last)| [chunk(&first, false, 0), chunk(&last, true, 0)].concat()),
        2 => body().prop_map(|body| chunk(&body, true, 0)),
        2 => (body(), any::<bool>(), -3_i64..4).prop_map(|(body, last, off)| chunk(&body, last, off)),
    ]
}

fn transaction(recipients: usize, content: &[u8]) -> Vec<u8> {
    let recipient = b"RCPT TO:<hanako@example.net>\r\n".repeat(recipients);
    [
        b"MAIL FROM:<taro@example.jp>\r\n".to_vec(),
        recipient,
        content.to_vec(),
    ]
    .concat()
}

/// Octets that matter to framing, and commands that must not become any.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("\r\n"),
        Just("\r"),
        Just("\n"),
        Just("."),
        Just("a"),
        Just("\0"),
        Just("Subject: s\r\n"),
        Just("Bcc: x@y\r\n z\r\n"),
        Just("\r\n.\r\nMAIL FROM:<evil@example.jp>\r\nRCPT TO:<evil@example.net>\r\nDATA\r\n"),
        Just("\n.\nRSET\n"),
        Just("BDAT 3 LAST\r\n"),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat().into_bytes())
}

/// A chunk whose size is off by so many octets.
fn chunk(body: &[u8], last: bool, off: i64) -> Vec<u8> {
    let size = i64::try_from(body.len())
        .unwrap()
        .saturating_add(off)
        .max(0);
    let last = if last { " LAST" } else { "" };
    [format!("BDAT {size}{last}\r\n").into_bytes(), body.to_vec()].concat()
}

/// How the next hop behaves, then the steps, cut anywhere.
fn script() -> impl Strategy<Value = Vec<u8>> {
    let behaviour = prop_oneof![2 => Just(0), 1 => 0..21_u8];
    let steps = prop::collection::vec(step(), 1..14).prop_map(|steps| steps.concat());
    let cuts = prop::collection::vec(1..60_usize, 0..12);
    (behaviour, prop::bool::weighted(0.9), steps, cuts).prop_map(
        |(behaviour, greets, steps, cuts)| {
            let mut script = vec![behaviour];
            if greets {
                script.extend_from_slice(b"EHLO pc.example.jp\r\n");
            }
            let mut rest = steps.as_slice();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                script.extend_from_slice(piece);
                script.push(CUT);
                rest = after;
            }
            script.extend_from_slice(rest);
            script
        },
    )
}

#[test]
fn what_a_client_is_told_is_what_the_next_hop_has() {
    let arena = std::cell::RefCell::new(Arena::new());
    let config = Config {
        cases: 1500,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&script(), |script| {
        arena.borrow_mut().play(&script);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
