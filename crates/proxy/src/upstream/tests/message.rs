//! A message that goes as it should, and what the envelope asks of the next hop.

use super::*;
use crate::upstream::End;

#[tokio::test]
async fn sender_and_recipients_travel_together_and_are_answered_apart() {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let serve = async {
        let mut peer = hop.serve(FULL).await;
        peer.expect("MAIL FROM:<a@example.jp>").await;
        peer.expect("RCPT TO:<b@example.com>").await;
        peer.expect("RCPT TO:<\"c d\"@example.com>").await;
        peer.send(b"250 2.1.0 ok\r\n250 2.1.5 ok\r\n550 5.1.1 Nobody here\r\n")
            .await;
        peer.expect("RCPT TO:<e@example.com>").await;
        peer.say("450 4.2.0 Greylisted").await;
        peer.expect("DATA").await;
        peer.say("354 go on").await;
        assert_eq!(
            peer.data().await,
            b"Subject: x\r\n\r\n..\r\n..a\r\nlast\r\n.\r\n"
        );
        peer.say("250 2.0.0 Ok: queued as 4Xyz").await;
        peer
    };
    let send = async {
        let mut transaction = stage.begin().await.unwrap();
        let first = [rcpt("b@example.com"), rcpt("\"c d\"@example.com")];
        let replies = transaction.recipients(&first).await.unwrap();
        assert_eq!(
            replies
                .iter()
                .map(sekisho_smtp::Reply::code)
                .collect::<Vec<_>>(),
            [250, 550]
        );
        let replies = transaction
            .recipients(&[rcpt("e@example.com")])
            .await
            .unwrap();
        assert_eq!(replies[0].to_string(), "450 4.2.0 Greylisted");
        transaction.data().await.unwrap();
        for part in [&b"Subject: x\r\n\r"[..], b"\n.\r\n.a", b"\r\nlast"] {
            transaction.write(part).await.unwrap();
        }
        assert_eq!(transaction.hop().address, hop.address().to_string());
        assert_eq!(transaction.hop().from, Some("127.0.0.1".parse().unwrap()));
        transaction.finish().await.unwrap()
    };
    let (_peer, end) = tokio::join!(serve, send);
    let End::Accepted(reply) = end else {
        panic!("{end:?}")
    };
    assert_eq!(reply.to_string(), "250 2.0.0 Ok: queued as 4Xyz");
    let metrics = stage.metrics();
    for phase in ["connect", "greeting", "ehlo", "mail_rcpt", "data", "final"] {
        assert!(
            metrics.contains(&format!("phase=\"{phase}\"")),
            "{phase} is not measured"
        );
    }
}

#[tokio::test]
async fn without_pipelining_each_command_waits_for_its_reply() {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let serve = async {
        let mut peer = hop.serve(BARE).await;
        for (command, reply) in [
            ("MAIL FROM:<a@example.jp>", "250 ok"),
            ("RCPT TO:<b@example.com>", "250 ok"),
            ("RCPT TO:<c@example.com>", "550 no"),
            ("DATA", "354 go on"),
        ] {
            peer.expect(command).await;
            // Panics if more than this one command came.
            peer = Peer::over(peer.into_stream());
            peer.say(reply).await;
        }
        peer.data().await;
        peer.say("250 ok").await;
        peer
    };
    let send = async {
        let mut transaction = stage.begin().await.unwrap();
        let replies = transaction
            .recipients(&[rcpt("b@example.com"), rcpt("c@example.com")])
            .await
            .unwrap();
        assert_eq!((replies[0].code(), replies[1].code()), (250, 550));
        transaction.data().await.unwrap();
        transaction.write(b"x\r\n").await.unwrap();
        transaction.finish().await.unwrap()
    };
    let (_peer, end) = tokio::join!(serve, send);
    assert!(matches!(end, End::Accepted(_)), "{end:?}");
}

#[tokio::test]
async fn a_large_message_and_many_recipients_arrive_whole() {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let line = [b'x'; 998];
    let serve = async {
        let mut peer = hop.serve(FULL).await;
        peer.expect("MAIL FROM:<a@example.jp>").await;
        peer.say("250 ok").await;
        for number in 0..120 {
            peer.expect(&format!("RCPT TO:<r{number}@example.com>"))
                .await;
            peer.say("250 ok").await;
        }
        peer.expect("DATA").await;
        peer.say("354 go on").await;
        let data = peer.data().await;
        peer.say("250 ok").await;
        (peer, data.len())
    };
    let send = async {
        let mut transaction = stage.begin().await.unwrap();
        let all: Vec<_> = (0..120)
            .map(|number| rcpt(&format!("r{number}@example.com")))
            .collect();
        assert_eq!(transaction.recipients(&all).await.unwrap().len(), 120);
        transaction.data().await.unwrap();
        for _ in 0..3000 {
            transaction.write(&line).await.unwrap();
            transaction.write(b"\r\n").await.unwrap();
        }
        transaction.finish().await.unwrap()
    };
    let ((_peer, length), end) = tokio::join!(serve, send);
    assert!(matches!(end, End::Accepted(_)), "{end:?}");
    assert_eq!(length, 3000 * 1000 + 3);
}

#[tokio::test]
async fn parameters_are_passed_on_where_they_are_offered() {
    let command =
        "MAIL FROM:<a@example.jp> SIZE=500 BODY=8BITMIME RET=HDRS ENVID=q1 AUTH=boss@example.jp";
    let table = [
        (
            FULL,
            "MAIL FROM:<a@example.jp> SIZE=500 BODY=8BITMIME RET=HDRS ENVID=q1",
            "RCPT TO:<b@example.com> NOTIFY=NEVER",
        ),
        (
            "250-hop\r\n250-PIPELINING\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n",
            "MAIL FROM:<a@example.jp> BODY=8BITMIME",
            "RCPT TO:<b@example.com>",
        ),
    ];
    for (ehlo, mail, recipient) in table {
        let hop = Hop::new().await;
        let stage = Stage::to(&hop);
        let serve = async {
            let mut peer = hop.serve(ehlo).await;
            peer.expect(mail).await;
            peer.expect(recipient).await;
            peer.send(b"250 ok\r\n250 ok\r\n").await;
            peer
        };
        let send = async {
            let mut transaction = stage.begin_with(command, in_time()).await.unwrap();
            transaction
                .recipients(&[rcpt_line("RCPT TO:<b@example.com> NOTIFY=NEVER")])
                .await
                .unwrap();
        };
        tokio::join!(serve, send);
    }
}

#[tokio::test]
async fn what_cannot_be_passed_on_is_refused_and_costs_no_connection() {
    let table = [
        (BARE, "MAIL FROM:<a@example.jp> BODY=8BITMIME", "554 5.6.3"),
        (BARE, "MAIL FROM:<太郎@example.jp> SMTPUTF8", "550 5.6.7"),
        (FULL, "MAIL FROM:<a@example.jp> SIZE=1001", "552 5.3.4"),
    ];
    for (ehlo, command, told) in table {
        let hop = Hop::new().await;
        let stage = Stage::to(&hop);
        let (mut peer, failure) = tokio::join!(hop.serve(ehlo), async {
            stage.begin_with(command, in_time()).await.unwrap_err()
        });
        assert!(
            failure.reply().to_string().contains(told),
            "{command}: {}",
            failure.reply()
        );
        let serve = async {
            peer.expect("MAIL FROM:<a@example.jp>").await;
            peer.say("250 ok").await;
            if ehlo == BARE {
                peer.expect("RCPT TO:<b@example.com>").await;
            }
            peer.say("250 ok").await;
        };
        let again = async {
            let mut transaction = stage.begin().await.unwrap();
            transaction
                .recipients(&[rcpt("b@example.com")])
                .await
                .unwrap();
        };
        tokio::join!(serve, again);
    }
}

/// Go's net/smtp says SMTPUTF8 of every message.
#[tokio::test]
async fn smtputf8_is_left_out_where_nothing_needs_it() {
    for ehlo in [BARE, "250-hop\r\n250 PIPELINING\r\n"] {
        let hop = Hop::new().await;
        let stage = Stage::to(&hop);
        let serve = async {
            let mut peer = hop.serve(ehlo).await;
            peer.expect("MAIL FROM:<a@example.jp>").await;
            peer.say("250 ok").await;
            for recipient in ["RCPT TO:<b@example.com>", "RCPT TO:<c@example.com>"] {
                peer.expect(recipient).await;
                peer.say("250 ok").await;
            }
            peer
        };
        let send = async {
            let command = "MAIL FROM:<a@example.jp> SMTPUTF8";
            let mut transaction = stage.begin_with(command, in_time()).await.unwrap();
            assert!(!transaction.takes_utf8());
            let unreadable = [rcpt("花子@example.com")];
            let replies = transaction.recipients(&unreadable).await.unwrap();
            assert_eq!(replies[0].code(), 553, "nothing is asked for it");
            let all = ["b@example.com", "次郎@example.com", "c@example.com"].map(rcpt);
            let replies = transaction.recipients(&all).await.unwrap();
            let codes: Vec<u16> = replies.iter().map(sekisho_smtp::Reply::code).collect();
            assert_eq!(codes, [250, 553, 250]);
            assert!(replies[1].to_string().contains("5.6.7"), "{}", replies[1]);
        };
        tokio::join!(serve, send);
    }
}

#[tokio::test]
async fn over_the_next_hops_own_limit_the_client_is_told_to_split() {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let serve = async {
        let mut peer = hop
            .serve("250-hop\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2\r\n")
            .await;
        peer.expect("MAIL FROM:<a@example.jp>").await;
        peer.expect("RCPT TO:<r0@example.com>").await;
        peer.expect("RCPT TO:<r1@example.com>").await;
        peer.send(b"250 ok\r\n250 ok\r\n250 ok\r\n").await;
        peer
    };
    let send = async {
        let mut transaction = stage.begin().await.unwrap();
        let all: Vec<_> = (0..3)
            .map(|number| rcpt(&format!("r{number}@example.com")))
            .collect();
        let replies = transaction.recipients(&all).await.unwrap();
        assert_eq!(
            replies
                .iter()
                .map(sekisho_smtp::Reply::code)
                .collect::<Vec<_>>(),
            [250, 250, 452]
        );
        let replies = transaction.recipients(&all[2..]).await.unwrap();
        assert_eq!(replies[0].to_string(), "452 4.5.3 Too many recipients");
    };
    tokio::join!(serve, send);
}

#[tokio::test]
async fn a_server_that_knows_no_ehlo_is_greeted_with_helo() {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let serve = async {
        let mut peer = hop.accept().await;
        peer.send(b"220-hop\r\n220 of long ago\r\n").await;
        peer.expect("EHLO proxy.example.jp").await;
        peer.say("502 what").await;
        peer.expect("HELO proxy.example.jp").await;
        peer.say("250 hop").await;
        peer
    };
    let (_peer, transaction) = tokio::join!(serve, stage.begin());
    assert!(transaction.is_ok());
}
