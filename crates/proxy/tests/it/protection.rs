//! What clients may cost a gateway, over real sockets and pipes: crowds, words that are no TLS, the end of the process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sekisho_testkit::{Peer, Sink};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use crate::world::{Objects, World};

/// What nothing here takes, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// A session of a client at `source`; what is said first is left to be read.
fn client(world: &World, source: &str) -> Peer<DuplexStream> {
    let (client, server) = Peer::in_memory();
    let gateway = Arc::clone(&world.gateway);
    let source: SocketAddr = source.parse().unwrap();
    let destination: SocketAddr = "192.0.2.1:587".parse().unwrap();
    world.shutdown.spawn(async move {
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
    let (world, _sink) = World::before_a_sink(&mut objects).await;
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
    let (world, _sink) = World::before_a_sink(&mut objects).await;
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

/// Each login that the upstream is asked about takes a connection there: one source cannot take them all.
#[tokio::test]
async fn one_source_has_few_logins_under_way_at_the_upstream() {
    let hop = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hops = [("U".to_owned(), hop.local_addr().unwrap())].into();
    let mut objects = Objects::new();
    let world = World::start(&mut objects, &hops, &[]).await.unwrap();
    let auth = "AUTH PLAIN AHRhcm9AZXhhbXBsZS5qcABjb3JyZWN0IGhvcnNl";
    let mut waiting = Vec::new();
    for port in 1..=16 {
        let mut one = client(&world, &format!("203.0.113.9:{port}"));
        one.reply(220).await;
        one.ask("EHLO pc.example.jp", 250).await;
        one.say(auth).await;
        // It connects, and hears nothing.
        waiting.push((one, hop.accept().await.unwrap()));
    }
    let mut more = client(&world, "203.0.113.9:17");
    more.reply(220).await;
    more.ask("EHLO pc.example.jp", 250).await;
    more.ask(auth, 454).await;
    let mut other = client(&world, "198.51.100.7:1");
    other.reply(220).await;
    other.ask("EHLO pc.example.jp", 250).await;
    other.say(auth).await;
    let _asked = timeout(PATIENCE, hop.accept()).await.unwrap().unwrap();
    drop(waiting);
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
    let (world, _sink) = World::before_a_sink(&mut objects).await;
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
    let (world, _sink) = World::before_a_sink(&mut objects).await;
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
    let (world, sink) = World::before_a_sink(&mut objects).await;
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

/// What is refused for want of memory still has to be read to its end, and no longer takes any.
#[tokio::test]
async fn a_message_that_finds_no_room_makes_room_for_others() {
    let mut objects = Objects::new();
    let limits = json!({ "maxBufferedBytes": 320 * 1024 });
    objects.set("gateway", "", &json!({ "limits": limits }));
    let (world, sink) = World::before_a_sink(&mut objects).await;
    let mut large = Vec::new();
    for port in 1..=2 {
        let mut one = client(&world, &format!("203.0.113.9:{port}"));
        one.reply(220).await;
        one.ask("EHLO pc.example.jp", 250).await;
        begin(&mut one).await;
        large.push(one);
    }
    let field = [b"X-Long: ".as_slice(), &[b'x'; 900], b"\r\n"].concat();
    let half = field.repeat(56);
    for _ in 0..2 {
        for one in &mut large {
            one.send(&half).await;
        }
    }
    let lacking = "kind=\"out_of_memory\"} 1";
    let metrics = || world.metrics.encode(world.clock.now_ms());
    while !metrics().contains(lacking) {
        tokio::task::yield_now().await;
    }
    let mut small = client(&world, "198.51.100.7:1");
    small.reply(220).await;
    small.ask("EHLO pc.example.jp", 250).await;
    begin(&mut small).await;
    small.send(b"Subject: x\r\n\r\nx\r\n.\r\n").await;
    small.reply(250).await;
    let mut told = Vec::new();
    for one in &mut large {
        one.send(b"\r\nx\r\n.\r\n").await;
        told.push(one.line().await[..3].to_owned());
    }
    told.sort_unstable();
    assert_eq!(told, ["250", "452"]);
    sink.wait_for(2).await;
}

async fn begin(client: &mut Peer<DuplexStream>) {
    client.ask("MAIL FROM:<taro@example.jp>", 250).await;
    client.ask("RCPT TO:<hanako@example.net>", 250).await;
    client.ask("DATA", 354).await;
}

#[tokio::test]
async fn a_drain_does_not_wait_for_the_tarpit() {
    let mut objects = Objects::new();
    let tarpit = json!({ "mode": "Delay", "after": 1, "delay": 600_000, "maxDelay": 600_000 });
    objects.set("gateway", "", &json!({ "limits": { "tarpit": tarpit } }));
    let (world, _sink) = World::before_a_sink(&mut objects).await;
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

/// Idle sessions end at once, those within a transaction at the deadline and not before; time is the runtime's.
#[tokio::test(start_paused = true)]
async fn a_drain_keeps_its_deadline() {
    let (world, _sink) = World::before_a_sink(&mut Objects::new()).await;
    let mut idle = client(&world, "203.0.113.9:1");
    let mut busy = client(&world, "203.0.113.9:2");
    for one in [&mut idle, &mut busy] {
        one.reply(220).await;
        one.ask("EHLO pc.example.jp", 250).await;
    }
    busy.ask("MAIL FROM:<taro@example.jp>", 250).await;
    let (began, deadline) = (Instant::now(), Duration::from_secs(8));
    let talk = async {
        idle.reply(421).await;
        idle.closed().await;
        assert!(began.elapsed() < Duration::from_secs(1));
        // It may go on, and begin nothing new.
        busy.ask("NOOP", 250).await;
        busy.reply(421).await;
        busy.closed().await;
        let ended = began.elapsed();
        assert!(ended >= deadline, "{ended:?}");
        assert!(ended < deadline + Duration::from_secs(1), "{ended:?}");
    };
    let (drained, ()) = tokio::join!(world.shutdown.drain(deadline), talk);
    assert_eq!(drained.abandoned, 0);
}

/// How many logins were refused, and how many attempts wait for their turn.
fn counted(world: &World) -> (usize, usize) {
    let text = world.metrics.encode(world.clock.now_ms());
    let of = |series: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0.0, |value| value.trim().parse::<f64>().unwrap())
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small counts"
    )]
    let whole = |value: f64| value as usize;
    let refused = text
        .lines()
        .filter(|line| line.starts_with("sekisho_auth_total") && line.contains("bad_credentials"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    (
        whole(refused.sum()),
        whole(of("sekisho_password_checks_waiting")),
    )
}

/// Whole sessions that guess, all at once and from one source, delay a login from elsewhere by a few hashes.
#[tokio::test]
async fn a_flood_of_logins_does_not_keep_others_out() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (flood, waiting) = (16 * cores, 8 * cores);
    let mut objects = Objects::new();
    let authentication = json!({ "backends": [{ "accountsFile": "{accounts}" }] });
    let limits = json!({ "connections": 10_000, "connectionsPerSource": 5_000 });
    let gateway = json!({ "authentication": authentication, "limits": limits });
    objects.set("gateway", "", &gateway);
    let sink = Sink::start().await;
    let hops = [("U".to_owned(), sink.address())].into();
    let accounts = [("taro@example.jp".to_owned(), "right".to_owned())];
    let world = World::start(&mut objects, &hops, &accounts).await.unwrap();
    let mut guessers = Vec::new();
    for port in 1..=flood {
        let mut one = client(&world, &format!("203.0.113.9:{port}"));
        one.reply(220).await;
        one.ask("EHLO pc.example.jp", 250).await;
        guessers.push(one);
    }
    let mut good = client(&world, "198.51.100.7:1");
    good.reply(220).await;
    good.ask("EHLO pc.example.jp", 250).await;
    for guesser in &mut guessers {
        guesser
            .say("AUTH PLAIN AHRhcm9AZXhhbXBsZS5qcAB3cm9uZw==")
            .await;
    }
    let before = loop {
        let (refused, wait) = counted(&world);
        if wait >= waiting {
            break refused;
        }
        assert!(refused < flood - waiting, "the flood never built up");
        tokio::task::yield_now().await;
    };
    good.ask("AUTH PLAIN AHRhcm9AZXhhbXBsZS5qcAByaWdodA==", 235)
        .await;
    // Those that hashed when it came, one turn, and what ends meanwhile; first come, first served would be all that waited.
    let (refused, _) = counted(&world);
    let passed = refused - before;
    assert!(passed <= 4 * cores, "{passed} of {waiting} came before");
    for one in guessers.iter_mut().take(2) {
        one.reply(535).await;
    }
}
