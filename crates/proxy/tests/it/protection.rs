//! What clients may cost a gateway, over real sockets and pipes: crowds, words that are no TLS, the end of the process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sekisho_testkit::{Peer, Sink};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::world::{Objects, World};

/// What nothing here takes, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

async fn started(objects: &mut Objects) -> (World, Sink) {
    let sink = Sink::start().await;
    let hops = [("U".to_owned(), sink.address())].into();
    (World::start(objects, &hops, &[]).await.unwrap(), sink)
}

/// A session of a client at `source`; what is said first is left to be read.
fn client(world: &World, source: &str) -> Peer<DuplexStream> {
    let (client, server) = Peer::in_memory();
    let gateway = Arc::clone(&world.gateway);
    let source: SocketAddr = source.parse().unwrap();
    let destination: SocketAddr = "192.0.2.1:587".parse().unwrap();
    tokio::spawn(async move {
        gateway
            .serve("submission", server, source, destination)
            .await
    });
    client
}

#[tokio::test]
async fn who_takes_every_connection_leaves_room_for_others() {
    let mut objects = Objects::new();
    let limits = json!({ "connections": 20, "connectionsPerSource": 20 });
    objects.set("gateway", "", &json!({ "limits": limits }));
    let (world, _sink) = started(&mut objects).await;
    let mut greedy = Vec::new();
    for port in 1..=16 {
        let mut one = client(&world, &format!("203.0.113.9:{port}"));
        one.reply(220).await;
        greedy.push(one);
    }
    client(&world, "203.0.113.9:17").reply(421).await;
    let mut other = client(&world, "198.51.100.7:1");
    other.reply(220).await;
    // More room is there at once when the limits change.
    let limits = json!({ "connections": 100 });
    objects.set("gateway", "", &json!({ "limits": limits }));
    world.apply(&mut objects).await.unwrap();
    client(&world, "203.0.113.9:18").reply(220).await;
}

/// A front such as nginx has one address and many clients: they count, and it does not.
#[tokio::test]
async fn a_front_does_not_fill_up_for_its_clients() {
    let mut objects = Objects::new();
    let limits = json!({ "connectionsPerSource": 1 });
    objects.set("gateway", "", &json!({ "limits": limits }));
    objects.set("listener", "", &json!({ "xclientFrom": ["192.0.2.40/32"] }));
    let (world, _sink) = started(&mut objects).await;
    let mut kept = Vec::new();
    for at in 1..=3 {
        let mut one = client(&world, &format!("192.0.2.40:{at}"));
        one.reply(220).await;
        one.ask("EHLO front.example.jp", 250).await;
        one.ask(&format!("XCLIENT ADDR=198.51.100.{at}"), 220).await;
        kept.push(one);
    }
    let mut second = client(&world, "192.0.2.40:9");
    second.reply(220).await;
    second.ask("EHLO front.example.jp", 250).await;
    second.ask("XCLIENT ADDR=198.51.100.1", 421).await;
    second.closed().await;
    client(&world, "198.51.100.2:1").reply(421).await;
}

fn rule_on_early_talk(objects: &mut Objects) {
    let when = json!({ "compare": ["sourceBeforeGreeting", "eq", { "text": "Talked" }] });
    let limits = json!([{ "unit": "Connections", "count": 0, "per": 60000 }]);
    let spec = json!({ "key": ["Source"], "limits": limits, "match": { "when": when } });
    objects.set("RateLimit", "early", &spec);
}

const EARLY_TALKERS: &str =
    "sekisho_abuse_detections_total{gateway=\"mail/outbound\",kind=\"early_talker\"} 1";

#[tokio::test(start_paused = true)]
async fn where_a_rule_asks_for_it_a_greeting_waits_for_who_talks_before_it() {
    let mut objects = Objects::new();
    let (world, _sink) = started(&mut objects).await;
    let began = Instant::now();
    client(&world, "203.0.113.9:1").reply(220).await;
    assert_eq!(began.elapsed(), Duration::ZERO, "nobody asks");
    rule_on_early_talk(&mut objects);
    world.apply(&mut objects).await.unwrap();
    let mut silent = client(&world, "203.0.113.9:2");
    let began = Instant::now();
    silent.reply(220).await;
    assert_eq!(began.elapsed(), Duration::from_millis(200));
    let mut early = client(&world, "203.0.113.9:3");
    sleep(Duration::from_millis(150)).await;
    early.say("EHLO pc.example.jp").await;
    early.reply(554).await;
    early.closed().await;
    let metrics = world.metrics.encode(world.clock.now_ms());
    assert!(metrics.contains(EARLY_TALKERS), "{metrics}");
}

/// What a TLS port is told that is not TLS 1.2 or 1.3 ends the connection, and the next client is served.
#[tokio::test]
async fn a_tls_port_ends_what_is_no_tls() {
    let mut objects = Objects::new();
    objects.set("listener", "", &json!({ "tls": "Implicit" }));
    let (world, _sink) = started(&mut objects).await;
    let address = world.gateway.address("submission").await.unwrap();
    // TLS 1.1 (RFC 4346) with one CBC suite, and a hello of SSL 2 that offers SSL 3.
    let mut tls_1_1 = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    tls_1_1.extend([7; 32]);
    tls_1_1.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    let mut ssl = vec![0x80, 28, 1, 3, 0, 0, 3, 0, 0, 0, 16, 0, 0, 4];
    ssl.extend([7; 16]);
    for words in [&b"EHLO pc.example.jp\r\n"[..], &tls_1_1, &ssl, b""] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(words).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "{words:?} is not answered with an end");
        let is_alert = answer.first() == Some(&21) && answer.len() == 7;
        assert!(
            answer.is_empty() || is_alert,
            "{words:?} got {answer:?}, which is no alert"
        );
    }
    let metrics = world.metrics.encode(world.clock.now_ms());
    let incompatible = "sekisho_tls_handshake_errors_total{gateway=\"mail/outbound\",kind=\"incompatible\",listener=\"submission\"} 1";
    assert!(metrics.contains(incompatible), "{metrics}");
}

#[tokio::test]
async fn a_session_outlives_its_certificate_and_its_snapshot() {
    let mut objects = Objects::new();
    objects.set("listener", "", &json!({ "tls": "StartTls" }));
    let (world, sink) = started(&mut objects).await;
    let mut old = client(&world, "203.0.113.9:1");
    old.reply(220).await;
    old.ask("EHLO pc.example.jp", 250).await;
    old.ask("MAIL FROM:<taro@example.jp>", 250).await;
    world.gateway.reload_certificates().await;
    objects.set(
        "gateway",
        "",
        &json!({ "limits": { "errors": 1, "maxBufferedBytes": 1 } }),
    );
    world.apply(&mut objects).await.unwrap();
    // The limits that the session began with, and the memory that its transaction began with.
    old.ask("NONSENSE", 500).await;
    old.ask("RCPT TO:<hanako@example.net>", 250).await;
    old.ask("DATA", 354).await;
    old.send(b"Subject: x\r\n\r\nx\r\n.\r\n").await;
    old.reply(250).await;
    sink.wait_for(1).await;
    old.ask("MAIL FROM:<taro@example.jp>", 452).await;
    let mut new = client(&world, "203.0.113.9:2");
    new.reply(220).await;
    new.ask("NONSENSE", 500).await;
    new.reply(421).await;
}

#[tokio::test]
async fn a_drain_does_not_wait_for_the_tarpit() {
    let mut objects = Objects::new();
    let tarpit = json!({ "mode": "Delay", "after": 1, "delay": 600_000, "maxDelay": 600_000 });
    objects.set("gateway", "", &json!({ "limits": { "tarpit": tarpit } }));
    let (world, _sink) = started(&mut objects).await;
    let mut sunk = client(&world, "203.0.113.9:1");
    sunk.reply(220).await;
    sunk.say("NONSENSE").await;
    let tarpitted =
        "sekisho_abuse_detections_total{gateway=\"mail/outbound\",kind=\"tarpitted\"} 1";
    while !world
        .metrics
        .encode(world.clock.now_ms())
        .contains(tarpitted)
    {
        tokio::task::yield_now().await;
    }
    world.shutdown.begin();
    let told = timeout(PATIENCE, async {
        sunk.reply(500).await;
        sunk.reply(421).await;
    });
    told.await.unwrap();
}
