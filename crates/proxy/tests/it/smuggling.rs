//! Whatever octets a client sends as its message, the next hop gets one message and nothing that a lax server could
//! take for the end of it.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sekisho_testkit::{Peer, Sink};
use tokio::net::TcpStream;

use crate::world::{Objects, World};

/// Octets that matter to framing, and one that does not; cut into writes of any length.
fn message() -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    let octet = prop_oneof![
        Just(b'\r'),
        Just(b'\n'),
        Just(b'.'),
        Just(b'a'),
        Just(0),
        Just(b'\r'),
        Just(b'\n')
    ];
    (
        prop::collection::vec(octet, 0..40),
        prop::collection::vec(1..8_usize, 0..20),
    )
}

async fn send(client: &mut Peer<TcpStream>, message: &[u8], cuts: &[usize]) {
    let whole = [b"Subject: s\r\n\r\n", message, b"\r\n.\r\n"].concat();
    let mut rest = whole.as_slice();
    for cut in cuts {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        client.send(piece).await;
        tokio::task::yield_now().await;
        rest = after;
    }
    client.send(rest).await;
}

/// What must arrive: every newline a CRLF, no NUL, dots as they were meant.
fn mended(message: &[u8]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    let mut octets = message.iter().copied().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b'\r' => {
                octets.next_if_eq(&b'\n');
                lines.push(Vec::new());
            }
            b'\n' => lines.push(Vec::new()),
            0 => {}
            other => lines.last_mut().unwrap().push(other),
        }
    }
    lines.join(b"\r\n".as_slice())
}

#[test]
fn one_message_in_is_one_message_out() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let sink = runtime.block_on(Sink::start());
    let (world, client) = runtime.block_on(async {
        let hops = [("U".to_owned(), sink.address())].into();
        let world = World::start(&mut Objects::new(), &hops, &[]).await.unwrap();
        let address = world.gateway.address("submission").await.unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        // Each cut is to arrive as one.
        stream.set_nodelay(true).unwrap();
        let mut client = Peer::over(stream);
        client.reply(220).await;
        client.ask("EHLO pc.example.jp", 250).await;
        (world, client)
    });
    let client = std::cell::RefCell::new(client);
    let mut runner = TestRunner::new_with_rng(
        Config {
            cases: 256,
            failure_persistence: None,
            ..Config::default()
        },
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let outcome = runner.run(&message(), |(message, cuts)| {
        let ends_early = [b"\r\n", message.as_slice(), b"\r\n"].concat();
        prop_assume!(!ends_early.windows(5).any(|five| five == b"\r\n.\r\n"));
        let mut client = client.borrow_mut();
        let received = runtime.block_on(async {
            sink.take();
            client.ask("MAIL FROM:<taro@example.jp>", 250).await;
            client.ask("RCPT TO:<hanako@example.net>", 250).await;
            client.ask("DATA", 354).await;
            send(&mut client, &message, &cuts).await;
            client.reply(250).await;
            client.ask("NOOP", 250).await;
            sink.take()
        });
        prop_assert_eq!(received.len(), 1);
        let data = &received[0].data;
        let at = data
            .windows(14)
            .position(|part| part == b"Subject: s\r\n\r\n")
            .unwrap();
        let arrived = &data[at + 14..];
        let bare = arrived.iter().enumerate().any(|(at, octet)| match octet {
            b'\r' => arrived.get(at + 1) != Some(&b'\n'),
            b'\n' => at == 0 || arrived[at - 1] != b'\r',
            octet => *octet == 0,
        });
        prop_assert!(
            !bare,
            "a bare newline or NUL went on: {:?}",
            arrived.escape_ascii().to_string()
        );
        let dotless = |octets: &[u8]| {
            octets
                .iter()
                .filter(|octet| **octet != b'.')
                .copied()
                .collect::<Vec<_>>()
        };
        let expected = [mended(&message), b"\r\n".to_vec()].concat();
        prop_assert_eq!(
            dotless(arrived),
            dotless(&expected),
            "{:?}",
            message.escape_ascii().to_string()
        );
        Ok(())
    });
    outcome.unwrap();
    drop(world);
}
