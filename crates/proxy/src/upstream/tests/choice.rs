//! Which way a message takes: endpoints by health, members by policy, and never a way outside the pool.

use super::*;
use crate::upstream::{End, Fault};

fn member(name: &str, hop: &Value) -> Value {
    json!({ "name": name, "weight": 1, "relay": { "address": hop, "tls": "Off" } })
}

#[tokio::test]
async fn the_second_endpoint_serves_while_the_first_is_down() {
    let hop = Hop::new().await;
    let stage = Stage::upstream(json!({ "endpoints": [nobody().await, hop.json()] }));
    let (_peer, transaction) = tokio::join!(hop.serve(FULL), stage.begin());
    assert_eq!(
        transaction.unwrap().hop().address,
        hop.address().to_string()
    );
    assert!(
        stage.metrics().contains("kind=\"connect\""),
        "{}",
        stage.metrics()
    );
}

#[tokio::test]
async fn an_upstream_that_failed_is_tried_again_at_once_if_there_is_no_other() {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let refuse = async {
        let mut peer = hop.accept().await;
        peer.say("421 4.3.2 Starting").await;
    };
    let ((), begun) = tokio::join!(refuse, stage.begin());
    let failure = begun.unwrap_err();
    assert!(
        failure.reply().to_string().starts_with("451 4.4.1 "),
        "{}",
        failure.reply()
    );
    let (_peer, begun) = tokio::join!(hop.serve(FULL), stage.begin());
    assert!(begun.is_ok());
}

#[tokio::test]
async fn a_refused_address_is_left_alone_and_another_member_serves() {
    let (bad, good) = (Hop::new().await, Hop::new().await);
    let upstream = Hop::new().await;
    let pool = json!({ "members": [member("bad", &bad.json()), member("good", &good.json())] });
    let stage = Stage::new(
        json!({ "endpoints": [upstream.json()] }),
        json!({ "p": pool }),
        Deadlines::default(),
    );
    // A seed for which the bad member comes first.
    let pool = &stage.snapshot.pools["p"];
    let seed = (0..)
        .find(|seed| sekisho_policy::route::choose(pool, *seed, None, None, |_| true) == Some(0))
        .unwrap();
    let refuse = async {
        let mut peer = bad.accept().await;
        peer.say("554 5.7.1 Your address is listed").await;
    };
    let ((), peer, begun) = tokio::join!(refuse, good.serve(FULL), stage.begin_in("p", seed));
    let transaction = begun.unwrap();
    assert_eq!(transaction.hop().member.as_deref(), Some("good"));
    assert_eq!(transaction.hop().pool.as_deref(), Some("p"));
    transaction.reset();
    let again = stage.begin_in("p", seed).await.unwrap();
    assert_eq!(again.hop().member.as_deref(), Some("good"));
    drop((again, peer));
    let refuse = async {
        let mut peer = good.accept().await;
        peer.say("554 5.7.1 Your address is listed").await;
    };
    let ((), begun) = tokio::join!(refuse, stage.begin_in("p", seed));
    let failure = begun.unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("pool p: no member is healthy; the last one tried: pool p, member good"),
        "{failure}"
    );
    assert!(failure.to_string().contains("listed"), "{failure}");
    let failure = stage.begin_in("p", seed).await.unwrap_err();
    assert!(
        matches!(failure.fault(), Fault::NoHealthyMember(None)),
        "{failure}"
    );
    assert!(
        failure.reply().to_string().starts_with("451 4.4.1 "),
        "{}",
        failure.reply()
    );
    assert!(bad.is_quiet().await && good.is_quiet().await && upstream.is_quiet().await);
}

#[tokio::test]
async fn mail_leaves_from_the_members_address_under_its_name() {
    let hop = Hop::new().await;
    let pool = json!({ "members": [
        { "name": "a", "weight": 1, "sourceAddress": "127.0.0.2", "heloName": "out1.example.jp" },
    ] });
    let stage = Stage::new(
        json!({ "endpoints": [hop.json()] }),
        json!({ "p": pool }),
        Deadlines::default(),
    );
    let serve = async {
        let (mut peer, from) = hop.accept_from().await;
        assert_eq!(from.to_string(), "127.0.0.2");
        peer.say("220 hop").await;
        peer.expect("EHLO out1.example.jp").await;
        peer.send(FULL.as_bytes()).await;
        peer
    };
    let (_peer, begun) = tokio::join!(serve, stage.begin_in("p", 1));
    assert_eq!(
        begun.unwrap().hop().from,
        Some("127.0.0.2".parse().unwrap())
    );
}

#[test]
fn an_address_that_nothing_can_leave_from_is_refused_with_its_place() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let load = |source: &str, relay: &str, previous: Option<&NextHops>| {
        let relay = json!({ "address": { "host": relay, "port": 25 }, "tls": "Off" });
        let member = json!({ "name": "a", "weight": 1, "sourceAddress": source, "relay": relay });
        let upstream = json!({ "endpoints": [{ "host": "127.0.0.1", "port": 25 }] });
        let snapshot = snapshot(upstream, json!({ "p": { "members": [member] } }));
        NextHops::load(&snapshot, environment(Deadlines::default()), previous)
    };
    for (source, relay, named) in [
        (
            "192.0.2.77",
            "127.0.0.1",
            ["from 192.0.2.77", "give that address to this machine"],
        ),
        (
            "127.0.0.2",
            "::1",
            [
                "[::1]:25 cannot be reached from 127.0.0.2",
                "other IP version",
            ],
        ),
        (
            "::1",
            "192.0.2.1",
            [
                "192.0.2.1:25 cannot be reached from ::1",
                "other IP version",
            ],
        ),
        (
            "0.0.0.0",
            "127.0.0.1",
            ["0.0.0.0 is no address", "leave sourceAddress out"],
        ),
        ("::", "::1", [":: is no address", "leave sourceAddress out"]),
        (
            "224.0.0.1",
            "127.0.0.1",
            ["224.0.0.1 is no address", "this machine's addresses"],
        ),
        (
            "255.255.255.255",
            "127.0.0.1",
            ["is no address", "this machine's addresses"],
        ),
    ] {
        let error = load(source, relay, None).unwrap_err().to_string();
        for part in ["pool p, member a: "].into_iter().chain(named) {
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    }
    // A host by name may have addresses of either version.
    let first = load("127.0.0.2", "relay.example.net", None).unwrap();
    assert!(load("192.0.2.77", "relay.example.net", Some(&first)).is_err());
}

#[tokio::test]
async fn a_relay_gets_its_header_fields_first() {
    let hop = Hop::new().await;
    let relay = json!({ "address": hop.json(), "tls": "Off", "headers": { "X-Set": "clean", "X-Also": "." } });
    let pool = json!({ "members": [{ "name": "a", "weight": 1, "relay": relay }] });
    let stage = Stage::new(
        json!({ "endpoints": [nobody().await] }),
        json!({ "p": pool }),
        Deadlines::default(),
    );
    let serve = async {
        let mut peer = hop.serve(FULL).await;
        peer.expect("MAIL FROM:<a@example.jp>").await;
        peer.expect("RCPT TO:<b@example.com>").await;
        peer.send(b"250 ok\r\n250 ok\r\n").await;
        peer.expect("DATA").await;
        peer.say("354 go on").await;
        assert_eq!(
            peer.data().await,
            b"X-Also: .\r\nX-Set: clean\r\nSubject: x\r\n\r\n.\r\n"
        );
        peer.say("250 ok").await;
    };
    let send = async {
        let mut transaction = stage.begin_in("p", 1).await.unwrap();
        transaction
            .recipients(&[rcpt("b@example.com")])
            .await
            .unwrap();
        transaction.data().await.unwrap();
        transaction.write(b"Subject: x\r\n\r\n").await.unwrap();
        assert!(matches!(
            transaction.finish().await.unwrap(),
            End::Accepted(_)
        ));
    };
    tokio::join!(serve, send);
}

#[tokio::test]
async fn a_pool_holds_no_more_connections_than_it_may() {
    let (one, two) = (Hop::new().await, Hop::new().await);
    let pool = json!({ "members": [member("one", &one.json()), member("two", &two.json())], "maxConnections": 1 });
    let stage = Stage::new(
        json!({ "endpoints": [nobody().await] }),
        json!({ "p": pool }),
        Deadlines::default(),
    );
    let pool = &stage.snapshot.pools["p"];
    let seed_of = |member| {
        (0..)
            .find(|seed| {
                sekisho_policy::route::choose(pool, *seed, None, None, |_| true) == Some(member)
            })
            .unwrap()
    };
    let (mut peer, begun) = tokio::join!(one.serve(FULL), stage.begin_in("p", seed_of(0)));
    let held = begun.unwrap();
    let name: Arc<str> = "p".into();
    let arc = Arc::new(pool.clone());
    let destination = Destination {
        route: Route::Pool {
            name: &name,
            pool: &arc,
        },
        seed: seed_of(1),
        account: None,
        recipient_domain: None,
    };
    let soon = Instant::now() + Duration::from_millis(100);
    let begun = stage
        .hops
        .begin(
            &stage.caller,
            &destination,
            mail("MAIL FROM:<a@example.jp>"),
            soon,
        )
        .await;
    let failure = begun.unwrap_err();
    assert!(matches!(failure.fault(), Fault::Saturated), "{failure}");
    assert!(
        failure.reply().to_string().starts_with("451 4.4.5 "),
        "{}",
        failure.reply()
    );
    held.reset();
    // The idle connection to the first makes room for one to the second.
    let (_peer, begun, ()) =
        tokio::join!(two.serve(FULL), stage.begin_in("p", seed_of(1)), async {
            peer.expect("QUIT").await;
        });
    assert_eq!(begun.unwrap().hop().member.as_deref(), Some("two"));
}

#[tokio::test]
async fn a_new_snapshot_keeps_what_stays_and_closes_what_goes() {
    let (stays, goes) = (Hop::new().await, Hop::new().await);
    let upstream = json!({ "endpoints": [stays.json()] });
    let pool = json!({ "members": [member("a", &goes.json())] });
    let mut stage = Stage::new(upstream.clone(), json!({ "p": pool }), Deadlines::default());
    let (mut kept, begun) = tokio::join!(stays.serve(FULL), stage.begin());
    begun.unwrap().reset();
    let (mut left, begun) = tokio::join!(goes.serve(FULL), stage.begin_in("p", 1));
    begun.unwrap().reset();
    let next = snapshot(
        upstream,
        json!({ "p": { "members": [member("a", &stays.json())] } }),
    );
    stage.hops = NextHops::load(&next, Arc::clone(&stage.environment), Some(&stage.hops)).unwrap();
    left.expect("QUIT").await;
    let serve = async {
        receive(&mut kept).await;
        kept.say("250 ok").await;
    };
    let ((), end) = tokio::join!(serve, stage.send());
    assert!(matches!(end, End::Accepted(_)), "{end:?}");
    assert!(stays.is_quiet().await);
}

#[test]
fn a_snapshot_whose_next_hops_cannot_be_used_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let endpoint = json!({ "host": "127.0.0.1", "port": 25 });
    let upstream = json!({ "endpoints": [endpoint] });
    let relay = |headers: Value| json!({ "members": [{ "name": "a", "weight": 1, "relay": { "address": endpoint, "tls": "Off", "headers": headers } }] });
    let table = [
        (json!({ "endpoints": [] }), json!({}), "no endpoints"),
        (
            upstream.clone(),
            json!({ "p": { "members": [] } }),
            "pool p: it has no members",
        ),
        (
            upstream.clone(),
            relay(json!({ "X": "a\r\nBcc: b@example.com" })),
            "\"X\" cannot be sent",
        ),
        (
            upstream.clone(),
            relay(json!({ "X Y": "a" })),
            "\"X Y\" cannot be sent",
        ),
        (
            upstream.clone(),
            json!({ "p": { "members": [member("a", &endpoint)], "maxConnections": 0 } }),
            "no connections",
        ),
        (
            upstream,
            json!({ "p": { "members": [{ "name": "a", "weight": 1, "heloName": "a\r\nb" }] } }),
            "no name for EHLO",
        ),
    ];
    for (upstream, pools, fault) in table {
        let pools = if pools.get("members").is_some() {
            json!({ "p": pools })
        } else {
            pools
        };
        let error = NextHops::load(
            &snapshot(upstream, pools),
            environment(Deadlines::default()),
            None,
        )
        .unwrap_err();
        assert!(error.to_string().contains(fault), "{error}");
    }
}
