//! Messages that are made to hurt, through a gateway that looks at everything: each has one outcome, and what is let through
//! is let through whole.

use std::time::Duration;

use sekisho_testkit::{Peer, Sink};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::world::{Objects, World};

/// What a hostile message may take, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A multipart message with `parts` of nothing.
fn many_parts(parts: usize) -> Vec<u8> {
    let mut message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
    for _ in 0..parts {
        message.extend_from_slice(b"--b\r\n\r\n");
    }
    message.extend_from_slice(b"--b--\r\n");
    message
}

/// Multiparts within one another.
fn nested(levels: usize) -> Vec<u8> {
    (0..levels)
        .flat_map(|level| {
            format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n")
                .into_bytes()
        })
        .collect()
}

/// A header section of so many octets.
fn long_header(octets: usize) -> Vec<u8> {
    let mut message = b"Subject: hello\r\n".to_vec();
    while message.len() < octets {
        message.extend_from_slice(b"X-Filler: ");
        message.extend_from_slice(&[b'x'; 900]);
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"\r\nbody\r\n");
    message
}

/// One line without an end.
fn long_line(octets: usize) -> Vec<u8> {
    let mut message = b"Subject: hello\r\n\r\n".to_vec();
    message.resize(message.len() + octets, b'-');
    message.extend_from_slice(b"\r\n");
    message
}

/// Lines that look like the beginning of a delimiter.
fn near_delimiters(lines: usize) -> Vec<u8> {
    let boundary = "b".repeat(200);
    let mut message =
        format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n--{boundary}\r\n\r\n")
            .into_bytes();
    for _ in 0..lines {
        message.extend_from_slice(format!("--{}\r\n", &boundary[1..]).as_bytes());
    }
    message
}

/// What becomes of a message.
enum Becomes {
    /// It is delivered, byte for byte below our field, as suspect.
    Suspect,
    /// It is delivered as clean.
    Clean,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_has_its_outcome_and_none_is_lost() {
    let sink = Sink::start().await;
    let mut objects = Objects::new();
    objects.set(
        "SubmissionPolicy",
        "all",
        &json!({
            "blockedExtensions": ["exe"], "maxVisibleRecipients": 30,
            "classify": {
                "rules": [{ "name": "prize", "matches": "(?i)claim your prize", "score": 10_000 }],
                "suspectAt": 5000, "spamAt": 10_000
            }
        }),
    );
    let hops = [("U".to_owned(), sink.address())].into();
    let mut world = World::start(&mut objects, &hops, &[]).await.unwrap();
    let address = world.gateway.address("submission").await.unwrap();
    let cases = [
        ("a million parts", many_parts(1_000_000), Becomes::Suspect),
        ("a thousand levels", nested(1000), Becomes::Suspect),
        (
            "a header of megabytes",
            long_header(4 << 20),
            Becomes::Suspect,
        ),
        ("a line of megabytes", long_line(8 << 20), Becomes::Suspect),
        (
            "fifty thousand near delimiters",
            near_delimiters(50_000),
            Becomes::Suspect,
        ),
        ("ten parts", many_parts(10), Becomes::Clean),
    ];
    for (name, message, becomes) in cases {
        sink.take();
        let stream = TcpStream::connect(address).await.unwrap();
        let mut client = Peer::over(stream);
        client.reply(220).await;
        client.ask("EHLO pc.example.jp", 250).await;
        client.ask("MAIL FROM:<taro@example.jp>", 250).await;
        client.ask("RCPT TO:<hanako@example.net>", 250).await;
        client.ask("DATA", 354).await;
        client.send(&message).await;
        client.send(b".\r\n").await;
        timeout(PATIENCE, client.reply(250))
            .await
            .unwrap_or_else(|_| panic!("{name}: no answer"));
        client.ask("QUIT", 221).await;
        let received = sink.take();
        assert_eq!(received.len(), 1, "{name}");
        assert!(
            received[0].data.ends_with(&message),
            "{name}: {} octets of {} arrived",
            received[0].data.len(),
            message.len()
        );
        let record = world.records.recv().await.unwrap();
        let expected = match becomes {
            Becomes::Suspect => sekisho_policy::Class::Suspect,
            Becomes::Clean => sekisho_policy::Class::Clean,
        };
        assert_eq!(record.class, expected, "{name}");
    }
}
