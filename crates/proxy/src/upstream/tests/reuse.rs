//! Connections that carry one message after the other, and those that must not.

use super::*;
use crate::upstream::End;

fn accepted(end: &End) -> bool {
    matches!(end, End::Accepted(_))
}

#[tokio::test]
async fn the_next_message_takes_the_same_connection() {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let serve = async {
        let mut peer = hop.serve(FULL).await;
        for _ in 0..3 {
            receive(&mut peer).await;
            peer.say("250 ok").await;
        }
        peer
    };
    let send = async {
        for _ in 0..3 {
            assert!(accepted(&stage.send().await));
        }
    };
    let (_peer, ()) = tokio::join!(serve, send);
    assert!(hop.is_quiet().await);
}

#[tokio::test]
async fn rset_travels_with_the_next_mail() {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let serve = async {
        let mut peer = hop.serve(FULL).await;
        peer.expect("MAIL FROM:<a@example.jp>").await;
        peer.expect("RCPT TO:<b@example.com>").await;
        peer.send(b"250 ok\r\n250 ok\r\n").await;
        peer.expect("RSET").await;
        peer.expect("MAIL FROM:<a@example.jp>").await;
        peer.expect("RCPT TO:<c@example.com>").await;
        peer.send(b"250 reset\r\n250 ok\r\n251 will forward\r\n")
            .await;
        peer
    };
    let send = async {
        let mut transaction = stage.begin().await.unwrap();
        transaction
            .recipients(&[rcpt("b@example.com")])
            .await
            .unwrap();
        transaction.reset();
        let mut transaction = stage.begin().await.unwrap();
        assert_eq!(
            transaction
                .recipients(&[rcpt("c@example.com")])
                .await
                .unwrap()[0]
                .code(),
            251
        );
    };
    tokio::join!(serve, send);
}

#[tokio::test]
async fn a_refused_sender_or_message_leaves_the_connection_good() {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let serve = async {
        let mut peer = hop.serve(FULL).await;
        peer.expect("MAIL FROM:<a@example.jp>").await;
        peer.expect("RCPT TO:<b@example.com>").await;
        peer.send(b"550 5.7.1 Not you\r\n503 5.5.1 Need MAIL\r\n")
            .await;
        peer.expect("RSET").await;
        peer.expect("MAIL FROM:<a@example.jp>").await;
        peer.expect("RCPT TO:<b@example.com>").await;
        peer.send(b"250 ok\r\n250 ok\r\n250 ok\r\n").await;
        peer.expect("DATA").await;
        peer.say("452 4.3.1 Full").await;
        peer.expect("RSET").await;
        peer.send(b"250 ok\r\n").await;
        receive(&mut peer).await;
        peer.say("554 5.6.0 Not that").await;
        receive(&mut peer).await;
        peer.say("250 ok").await;
        peer
    };
    let send = async {
        let mut transaction = stage.begin().await.unwrap();
        let failure = transaction
            .recipients(&[rcpt("b@example.com")])
            .await
            .unwrap_err();
        assert_eq!(failure.refusal().unwrap().to_string(), "550 5.7.1 Not you");
        assert_eq!(failure.hop().unwrap().reply, "550 5.7.1 Not you");
        transaction.reset();
        let mut transaction = stage.begin().await.unwrap();
        transaction
            .recipients(&[rcpt("b@example.com")])
            .await
            .unwrap();
        let failure = transaction.data().await.unwrap_err();
        assert_eq!(failure.reply().to_string(), "452 4.3.1 Full");
        transaction.reset();
        let end = stage.send().await;
        assert!(
            matches!(&end, End::Refused(reply) if reply.code() == 554),
            "{end:?}"
        );
        assert!(accepted(&stage.send().await));
    };
    let (_peer, ()) = tokio::join!(serve, send);
}

/// What a next hop may do to a connection that waits; each time the message must go over a new one.
#[tokio::test]
async fn a_connection_that_died_while_idle_is_replaced() {
    for farewell in [
        &b""[..],
        b"421 4.4.2 Timeout\r\n",
        b"250 what\r\n",
        b"\xff\xfe",
    ] {
        let hop = Hop::new().await;
        let stage = Stage::to(&hop);
        let first = async {
            let mut peer = hop.serve(FULL).await;
            receive(&mut peer).await;
            peer.say("250 ok").await;
            peer
        };
        let (mut peer, end) = tokio::join!(first, stage.send());
        assert!(accepted(&end));
        peer.send(farewell).await;
        drop(peer);
        let second = async {
            let mut peer = hop.serve(FULL).await;
            receive(&mut peer).await;
            peer.say("250 ok").await;
            peer
        };
        let (_peer, end) = tokio::join!(second, stage.send());
        assert!(accepted(&end), "{farewell:?}: {end:?}");
    }
}

/// The same, noticed only after the next message's sender was sent: nothing was promised yet.
#[tokio::test]
async fn a_connection_that_dies_on_the_first_command_is_replaced() {
    for answer in [
        &b""[..],
        b"421 4.4.2 Timeout\r\n",
        b"451 4.3.0 a\r\n421 4.3.2 b\r\n",
    ] {
        let hop = Hop::new().await;
        let stage = Stage::to(&hop);
        let serve = async {
            let mut peer = hop.serve(FULL).await;
            receive(&mut peer).await;
            peer.say("250 ok").await;
            peer.expect("MAIL FROM:<a@example.jp>").await;
            peer.expect("RCPT TO:<b@example.com>").await;
            peer.send(answer).await;
            drop(peer);
            let mut peer = hop.serve(FULL).await;
            receive(&mut peer).await;
            peer.say("250 ok").await;
            peer
        };
        let send = async {
            assert!(accepted(&stage.send().await));
            stage.send().await
        };
        let (_peer, end) = tokio::join!(serve, send);
        assert!(accepted(&end), "{answer:?}: {end:?}");
    }
}

#[tokio::test]
async fn a_pool_and_a_server_may_limit_the_messages_of_a_connection() {
    let limited = "250-hop\r\n250-PIPELINING\r\n250 LIMITS MAILMAX=2\r\n";
    for (ehlo, per_connection) in [(FULL, 2), (limited, 10)] {
        let hop = Hop::new().await;
        let pool = json!({
            "members": [{ "name": "a", "weight": 1, "relay": { "address": hop.json(), "tls": "Off" } }],
            "messagesPerConnection": per_connection,
        });
        let upstream = json!({ "endpoints": [nobody().await] });
        let stage = Stage::new(upstream, json!({ "p": pool }), Deadlines::default());
        let serve = async {
            let mut peers = Vec::new();
            for messages in [2, 1] {
                let mut peer = hop.serve(ehlo).await;
                for _ in 0..messages {
                    receive(&mut peer).await;
                    peer.say("250 ok").await;
                }
                peers.push(peer);
            }
            peers
        };
        let send = async {
            for _ in 0..3 {
                let mut transaction = stage.begin_in("p", 1).await.unwrap();
                transaction
                    .recipients(&[rcpt("b@example.com")])
                    .await
                    .unwrap();
                transaction.data().await.unwrap();
                transaction
                    .write(b"Subject: x\r\n\r\nhello\r\n")
                    .await
                    .unwrap();
                assert!(accepted(&transaction.finish().await.unwrap()));
            }
        };
        tokio::join!(serve, send);
    }
}

#[tokio::test]
async fn idle_and_old_connections_are_left() {
    let young = Deadlines {
        age: Duration::ZERO,
        ..Deadlines::default()
    };
    let hop = Hop::new().await;
    let stage = Stage::within(&hop, young);
    let serve = async {
        for _ in 0..2 {
            let mut peer = hop.serve(FULL).await;
            receive(&mut peer).await;
            peer.say("250 ok").await;
        }
    };
    let send = async {
        assert!(accepted(&stage.send().await));
        assert!(accepted(&stage.send().await));
    };
    tokio::join!(serve, send);

    let hasty = Deadlines {
        idle: Duration::from_millis(20),
        ..Deadlines::default()
    };
    let hop = Hop::new().await;
    let stage = Stage::within(&hop, hasty);
    let serve = async {
        let mut peer = hop.serve(FULL).await;
        receive(&mut peer).await;
        peer.say("250 ok").await;
        // Nobody sends again: the sweeper says goodbye.
        peer.expect("QUIT").await;
        peer.closed().await;
    };
    tokio::join!(serve, async { assert!(accepted(&stage.send().await)) });
}

#[tokio::test]
async fn a_dropped_transaction_drops_its_connection() {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let serve = async {
        let mut peer = hop.serve(FULL).await;
        peer.expect("MAIL FROM:<a@example.jp>").await;
        peer.expect("RCPT TO:<b@example.com>").await;
        peer.send(b"250 ok\r\n250 ok\r\n").await;
        peer.expect("DATA").await;
        peer.say("354 go on").await;
        peer.closed().await;
    };
    let send = async {
        let mut transaction = stage.begin().await.unwrap();
        transaction
            .recipients(&[rcpt("b@example.com")])
            .await
            .unwrap();
        transaction.data().await.unwrap();
        transaction.write(b"half a message").await.unwrap();
    };
    tokio::join!(serve, send);
    assert!(
        stage
            .metrics()
            .contains("sekisho_upstream_connections{gateway=\"default/test\",pool=\"-\"} 0"),
        "{}",
        stage.metrics()
    );
}
