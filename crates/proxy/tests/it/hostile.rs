//! Messages that are made to hurt, through a gateway that looks at everything: each has one outcome, and what is let through
//! is let through whole.

use std::time::Duration;

use sekisho_policy::Class;
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

/// Everything that is looked at is looked for.
fn objects() -> Objects {
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
    objects
}

/// Messages that are too much, by what is too much of them.
fn too_much() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a million parts", many_parts(1_000_000)),
        ("a thousand levels", nested(1000)),
        ("a header of megabytes", long_header(4 << 20)),
        ("a line of megabytes", long_line(8 << 20)),
        ("fifty thousand near delimiters", near_delimiters(50_000)),
    ]
}

/// Sends a message, up to the reply to its end.
async fn send(world: &World, name: &str, message: &[u8], code: u16) {
    let address = world.gateway.address("submission").await.unwrap();
    let mut client = Peer::over(TcpStream::connect(address).await.unwrap());
    client.reply(220).await;
    client.ask("EHLO pc.example.jp", 250).await;
    client.ask("MAIL FROM:<taro@example.jp>", 250).await;
    client.ask("RCPT TO:<hanako@example.net>", 250).await;
    client.ask("DATA", 354).await;
    client.send(message).await;
    client.send(b".\r\n").await;
    timeout(PATIENCE, client.reply(code))
        .await
        .unwrap_or_else(|_| panic!("{name}: no answer"));
    client.ask("QUIT", 221).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_has_its_outcome_and_none_is_lost() {
    let sink = Sink::start().await;
    let hops = [("U".to_owned(), sink.address())].into();
    let mut world = World::start(&mut objects(), &hops, &[]).await.unwrap();
    let suspect = too_much()
        .into_iter()
        .map(|(name, message)| (name, message, Class::Suspect));
    let clean = ("ten parts", many_parts(10), Class::Clean);
    for (name, message, class) in suspect.chain([clean]) {
        send(&world, name, &message, 250).await;
        let received = sink.take();
        assert_eq!(received.len(), 1, "{name}");
        assert!(
            received[0].data.ends_with(&message),
            "{name}: {} octets of {} arrived",
            received[0].data.len(),
            message.len()
        );
        let record = world.records.recv().await.unwrap();
        assert_eq!(record.class, class, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_examined_waits_where_it_is_to_wait() {
    let sink = Sink::start().await;
    let hops = [("U".to_owned(), sink.address())].into();
    let mut objects = objects();
    let wait = json!({ "onUnavailable": { "config": "Keep", "message": "Defer" } });
    objects.set("gateway", "", &wait);
    let world = World::start(&mut objects, &hops, &[]).await.unwrap();
    for (name, message) in too_much() {
        // A text that is merely long would be as long the next time: it goes by, whatever waits.
        let (code, sent) = match name {
            "a line of megabytes" | "fifty thousand near delimiters" => (250, 1),
            _ => (451, 0),
        };
        send(&world, name, &message, code).await;
        assert_eq!(sink.take().len(), sent, "{name}");
    }
}
