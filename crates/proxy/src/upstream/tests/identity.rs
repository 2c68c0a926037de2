//! Whom the next hop believes that it serves.

use super::*;
use crate::upstream::{End, Fault};
use sekisho_policy::Account;
use sekisho_smtp::proxy_protocol::{ProxyHeader, ProxyStep};

const XCLIENT: &str =
    "250-hop\r\n250-PIPELINING\r\n250 XCLIENT NAME ADDR PORT PROTO HELO LOGIN\r\n";

fn passing(identity: &str, hop: &Hop) -> Stage {
    Stage::upstream(json!({ "endpoints": [hop.json()], "clientIdentity": identity }))
}

/// Reads XCLIENT, answers it and the EHLO after it.
async fn introduced(peer: &mut Peer<TcpStream>) -> String {
    let told = peer.expect_prefix("XCLIENT ").await;
    peer.say("220 hop, again").await;
    peer.expect("EHLO client.example.net").await;
    peer.send(XCLIENT.as_bytes()).await;
    told
}

#[tokio::test]
async fn xclient_tells_what_is_offered_and_is_repeated_on_each_reuse() {
    let hop = Hop::new().await;
    let stage = passing("Xclient", &hop);
    let serve = async {
        let mut peer = hop.serve(XCLIENT).await;
        let told = introduced(&mut peer).await;
        for part in [
            "NAME=[UNAVAILABLE]",
            "ADDR=203.0.113.9",
            "PORT=4242",
            "PROTO=ESMTP",
            "HELO=client.example.net",
        ] {
            assert!(told.contains(part), "{told:?} lacks {part}");
        }
        assert!(
            told.contains("LOGIN=[UNAVAILABLE]") && !told.contains("DESTADDR"),
            "{told:?}"
        );
        peer.expect("MAIL FROM:<a@example.jp>").await;
        peer.expect("RCPT TO:<b@example.com>").await;
        peer.send(b"250 ok\r\n550 no\r\n").await;
        // XCLIENT is no command for the middle of a transaction.
        peer.expect("RSET").await;
        peer.say("250 ok").await;
        let told = introduced(&mut peer).await;
        assert!(
            told.contains("ADDR=198.51.100.7") && told.contains("LOGIN=aya@example.jp"),
            "{told:?}"
        );
        receive(&mut peer).await;
        peer.say("250 ok").await;
        peer
    };
    let send = async {
        let mut transaction = stage.begin().await.unwrap();
        transaction
            .recipients(&[rcpt("b@example.com")])
            .await
            .unwrap();
        transaction.reset();
        let login = Some(Account::canonical("aya@example.jp", None));
        stage.caller.identify(ClientIdentity {
            source: "198.51.100.7:1".parse().unwrap(),
            login,
            ..client()
        });
        assert!(matches!(stage.send().await, End::Accepted(_)));
    };
    tokio::join!(serve, send);
    assert!(hop.is_quiet().await);
}

#[tokio::test]
async fn an_identity_that_is_not_taken_stops_the_message() {
    let hop = Hop::new().await;
    let stage = passing("Xclient", &hop);
    let (_peer, begun) = tokio::join!(hop.serve(FULL), stage.begin());
    let failure = begun.unwrap_err();
    assert!(matches!(failure.fault(), Fault::Identity(_)), "{failure}");
    assert!(
        failure.reply().to_string().starts_with("451 4.3.5 "),
        "{}",
        failure.reply()
    );

    let refuse = async {
        let mut peer = hop.serve(XCLIENT).await;
        peer.expect_prefix("XCLIENT ").await;
        peer.say("550 5.7.0 Not from you").await;
    };
    let ((), begun) = tokio::join!(refuse, stage.begin());
    let failure = begun.unwrap_err();
    assert!(
        failure.to_string().contains("550 5.7.0 Not from you"),
        "{failure}"
    );
    assert!(
        failure.reply().to_string().starts_with("451 4.3.5 "),
        "{}",
        failure.reply()
    );
    assert!(
        stage
            .metrics()
            .contains("gateway=\"default/test\",kind=\"identity\",pool=\"-\"} 2"),
        "{}",
        stage.metrics()
    );
    // It is the configuration that is wrong, and not the endpoint: it is asked again at once.
    let serve = async {
        let mut peer = hop.serve(XCLIENT).await;
        introduced(&mut peer).await;
        peer
    };
    let (_peer, begun) = tokio::join!(serve, stage.begin());
    assert!(begun.is_ok());
}

#[tokio::test]
async fn where_xclient_fails_on_reuse_a_new_connection_is_made() {
    let hop = Hop::new().await;
    let stage = passing("Xclient", &hop);
    let serve = async {
        let mut peer = hop.serve(XCLIENT).await;
        introduced(&mut peer).await;
        receive(&mut peer).await;
        peer.say("250 ok").await;
        peer.expect_prefix("XCLIENT ").await;
        peer.say("550 5.7.0 Once is enough").await;
        let mut second = hop.serve(XCLIENT).await;
        introduced(&mut second).await;
        receive(&mut second).await;
        second.say("250 ok").await;
    };
    let send = async {
        for _ in 0..2 {
            assert!(matches!(stage.send().await, End::Accepted(_)));
        }
    };
    tokio::join!(serve, send);
}

#[tokio::test]
async fn a_proxy_header_ties_the_connection_to_its_client() {
    let hop = Hop::new().await;
    let mut stage = passing("ProxyV2", &hop);
    let mut stream = {
        let accept = async { hop.0.accept().await.unwrap().0 };
        let (stream, begun) = tokio::join!(accept, async {
            let begin = stage.begin();
            tokio::pin!(begin);
            // It waits for the greeting, which waits for the header to be read.
            assert!(
                timeout(Duration::from_millis(100), &mut begin)
                    .await
                    .is_err()
            );
        });
        let () = begun;
        stream
    };
    let mut header = [0; 256];
    let length = tokio::io::AsyncReadExt::read(&mut stream, &mut header)
        .await
        .unwrap();
    let expected = ProxyHeader::Proxied {
        source: client().source,
        destination: client().destination,
    };
    assert_eq!(
        sekisho_smtp::proxy_protocol::parse(&header[..length]).unwrap(),
        ProxyStep::Done {
            consumed: length,
            header: expected
        }
    );
    drop(stream);

    let serve = async {
        let mut first = serve_after_header(&hop).await;
        receive(&mut first).await;
        first.say("250 ok").await;
        receive(&mut first).await;
        first.say("250 ok").await;
        let mut other = serve_after_header(&hop).await;
        receive(&mut other).await;
        other.say("250 ok").await;
        // Its client went away.
        first.closed().await;
    };
    let send = async {
        for _ in 0..2 {
            assert!(matches!(stage.send().await, End::Accepted(_)));
        }
        let first = std::mem::replace(&mut stage.caller, Caller::new(client()));
        assert!(matches!(stage.send().await, End::Accepted(_)));
        drop(first);
    };
    tokio::join!(serve, send);
}

async fn serve_after_header(hop: &Hop) -> Peer<TcpStream> {
    let (_, mut peer) = hop.accept_proxied().await;
    peer.say("220 hop").await;
    peer.expect("EHLO proxy.example.jp").await;
    peer.send(FULL.as_bytes()).await;
    peer
}

/// The connection is of the client, and the pool has only so many.
#[tokio::test]
async fn a_pools_connection_with_a_proxy_header_carries_one_message() {
    let relay = Hop::new().await;
    let member = json!({ "name": "a", "weight": 1, "relay": {
        "address": relay.json(), "tls": "Off", "clientIdentity": "ProxyV2",
    } });
    let pools = json!({ "p": { "members": [member], "maxConnections": 1 } });
    let upstream = json!({ "endpoints": [nobody().await] });
    let stage = Stage::new(upstream, pools, Deadlines::default());
    let serve = async {
        for _ in 0..2 {
            let mut peer = serve_after_header(&relay).await;
            receive(&mut peer).await;
            peer.say("250 ok").await;
            peer.expect("QUIT").await;
        }
    };
    let send = async {
        for seed in 0..2 {
            let mut transaction = stage.begin_in("p", seed).await.unwrap();
            let rcpt = [rcpt("b@example.com")];
            transaction.recipients(&rcpt).await.unwrap();
            transaction.data().await.unwrap();
            let message = b"Subject: x\r\n\r\nhello\r\n";
            transaction.write(message).await.unwrap();
            let end = transaction.finish().await.unwrap();
            assert!(matches!(end, End::Accepted(_)), "{end:?}");
        }
    };
    tokio::join!(serve, send);
}

/// What a relay says after XCLIENT may be of the client, whoever he is: the member goes on for everybody else.
#[tokio::test]
async fn a_relay_that_refuses_one_client_does_not_rest() {
    let relay = Hop::new().await;
    let member = json!({ "name": "a", "weight": 1, "relay": {
        "address": relay.json(), "tls": "Off", "clientIdentity": "Xclient",
    } });
    let upstream = json!({ "endpoints": [nobody().await] });
    let pools = json!({ "p": { "members": [member] } });
    let stage = Stage::new(upstream, pools, Deadlines::default());
    for _ in 0..2 {
        let serve = async {
            let mut peer = relay.serve(XCLIENT).await;
            peer.expect_prefix("XCLIENT ").await;
            peer.say("421 4.7.0 Too many connections from that client")
                .await;
            peer.closed().await;
        };
        let ((), begun) = tokio::join!(serve, stage.begin_in("p", 1));
        begun.unwrap_err();
    }
}

#[tokio::test]
async fn relays_of_a_pool_are_told_nothing_and_members_at_the_upstream_are() {
    let (outside, upstream) = (Hop::new().await, Hop::new().await);
    let pools = json!({
        "out": { "members": [{ "name": "a", "weight": 1, "relay": { "address": outside.json(), "tls": "Off" } }] },
        "in": { "members": [{ "name": "b", "weight": 1, "sourceAddress": "127.0.0.2" }] },
    });
    let upstream_json = json!({ "endpoints": [upstream.json()], "clientIdentity": "Xclient" });
    let stage = Stage::new(upstream_json, pools, Deadlines::default());
    let (_peer, begun) = tokio::join!(outside.serve(XCLIENT), stage.begin_in("out", 1));
    assert!(begun.is_ok());
    let serve = async {
        let mut peer = upstream.serve(XCLIENT).await;
        introduced(&mut peer).await;
        peer
    };
    let (_peer, begun) = tokio::join!(serve, stage.begin_in("in", 1));
    assert!(begun.is_ok());
}
