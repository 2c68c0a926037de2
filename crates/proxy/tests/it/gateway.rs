//! A gateway over real sockets: listeners, snapshots, draining.

use std::time::Duration;

use sekisho_policy::event::{ConfigState, SourceTrust};
use sekisho_proxy::{Applied, Error};
use sekisho_testkit::{Peer, Sink};
use serde_json::json;
use tokio::net::TcpStream;

use crate::world::{Objects, World};

async fn hello(world: &World, listener: &str) -> Peer<TcpStream> {
    let mut client = Peer::connect(world.gateway.address(listener).await.unwrap()).await;
    client.reply(220).await;
    client.ask("EHLO pc.example.jp", 250).await;
    client
}

#[tokio::test]
async fn a_message_passes_over_the_loopback() {
    let sink = Sink::start().await;
    let world = World::before(&mut Objects::new(), &sink).await;
    let mut client = hello(&world, "submission").await;
    client.ask("MAIL FROM:<taro@example.jp>", 250).await;
    client.ask("RCPT TO:<hanako@example.net>", 250).await;
    client.ask("DATA", 354).await;
    client
        .send(b"Subject: hello\r\n\r\nHello.\r\n..stuffed\r\n.\r\n")
        .await;
    client.reply(250).await;
    let received = sink.wait_for(1).await.remove(0);
    let text = String::from_utf8(received.data).unwrap();
    let (field, message) = text.split_once("Subject").unwrap();
    assert!(
        field.starts_with("Received: from pc.example.jp ([127.0.0.1])\r\n\tby mail.example.jp"),
        "{field}"
    );
    assert_eq!(message, ": hello\r\n\r\nHello.\r\n.stuffed\r\n");
    assert_eq!(received.rcpts, ["<hanako@example.net>"]);
}

#[tokio::test]
async fn listeners_come_and_go_with_snapshots_and_sessions_stay() {
    let sink = Sink::start().await;
    let mut objects = Objects::new();
    let world = World::before(&mut objects, &sink).await;
    let before = world.gateway.address("submission").await.unwrap();
    let mut old = hello(&world, "submission").await;

    objects.set(
        "gateway",
        "",
        &json!({ "listeners": [
        { "name": "submission", "port": 0, "tls": "Off" },
        { "name": "submissions", "port": 0, "tls": "Implicit" }
    ] }),
    );
    world.apply(&mut objects).await.unwrap();
    assert_eq!(
        world.gateway.address("submission").await,
        Some(before),
        "an open socket is kept"
    );
    let tls = world.gateway.address("submissions").await.unwrap();
    TcpStream::connect(tls).await.unwrap();

    objects.set(
        "gateway",
        "",
        &json!({ "listeners": [{ "name": "submissions", "port": 0, "tls": "Implicit" }] }),
    );
    world.apply(&mut objects).await.unwrap();
    assert_eq!(world.gateway.address("submission").await, None);
    while TcpStream::connect(before).await.is_ok() {
        tokio::task::yield_now().await;
    }
    old.ask("NOOP", 250).await;
    old.ask("MAIL FROM:<taro@example.jp>", 250).await;
    let status = world.gateway.status().await;
    assert_eq!((status.generation, status.listeners.len()), (3, 1));
}

#[tokio::test]
async fn what_cannot_be_put_in_force_changes_nothing() {
    let sink = Sink::start().await;
    let mut objects = Objects::new();
    let world = World::before(&mut objects, &sink).await;
    let first = world.seal(&mut objects).unwrap();
    objects.set("SubmissionPolicy", "all", &json!({ "maxSize": 100 }));
    let second = world.seal(&mut objects).unwrap();
    assert_eq!(
        world.gateway.apply(&second).await.unwrap(),
        Applied::InForce
    );
    assert_eq!(
        world.gateway.apply(&second).await.unwrap(),
        Applied::Unchanged
    );
    assert!(matches!(
        world.gateway.apply(&first).await,
        Err(Error::Stale { .. })
    ));

    let mut foreign = world.seal(&mut objects).unwrap();
    foreign.snapshot.gateway.object.name = "another".into();
    assert!(matches!(
        world.gateway.apply(&foreign).await,
        Err(Error::OtherGateway { .. })
    ));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    objects.set("gateway", "", &json!({ "listeners": [
        { "name": "submission", "port": 0, "tls": "Off" }, { "name": "taken", "port": port, "tls": "Off" }
    ] }));
    objects.set(
        "pool",
        "clean",
        &json!({ "members": [
        { "name": "lost", "weight": 1, "sourceAddress": "192.0.2.77" }
    ] }),
    );
    let homeless = world.seal(&mut objects).unwrap();
    let error = world
        .gateway
        .apply(&homeless)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("pool clean, member lost: nothing can leave from 192.0.2.77"),
        "{error}"
    );
    objects.set(
        "pool",
        "clean",
        &json!({ "members": [
        { "name": "found", "weight": 1, "sourceAddress": "127.0.0.9" }
    ] }),
    );
    let blocked = world.seal(&mut objects).unwrap();
    let error = world.gateway.apply(&blocked).await.unwrap_err().to_string();
    assert!(
        error.contains("taken") && error.contains(&port.to_string()),
        "{error}"
    );
    let status = world.gateway.status().await;
    assert_eq!(
        (status.generation, status.listeners.len()),
        (3, 1),
        "all or nothing"
    );
    hello(&world, "submission").await;
}

#[tokio::test]
async fn configuration_that_cannot_be_read_is_what_the_gateway_says_it_is() {
    let sink = Sink::start().await;
    let mut objects = Objects::new();
    objects.set(
        "gateway",
        "",
        &json!({ "onUnavailable": { "config": "Refuse" } }),
    );
    let world = World::before(&mut objects, &sink).await;
    let mut client = hello(&world, "submission").await;
    world.gateway.set_config_state(ConfigState::Unavailable);
    client.ask("MAIL FROM:<taro@example.jp>", 451).await;
    world.gateway.set_config_state(ConfigState::Current);
    client.ask("MAIL FROM:<taro@example.jp>", 250).await;
}

#[tokio::test]
async fn a_drain_ends_idle_sessions_at_once_and_cuts_the_others_short_at_its_deadline() {
    let sink = Sink::start().await;
    let world = World::before(&mut Objects::new(), &sink).await;
    let address = world.gateway.address("submission").await.unwrap();
    let mut idle = hello(&world, "submission").await;
    let mut busy = hello(&world, "submission").await;
    busy.ask("MAIL FROM:<taro@example.jp>", 250).await;
    let drained = world.shutdown.drain(Duration::from_millis(300));
    let (drained, ()) = tokio::join!(drained, async {
        idle.reply(421).await;
        busy.ask("RCPT TO:<hanako@example.net>", 250).await;
        busy.reply(421).await;
    });
    assert_eq!(drained.abandoned, 0);
    assert!(drained.cut_short >= 1, "{drained:?}");
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody is let in any more"
    );
}

/// Behind something that rewrites addresses, one client's limit would be everybody's: it stands still, and says so.
#[tokio::test]
async fn sources_of_the_cluster_are_not_gone_by() {
    let sink = Sink::start().await;
    let mut objects = Objects::new();
    objects.set(
        "gateway",
        "",
        &json!({ "clusterNetworks": ["127.0.0.0/8"] }),
    );
    objects.set(
        "RateLimit",
        "by-source",
        &json!({ "key": ["Source"], "limits": [{ "unit": "Messages", "count": 1, "per": 3_600_000 }],
            "onExceed": "Reject" }),
    );
    let world = World::before(&mut objects, &sink).await;
    // Health checks connect and go; they are no evidence.
    for _ in 0..25 {
        hello(&world, "submission").await;
    }
    assert_eq!(world.gateway.source_trust(), SourceTrust::Trusted);
    for _ in 0..20 {
        let mut client = hello(&world, "submission").await;
        client.ask("MAIL FROM:<taro@example.jp>", 250).await;
    }
    assert_eq!(world.gateway.source_trust(), SourceTrust::Untrusted);
    let gauge = "sekisho_gateway_source_untrusted{gateway=\"mail/outbound\"} 1";
    let metrics = world.metrics.encode(world.clock.now_ms());
    assert!(metrics.contains(gauge), "{metrics}");
    for _ in 0..3 {
        let mut client = hello(&world, "submission").await;
        client.ask("MAIL FROM:<taro@example.jp>", 250).await;
        client.ask("RCPT TO:<hanako@example.net>", 250).await;
        client.ask("DATA", 354).await;
        client.send(b"Subject: x\r\n\r\nx\r\n.\r\n").await;
        client.reply(250).await;
    }
    objects.set("gateway", "", &json!({ "clusterNetworks": [] }));
    world.apply(&mut objects).await.unwrap();
    assert_eq!(world.gateway.source_trust(), SourceTrust::Trusted);
}
