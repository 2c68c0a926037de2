//! Each dependency of a proxy is stopped, made silent, made slow, made to talk rubbish, and brought back while clients send.
//! docs/failures.md is the table of what these tests show.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sekisho_testkit::{Conduct, Link, Peer, Port, Process, RedisServer, Sink, wait_until};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::control::Offer;
use crate::world::{World, wait_for_metric};

const CLIENTS: usize = 4;

/// Several clients at once send so many messages each; how each ended.
async fn burst(door: SocketAddr, each: usize) -> Vec<String> {
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(async move {
            let mut told = Vec::new();
            for _ in 0..each {
                told.push(send(door).await);
            }
            told
        });
    }
    clients.join_all().await.into_iter().flatten().collect()
}

/// Sends one message in a session of its own; the first refusal, or the reply to the final dot.
async fn send(door: SocketAddr) -> String {
    // What an engine said of a message is remembered: no two are alike.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut peer = Peer::connect(door).await;
    let content = format!("Subject: {number}\r\n\r\nHello {number}.\r\n.");
    let mut told = peer.line().await;
    for line in [
        "HELO client.example",
        "MAIL FROM:<a@example.jp>",
        "RCPT TO:<b@example.net>",
        "DATA",
        &content,
    ] {
        peer.say(line).await;
        told = peer.line().await;
        if !told.starts_with(['2', '3']) {
            break;
        }
    }
    told
}

fn assert_all(told: &[String], reply: &str, when: &str) {
    let others: Vec<_> = told
        .iter()
        .filter(|told| !told.starts_with(reply))
        .collect();
    assert!(others.is_empty(), "{when}: not {reply}: {others:?}");
}

/// Misbehaves from now on.
async fn begin(link: &Link, conduct: Conduct) {
    link.conduct(conduct);
    if conduct == Conduct::Gone {
        link.closed().await;
    }
}

/// What the metrics say of a series.
fn metric(world: &World, series: &str) -> u64 {
    let metrics = world.get("/metrics").1;
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    line.and_then(|value| value.trim().parse().ok())
        .unwrap_or(0)
}

fn started(world: &World) -> Process {
    let mut proxy = world.start();
    proxy.wait_for_port(world.smtp.address());
    proxy
}

fn rate_limit(name: &str, listener: &str, count: u64, on_unavailable: &str) -> Value {
    json!({
        "object": { "kind": "RateLimit", "namespace": "mail", "name": name },
        "enforcement": "Enforce", "brake": "Default", "rule": "RateLimit",
        "match": { "listeners": [listener] },
        "spec": {
            "key": ["Source"],
            "limits": [{ "unit": "Recipients", "count": count, "per": 3_600_000 }],
            "onExceed": "Defer", "onUnavailable": on_unavailable
        }
    })
}

fn place(address: SocketAddr) -> Value {
    json!({ "host": address.ip().to_string(), "port": address.port() })
}

/// A proxy that counts in Redis: a listener for each thing that a limit can say of an outage.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counters_that_fail_are_what_each_limit_says() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let link = Link::to(([127, 0, 0, 1], redis.port()).into()).await;
    let (world, third) = (World::new().await, Port::free());
    fs::write(
        world.path("secrets/redis_url"),
        format!("redis://{}", link.address()),
    )
    .unwrap();
    let doors = [
        ("submission", world.smtp.address(), "Defer", "451 4.3.0"),
        ("second", world.second.address(), "Allow", "250"),
        ("third", third.address(), "LocalOnly", "250"),
    ];
    world.mount(&world.snapshot(1, |body| {
        let gateway = &mut body["gateway"];
        gateway["counters"] = json!({ "Redis": { "secret": "redis" } });
        gateway["listeners"] = doors
            .map(|(name, at, ..)| world.listener(name, at.port()))
            .into();
        body["rules"] = doors
            .map(|(name, _, says, _)| rate_limit(name, name, 100_000, says))
            .into();
    }));
    let _proxy = started(&world);
    let parts = |state: &str| {
        format!("sekisho_counter_parts{{gateway=\"mail/outbound\",state=\"{state}\"}} 1")
    };
    let trips = || {
        metric(
            &world,
            "sekisho_counter_round_trips_total{backend=\"redis\"} ",
        )
    };
    wait_for_metric(&world, &parts("asked"));
    for conduct in [
        Conduct::Gone,
        Conduct::Silent,
        Conduct::Late(Duration::from_millis(400)),
        Conduct::Rubbish,
    ] {
        for (_, door, ..) in doors {
            assert_all(&burst(door, 5).await, "250", "while all is well");
        }
        begin(&link, conduct).await;
        for (_, door, says, reply) in doors {
            assert_all(
                &burst(door, 10).await,
                reply,
                &format!("{says}, {conduct:?}"),
            );
        }
        wait_for_metric(&world, &parts("suspended"));
        world.wait_for_ready(200, "Redis: 1 of 1 parts do not answer");
        // Events ask nobody any more; what is asked is asked by probes.
        let before = trips();
        burst(world.smtp.address(), 20).await;
        let asked = trips() - before;
        assert!(asked < 20, "{conduct:?}: {asked} round trips for 80 events");
        link.conduct(Conduct::Pass);
        wait_for_metric(&world, &parts("asked"));
    }
    for (_, door, ..) in doors {
        assert_all(&burst(door, 5).await, "250", "at the end");
    }
}

/// Answers as rspamd does.
async fn engine() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let score = async |request: Request<Incoming>| {
        request.into_body().collect().await.unwrap();
        let body = r#"{"score": 1.0, "action": "no action", "symbols": {}}"#;
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(
            body.as_bytes(),
        ))))
    };
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(score));
            tokio::spawn(served);
        }
    });
    (address, serving)
}

fn examined(engine: SocketAddr) -> Value {
    json!([{
        "object": { "kind": "SubmissionPolicy", "namespace": "mail", "name": "all" },
        "enforcement": "Enforce", "brake": "Default", "rule": "SubmissionPolicy",
        "spec": {
            "bareNewlines": "Normalize", "envelopeSender": "Any", "headerSender": "Any", "recipientDomains": "Any",
            "classify": {
                "engines": [{
                    "protocol": "Rspamd", "address": place(engine), "timeout": 600, "concurrency": 8, "suspectAt": 6000
                }],
                "suspectAt": 5000, "spamAt": 10000
            }
        }
    }])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_engine_that_fails_is_what_the_gateway_says() {
    let (engine, _serving) = engine().await;
    for (says, reply) in [("RouteClean", "250"), ("Defer", "451 4.3.0")] {
        let link = Link::to(engine).await;
        let world = World::new().await;
        world.mount(&world.snapshot(1, |body| {
            let unavailable = json!({ "config": "Keep", "message": says, "classifier": says });
            body["gateway"]["onUnavailable"] = unavailable;
            body["rules"] = examined(link.address());
        }));
        let _proxy = started(&world);
        let door = world.smtp.address();
        for (conduct, results, reply) in [
            (
                Conduct::Late(Duration::from_millis(20)),
                &["scored"][..],
                "250",
            ),
            (Conduct::Silent, &["timeout"], reply),
            (Conduct::Late(Duration::from_secs(2)), &["timeout"], reply),
            (Conduct::Rubbish, &["broken", "bad_answer"], reply),
            (Conduct::Gone, &["unreachable"], reply),
        ] {
            let when = format!("{says}, {conduct:?}");
            let counted = || {
                let each = results.iter().map(|result| examinations(&world, result));
                each.sum::<u64>()
            };
            assert_all(&burst(door, 2).await, "250", "while all is well");
            let before = counted();
            begin(&link, conduct).await;
            assert_all(&burst(door, 2).await, reply, &when);
            assert!(counted() > before, "{when}: {}", world.get("/metrics").1);
            if conduct == Conduct::Gone {
                wait_for_metric(&world, "sekisho_classifier_suspended{engine=\"rspamd\"} 1");
            }
            link.conduct(Conduct::Pass);
            scored_again(&world, door).await;
        }
    }
}

/// Sends until a message is scored.
async fn scored_again(world: &World, door: SocketAddr) {
    let before = examinations(world, "scored");
    for _ in 0..1_000 {
        let told = send(door).await;
        if examinations(world, "scored") > before {
            assert!(told.starts_with("250"), "{told}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nothing is scored:\n{}", world.get("/metrics").1);
}

fn examinations(world: &World, result: &str) -> u64 {
    let labels = format!("{{engine=\"rspamd\",result=\"{result}\"}} ");
    metric(world, &format!("sekisho_classifier_requests_total{labels}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_next_hop_that_fails_is_nobodys_mail_lost() {
    let sink = Sink::start().await;
    let link = Link::to(sink.address()).await;
    let world = World::new().await;
    world.mount(&world.snapshot(1, |body| {
        body["gateway"]["upstream"]["endpoints"] = json!([place(link.address())]);
    }));
    let _proxy = started(&world);
    let door = world.smtp.address();
    for (conduct, kind, reply) in [
        (Conduct::Late(Duration::from_millis(50)), "", "250"),
        (Conduct::Gone, "connect", "451 4.4.1"),
        (Conduct::Rubbish, "protocol", "451 4.4.2"),
    ] {
        assert_all(&burst(door, 5).await, "250", "while all is well");
        sink.take();
        begin(&link, conduct).await;
        let told = burst(door, 10).await;
        assert_all(&told, reply, &format!("{conduct:?}"));
        let taken = told.iter().filter(|told| told.starts_with("250")).count();
        assert_eq!(sink.take().len(), taken, "{conduct:?}");
        if !kind.is_empty() {
            let errors = format!(
                "sekisho_upstream_errors_total{{gateway=\"mail/outbound\",kind=\"{kind}\",pool=\"-\"}} "
            );
            assert!(metric(&world, &errors) > 0, "{}", world.get("/metrics").1);
        }
        link.conduct(Conduct::Pass);
        sekisho_testkit::wait_for_port(link.address());
        // The only one there is, is tried again with the next message.
        assert_all(&burst(door, 5).await, "250", "when it is back");
        sink.take();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_control_plane_that_fails_is_what_the_gateway_says_and_keeps_no_session() {
    for (says, conduct, reply) in [
        ("Keep", Conduct::Gone, "550 5.7.1"),
        ("Shadow", Conduct::Silent, "250"),
        ("Refuse", Conduct::Rubbish, "451"),
    ] {
        let snapshot = |world: &World| {
            world.snapshot(1, |body| {
                body["gateway"]["onUnavailable"]["config"] = says.into();
                body["gateway"]["listeners"] = json!([
                    world.listener("submission", world.smtp.number()),
                    world.listener("second", world.second.number())
                ]);
                body["rules"] = json!([rate_limit("none", "second", 0, "Defer")]);
            })
        };
        let (mut world, control) =
            World::with_control(|world| Offer::Snapshot(Box::new(snapshot(world)))).await;
        let link = Link::to(control.address).await;
        world.control = link.address();
        world.more = ["--stale-after", "2s"].map(str::to_owned).to_vec();
        let _proxy = started(&world);
        let (door, limited) = (world.smtp.address(), world.second.address());
        let mut sent = refused_by_the_limit(limited).await;
        begin(&link, conduct).await;
        // Not stale yet: as ever. Nobody waits for records to be taken either.
        let told = burst(limited, 5).await;
        sent += told.len();
        world.wait_for_ready(200, "no word from the control plane for too long");
        let told = burst(limited, 5).await;
        assert_all(&told, reply, says);
        sent += told.len();
        if says == "Keep" {
            let told = burst(door, 10).await;
            assert_all(&told, "250", "mail goes on");
            sent += told.len();
        }
        link.conduct(Conduct::Pass);
        sent += refused_by_the_limit(limited).await;
        // What is refused because there is no word is no transaction.
        if says != "Refuse" {
            let records = || control.records().len();
            wait_until(&format!("{sent} records with {says}"), || {
                (records() >= sent).then_some(())
            });
            assert_eq!(records(), sent, "each once");
        }
        assert_eq!(
            metric(&world, "sekisho_ledger_records_total{result=\"dropped\"} "),
            0
        );
    }
}

/// Tries until the rules are enforced; how many messages that took.
async fn refused_by_the_limit(door: SocketAddr) -> usize {
    let mut told = String::new();
    for tried in 1..1_000 {
        told = send(door).await;
        if told.starts_with("550 5.7.1") {
            return tried;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the limit does not refuse: {told}");
}
