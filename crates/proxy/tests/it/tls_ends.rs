//! A client's TLS that ends within a message, and clear text after it: neither is read as a command or as a message, and the
//! transaction is dropped.

use std::sync::Arc;
use std::time::Duration;

use sekisho_policy::record::End;
use sekisho_runtime::tls::{Verification, client_config};
use sekisho_testkit::Sink;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::world::{Objects, World};

const PATIENCE: Duration = Duration::from_secs(10);

/// What would be done if it were read.
const CLEAR: &[u8] =
    b"\r\n.\r\nRSET\r\nMAIL FROM:<clear@example.jp>\r\nRCPT TO:<hanako@example.net>\r\nDATA\r\n\r\n.\r\nQUIT\r\n";

/// How a client leaves TLS.
#[derive(Clone, Copy, Debug)]
enum Leave {
    /// `close_notify`, then clear text on the same connection.
    NotifyAndTalk,
    /// `close_notify`, then the end of the connection.
    NotifyAndEnd,
    /// The end of the connection alone.
    End,
    /// Clear text where a record should be.
    Talk,
}

const WAYS: [Leave; 4] = [
    Leave::NotifyAndTalk,
    Leave::NotifyAndEnd,
    Leave::End,
    Leave::Talk,
];

/// What came before: each leaves the message unfinished.
const BEGINNINGS: [&str; 6] = [
    "DATA\r\n",
    "DATA\r\nSubject: x\r\n\r\nhalf",
    "DATA\r\nSubject: x\r\n\r\nhalf\r\n.",
    "BDAT 100\r\nSubject: x\r\n\r\nhalf",
    "BDAT 200 LAST\r\nSubject: x\r\n\r\nhalf",
    "BDAT 18\r\nSubject: x\r\n\r\nhalf",
];

async fn secured(world: &World) -> TlsStream<TcpStream> {
    let address = world.gateway.address("submission").await.unwrap();
    let plain = TcpStream::connect(address).await.unwrap();
    let config = client_config(Verification::Opportunistic).unwrap();
    let name = ServerName::try_from("mail.example.jp").unwrap();
    TlsConnector::from(Arc::clone(&config))
        .connect(name, plain)
        .await
        .unwrap()
}

/// Says a command after another, each once the one before was answered.
async fn say(client: &mut TlsStream<TcpStream>, lines: &[&str]) {
    let mut heard = vec![0; 4096];
    for line in lines {
        let count = client.read(&mut heard).await.unwrap();
        assert!(count > 0, "closed before {line:?}");
        client.write_all(line.as_bytes()).await.unwrap();
        client.flush().await.unwrap();
    }
}

async fn leave(client: TlsStream<TcpStream>, way: Leave) {
    let mut client = client;
    if matches!(way, Leave::NotifyAndTalk | Leave::NotifyAndEnd) {
        client.get_mut().1.send_close_notify();
        client.flush().await.unwrap();
    }
    let (mut plain, _) = client.into_inner();
    if matches!(way, Leave::NotifyAndTalk | Leave::Talk) {
        plain.write_all(CLEAR).await.unwrap();
    }
    if !matches!(way, Leave::Talk) {
        plain.shutdown().await.unwrap();
    }
    // To the end of the session, however it comes.
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut rest))
        .await
        .expect("the session ends with TLS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_after_tls_is_nothing() {
    let sink = Sink::start().await;
    let hops = [("U".to_owned(), sink.address())].into();
    let mut objects = Objects::new();
    objects.set("listener", "", &json!({ "tls": "Implicit" }));
    let mut world = World::start(&mut objects, &hops, &[]).await.unwrap();
    for beginning in BEGINNINGS {
        for way in WAYS {
            let mut client = secured(&world).await;
            let envelope = [
                "EHLO pc.example.jp\r\n",
                "MAIL FROM:<taro@example.jp>\r\n",
                "RCPT TO:<hanako@example.net>\r\n",
                beginning.split_inclusive("\r\n").next().unwrap(),
            ];
            let rest = &beginning[envelope[3].len()..];
            if beginning.starts_with("DATA") {
                say(&mut client, &[&envelope[..], &[rest]].concat()).await;
            } else {
                let [hello, mail, rcpt, _] = envelope;
                say(&mut client, &[hello, mail, rcpt, beginning]).await;
            }
            leave(client, way).await;
            let record = timeout(PATIENCE, world.records.recv()).await.unwrap();
            let end = record.unwrap().end;
            assert_eq!(end, End::Abandoned, "{beginning:?}, {way:?}");
            assert!(sink.take().is_empty(), "{beginning:?}, {way:?}");
        }
    }
    let said = sink.take_commands();
    assert!(!said.iter().any(|line| line.contains("clear@")), "{said:?}");
    assert!(world.records.try_recv().is_err(), "one record for each");
}

/// What a client says in the clear after STARTTLS, in whatever pieces, is never obeyed: not in the clear, not under TLS.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clear_text_after_starttls_is_nothing() {
    let sink = Sink::start().await;
    let hops = [("U".to_owned(), sink.address())].into();
    let mut objects = Objects::new();
    objects.set("listener", "", &json!({ "tls": "StartTls" }));
    let world = World::start(&mut objects, &hops, &[]).await.unwrap();
    let address = world.gateway.address("submission").await.unwrap();
    // The first octets of each write, after which the client says the rest once it was told to begin.
    for (with, after) in [
        ("STARTTLS\r\n", CLEAR),
        (
            "STARTTLS\r\n",
            b"\x16\x03\x01\x00\x05MAIL FROM:<clear@example.jp>\r\n".as_slice(),
        ),
        ("STARTTLS\r\nMAIL FROM:<clear@example.jp>\r\n", CLEAR),
        (
            "STARTTLS\r\nM",
            b"AIL FROM:<clear@example.jp>\r\n".as_slice(),
        ),
    ] {
        let mut client = TcpStream::connect(address).await.unwrap();
        let mut heard = vec![0; 4096];
        for line in ["", "EHLO pc.example.jp\r\n", with] {
            client.write_all(line.as_bytes()).await.unwrap();
            let count = client.read(&mut heard).await.unwrap();
            heard[count..].fill(0);
        }
        let _ = client.write_all(after).await;
        let _ = client.shutdown().await;
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, client.read_to_end(&mut rest))
            .await
            .expect("the session ends");
        // An alert of TLS at most, and what refused the pipelining.
        let said = String::from_utf8_lossy(&rest);
        assert!(!said.contains("250"), "{with:?}: {said}");
    }
    assert!(sink.take_commands().is_empty());
}
