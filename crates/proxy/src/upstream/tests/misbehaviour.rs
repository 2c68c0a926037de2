//! Next hops that break the rules: what is not surely accepted is not acknowledged, and nobody waits for ever.

use super::*;
use crate::upstream::{End, Fault};

/// Plays a message up to the final dot, then `play`; returns the end and whether the connection is used again.
async fn after_the_dot(answer: &[u8], closes: bool, deadlines: Deadlines) -> (End, bool) {
    let hop = Hop::new().await;
    let stage = Stage::within(&hop, deadlines);
    let serve = async {
        let mut peer = hop.serve(FULL).await;
        receive(&mut peer).await;
        peer.send(answer).await;
        (!closes).then_some(peer)
    };
    let (peer, end) = tokio::join!(serve, stage.send());
    // If the connection was kept, this begins on it, and nobody knocks.
    let again = timeout(Duration::from_millis(300), stage.begin()).await;
    drop(peer);
    (end, again.is_ok_and(|begun| begun.is_ok()))
}

#[tokio::test]
async fn only_a_sure_reply_to_the_final_dot_is_a_reply() {
    let enough = Deadlines::default;
    let (end, reused) = after_the_dot(b"250 ok\r\n", false, enough()).await;
    assert!(matches!(&end, End::Accepted(_)) && reused, "{end:?}");
    let (end, reused) = after_the_dot(b"250 ok\r\n421 4.3.2 Going down\r\n", false, enough()).await;
    assert!(matches!(&end, End::Accepted(_)) && !reused, "{end:?}");
    let (end, reused) = after_the_dot(b"421 4.3.2 Going down\r\n", false, enough()).await;
    assert!(
        matches!(&end, End::Refused(reply) if reply.code() == 451) && !reused,
        "{end:?}"
    );
    let (end, reused) = after_the_dot(b"550 5.7.1 Spam\r\n", false, enough()).await;
    assert!(
        matches!(&end, End::Refused(reply) if reply.code() == 550) && reused,
        "{end:?}"
    );

    let long = "250-x\r\n".repeat(20_000);
    let table: [(&[u8], bool); 11] = [
        (b"221 2.0.0 bye\r\n", false),
        (b"220 hop\r\n", false),
        (b"250 ok\r\n250 ok\r\n", false),
        (b"250 ok\r\n550 no\r\n", false),
        (b"250-ok\r\n550 no\r\n", false),
        (b"354 go on\r\n", false),
        (b"250 ok\n", false),
        (b"OK\r\n", false),
        (long.as_bytes(), false),
        (b"25", true),
        (b"", true),
    ];
    for (answer, closes) in table {
        let (end, reused) = after_the_dot(answer, closes, enough()).await;
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned();
        assert!(matches!(&end, End::Uncertain(_)), "{shown:?}: {end:?}");
        assert!(!reused, "{shown:?}");
    }
    let (end, _) = after_the_dot(
        b"",
        false,
        Deadlines {
            after_dot: Duration::from_millis(50),
            ..enough()
        },
    )
    .await;
    let End::Uncertain(failure) = end else {
        panic!("{end:?}")
    };
    assert!(matches!(failure.fault(), Fault::Timeout), "{failure}");
}

/// The message's own deadline no longer counts once the dot is sent.
#[tokio::test]
async fn after_the_dot_there_is_no_way_back() {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let late = tokio::sync::Notify::new();
    let serve = async {
        let mut peer = hop.serve(FULL).await;
        receive(&mut peer).await;
        late.notified().await;
        peer.say("250 ok").await;
        peer
    };
    let send = async {
        let mut transaction = stage.begin().await.unwrap();
        transaction
            .recipients(&[rcpt("b@example.com")])
            .await
            .unwrap();
        transaction.data().await.unwrap();
        transaction
            .write(b"Subject: x\r\n\r\nhello\r\n")
            .await
            .unwrap();
        transaction.set_deadline(Instant::now() + Duration::from_millis(200));
        let mut finish = Box::pin(transaction.finish());
        assert!(
            timeout(Duration::from_millis(400), &mut finish)
                .await
                .is_err(),
            "it gave up"
        );
        late.notify_one();
        finish.await.unwrap()
    };
    let (_peer, end) = tokio::join!(serve, send);
    assert!(matches!(end, End::Accepted(_)), "{end:?}");
}

#[tokio::test]
async fn an_answer_before_the_question_is_none() {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let serve = async {
        let mut peer = hop.serve(FULL).await;
        peer.expect("MAIL FROM:<a@example.jp>").await;
        peer.expect("RCPT TO:<b@example.com>").await;
        peer.send(b"250 ok\r\n250 ok\r\n").await;
        peer.expect("DATA").await;
        peer.send(b"354 go on\r\n250 queued already\r\n").await;
        // The message, had it come, would end with a dot.
        peer.closed().await;
    };
    let send = async {
        let mut transaction = stage.begin().await.unwrap();
        transaction
            .recipients(&[rcpt("b@example.com")])
            .await
            .unwrap();
        transaction.data().await.unwrap();
        transaction.write(b"x\r\n").await.unwrap();
        transaction.finish().await.unwrap_err()
    };
    let ((), failure) = tokio::join!(serve, send);
    assert!(matches!(failure.fault(), Fault::Unsolicited), "{failure}");
    assert!(
        failure.reply().to_string().starts_with("451 4.4.2 "),
        "{}",
        failure.reply()
    );
}

#[tokio::test]
async fn an_interruption_that_says_why_is_believed() {
    let table: [(&[u8], &str); 3] = [
        (b"552 5.3.4 Too large\r\n", "552 5.3.4 Too large"),
        (b"421 4.3.2 Going down\r\n", "451 4.4.2 "),
        (b"", "451 4.4.2 "),
    ];
    for (said, told) in table {
        let hop = Hop::new().await;
        let stage = Stage::to(&hop);
        let serve = async {
            let mut peer = hop.serve(FULL).await;
            peer.expect("MAIL FROM:<a@example.jp>").await;
            peer.expect("RCPT TO:<b@example.com>").await;
            peer.send(b"250 ok\r\n250 ok\r\n").await;
            peer.expect("DATA").await;
            peer.say("354 go on").await;
            peer.expect("first").await;
            peer.send(said).await;
            if said.is_empty() { None } else { Some(peer) }
        };
        let send = async {
            let mut transaction = stage.begin().await.unwrap();
            transaction
                .recipients(&[rcpt("b@example.com")])
                .await
                .unwrap();
            transaction.data().await.unwrap();
            transaction.write(b"first\r\n").await.unwrap();
            loop {
                // More than any socket buffers: sooner or later the next hop has to be listened to.
                if let Err(failure) = transaction.write(&[b'x'; 60_000]).await {
                    break failure;
                }
            }
        };
        let (_peer, failure) = tokio::join!(serve, send);
        assert!(
            failure.reply().to_string().starts_with(told),
            "{failure}: {}",
            failure.reply()
        );
    }
}

#[tokio::test]
async fn a_connection_lost_in_the_envelope_is_a_failure_and_says_so() {
    let table: [(&[u8], &str); 9] = [
        (b"250 ok\r\n235 welcome\r\n", "no answer to what was asked"),
        (b"221 bye\r\n250 ok\r\n", "no answer to what was asked"),
        (b"250 ok\r\n250 o\nk\r\n", "bare CR or LF"),
        (
            b"250 ok\r\n421 4.3.2 Going down\r\n",
            "it does not serve us: 421 4.3.2 Going down",
        ),
        (b"250 ok\r\n354 go on\r\n", "no answer to what was asked"),
        (b"334 what\r\n250 ok\r\n", "no answer to what was asked"),
        (b"250-ok\r\n251 ok\r\n", "mixed codes"),
        (b"250 ok\r\n", "closed the connection"),
        (b"999 ok\r\n", "valid code"),
    ];
    for (said, seen) in table {
        let hop = Hop::new().await;
        let stage = Stage::to(&hop);
        let serve = async {
            let mut peer = hop.serve(FULL).await;
            peer.expect("MAIL FROM:<a@example.jp>").await;
            peer.expect("RCPT TO:<b@example.com>").await;
            peer.send(said).await;
        };
        let send = async {
            let mut transaction = stage.begin().await.unwrap();
            let failure = transaction
                .recipients(&[rcpt("b@example.com")])
                .await
                .unwrap_err();
            transaction.reset();
            failure
        };
        let ((), failure) = tokio::join!(serve, send);
        assert!(failure.to_string().contains(seen), "{failure}");
        assert!(failure.to_string().contains(", mail_rcpt: "), "{failure}");
        assert!(
            failure.reply().to_string().starts_with("451 4.4.2 "),
            "{}",
            failure.reply()
        );
        assert!(failure.refusal().is_none());
    }
}

/// What is said to DATA is a 354 or a refusal; anything else is of another conversation.
#[tokio::test]
async fn only_354_is_leave_to_send_a_message() {
    let endless = "554-x\r\n".repeat(10_000);
    let table: [(&[u8], &str); 8] = [
        (b"250 2.0.0 queued\r\n", "451 4.4.2 "),
        (b"221 bye\r\n", "451 4.4.2 "),
        (b"334 eHh4\r\n", "451 4.4.2 "),
        (b"421 4.3.2 down\r\n", "451 4.4.2 "),
        (b"535 5.7.8 who are you\r\n", "451 4.3.5 "),
        (
            b"554 5.7.1 \x1b[2Jno\0 \xff\r\n",
            "554 5.7.1 ?[2Jno? \u{fffd}",
        ),
        (b"", "451 4.4.2 "),
        (endless.as_bytes(), "451 4.4.2 "),
    ];
    for (said, told) in table {
        let hop = Hop::new().await;
        let stage = Stage::to(&hop);
        let serve = async {
            let mut peer = hop.serve(FULL).await;
            peer.expect("MAIL FROM:<a@example.jp>").await;
            peer.expect("RCPT TO:<b@example.com>").await;
            peer.send(b"250 ok\r\n250 ok\r\n").await;
            peer.expect("DATA").await;
            peer.send(said).await;
        };
        let send = async {
            let mut transaction = stage.begin().await.unwrap();
            transaction
                .recipients(&[rcpt("b@example.com")])
                .await
                .unwrap();
            transaction.data().await.unwrap_err()
        };
        let ((), failure) = tokio::join!(serve, send);
        let reply = failure.reply().to_string();
        assert!(reply.starts_with(told), "{failure}: {reply}");
    }
}

/// 421 is between us and the next hop: said to a client as it is, it would look as if we closed.
#[tokio::test]
async fn a_421_is_never_passed_on_wherever_it_is_said() {
    const BYE: &[u8] = b"421 4.3.2 relay7.internal going down\r\n";
    for at in 0..6 {
        let hop = Hop::new().await;
        let stage = Stage::to(&hop);
        let serve = async {
            let mut peer = hop.accept().await;
            let steps: [(&str, &[u8]); 6] = [
                ("", b"220 hop\r\n"),
                ("EHLO proxy.example.jp", BARE.as_bytes()),
                ("MAIL FROM:<a@example.jp>", b"250 ok\r\n"),
                ("RCPT TO:<b@example.com>", b"250 ok\r\n"),
                ("DATA", b"354 go on\r\n"),
                (".", b"250 ok\r\n"),
            ];
            for (step, (command, answer)) in steps.iter().enumerate() {
                match *command {
                    "" => {}
                    "." => drop(peer.data().await),
                    command => peer.expect(command).await,
                }
                peer.send(if step == at { BYE } else { answer }).await;
                if step == at {
                    return;
                }
            }
        };
        let send = async {
            let mut transaction = stage.begin().await?;
            transaction.recipients(&[rcpt("b@example.com")]).await?;
            transaction.data().await?;
            transaction.write(b"x\r\n").await?;
            transaction.finish().await
        };
        let ((), sent) = tokio::join!(serve, send);
        let told = match sent {
            Err(failure) => failure.reply(),
            Ok(End::Refused(reply)) => reply,
            Ok(end) => panic!("step {at}: {end:?}"),
        };
        let told = told.to_string();
        assert!(told.starts_with("451 4.4."), "step {at}: {told}");
        assert!(!told.contains("internal"), "step {at}: {told}");
    }
}

/// Two replies to one command: the second is taken for nobody's.
#[tokio::test]
async fn an_extra_reply_poisons_the_connection() {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let serve = async {
        let mut peer = hop.serve(FULL).await;
        peer.expect("MAIL FROM:<a@example.jp>").await;
        peer.expect("RCPT TO:<b@example.com>").await;
        peer.send(b"250 ok\r\n250 ok\r\n354 go on\r\n").await;
        peer.closed().await;
    };
    let send = async {
        let mut transaction = stage.begin().await.unwrap();
        transaction
            .recipients(&[rcpt("b@example.com")])
            .await
            .unwrap();
        let failure = transaction.data().await.unwrap_err();
        transaction.reset();
        failure
    };
    let ((), failure) = tokio::join!(serve, send);
    assert!(matches!(failure.fault(), Fault::Unsolicited), "{failure}");
}

#[tokio::test]
async fn silence_ends_with_the_phase() {
    const SOON: Duration = Duration::from_millis(50);
    let full = Deadlines::default;
    let table = [
        (
            Deadlines {
                greeting: SOON,
                ..full()
            },
            0,
            "greeting",
        ),
        (
            Deadlines {
                hello: SOON,
                ..full()
            },
            1,
            "ehlo",
        ),
        (
            Deadlines {
                mail: SOON,
                ..full()
            },
            2,
            "mail_rcpt",
        ),
        (
            Deadlines {
                rcpt: SOON,
                ..full()
            },
            3,
            "mail_rcpt",
        ),
        (
            Deadlines {
                data: SOON,
                ..full()
            },
            4,
            "data",
        ),
    ];
    for (deadlines, answers, phase) in table {
        let hop = Hop::new().await;
        let stage = Stage::within(&hop, deadlines);
        let serve = async {
            let mut peer = hop.accept().await;
            let steps: [(&str, &[u8]); 5] = [
                ("", b"220 hop\r\n"),
                ("EHLO proxy.example.jp", BARE.as_bytes()),
                ("MAIL FROM:<a@example.jp>", b"250 ok\r\n"),
                ("RCPT TO:<b@example.com>", b"250 ok\r\n"),
                ("DATA", b""),
            ];
            for (command, answer) in &steps[..answers] {
                if !command.is_empty() {
                    peer.expect(command).await;
                }
                peer.send(answer).await;
            }
            peer
        };
        let send = async {
            let mut transaction = stage.begin().await?;
            transaction.recipients(&[rcpt("b@example.com")]).await?;
            transaction.data().await
        };
        let (_peer, sent) = tokio::join!(serve, send);
        let failure = sent.unwrap_err();
        assert!(
            failure.to_string().contains(&format!(", {phase}: ")),
            "{failure}"
        );
        assert!(matches!(failure.fault(), Fault::Timeout), "{failure}");
    }
}

#[tokio::test]
async fn the_messages_deadline_ends_every_phase() {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let soon = Instant::now() + Duration::from_millis(100);
    let (_peer, begun) = tokio::join!(
        hop.accept(),
        stage.begin_with("MAIL FROM:<a@example.jp>", soon)
    );
    let failure = begun.unwrap_err();
    assert!(matches!(failure.fault(), Fault::Deadline), "{failure}");
    assert!(
        failure.reply().to_string().starts_with("451 4.4.7 "),
        "{}",
        failure.reply()
    );

    let serve = async {
        let mut peer = hop.serve(FULL).await;
        peer.expect("MAIL FROM:<a@example.jp>").await;
        peer.expect("RCPT TO:<b@example.com>").await;
        peer.closed().await;
    };
    let send = async {
        let mut transaction = stage.begin().await.unwrap();
        transaction.set_deadline(Instant::now() + Duration::from_millis(100));
        transaction
            .recipients(&[rcpt("b@example.com")])
            .await
            .unwrap_err()
    };
    let ((), failure) = tokio::join!(serve, send);
    assert!(matches!(failure.fault(), Fault::Deadline), "{failure}");
}
