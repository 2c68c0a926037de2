//! Logins whose account is another than the client says, against a scripted Dovecot.

use std::sync::Arc;

use sekisho_testkit::{Peer, Sink};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::world::{Objects, World};

/// Accepts each password, and calls everybody so.
async fn call_everybody(listener: TcpListener, user: &'static str) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    let greeting = b"VERSION\t1\t2\nMECH\tPLAIN\nSPID\t1\nCUID\t1\nCOOKIE\t0\nDONE\n";
    stream.get_mut().write_all(greeting).await.unwrap();
    let mut line = String::new();
    while stream.read_line(&mut line).await.unwrap() > 0 {
        if let Some(rest) = line.strip_prefix("AUTH\t") {
            let id = rest.split('\t').next().unwrap();
            let answer = format!("OK\t{id}\tuser={user}\n");
            stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
        }
        line.clear();
    }
}

/// What a client hears that logs in as `alias` with a password that is right.
async fn log_in_as_alias_of(user: &'static str) -> (String, World) {
    let sink = Sink::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hops = [
        ("U".to_owned(), sink.address()),
        ("D".to_owned(), listener.local_addr().unwrap()),
    ];
    let mut objects = Objects::new();
    let backends = json!([{ "dovecotSasl": { "tcp": "hop:D" } }]);
    let authentication = json!({ "backends": backends, "requirement": "Required" });
    objects.set("gateway", "", &json!({ "authentication": authentication }));
    let rule = json!({
        "from": { "except": ["JP"] }, "login": "Refuse", "match": { "accounts": ["boss@example.jp"] }
    });
    objects.set("CountryRule", "abroad", &rule);
    let world = World::start(&mut objects, &hops.into(), &[]).await.unwrap();
    tokio::spawn(call_everybody(listener, user));
    let (mut client, server) = Peer::in_memory();
    let gateway = Arc::clone(&world.gateway);
    let ends = (
        "8.8.8.8:1".parse().unwrap(),
        "192.0.2.1:587".parse().unwrap(),
    );
    tokio::spawn(async move { gateway.serve("submission", server, ends.0, ends.1).await });
    client.reply(220).await;
    client.ask("EHLO pc.example.jp", 250).await;
    client.say("AUTH PLAIN AGFsaWFzAHNlc2FtZQ==").await;
    (client.line().await, world)
}

#[tokio::test]
async fn rules_for_logins_see_the_account_behind_an_alias() {
    let (told, _world) = log_in_as_alias_of("taro@example.jp").await;
    assert!(told.starts_with("235 "), "{told}");
    let (told, mut world) = log_in_as_alias_of("boss@example.jp").await;
    assert!(told.starts_with("535 5.7.8 "), "{told}");
    let record = world.records.recv().await.unwrap();
    assert!(
        format!("{record:?}").contains("boss@example.jp"),
        "{record:?}"
    );
    let (told, _world) = log_in_as_alias_of("system:serviceaccount:mail:robot").await;
    assert!(told.starts_with("535 5.7.8 "), "{told}");
}
