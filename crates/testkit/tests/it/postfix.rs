//! Postfix and its test programs.

use sekisho_testkit::{Peer, Postfix, PostfixSetup, SmtpSink};

const MESSAGE: &[u8] = b"From: a@example.jp\r\nSubject: x\r\n\r\n..dot\r\nbody\r\n.\r\n";

async fn send(peer: &mut Peer<tokio::net::TcpStream>) {
    peer.ask("MAIL FROM:<a@example.jp>", 250).await;
    peer.ask("RCPT TO:<b@example.net>", 250).await;
    peer.ask("DATA", 354).await;
    peer.send(MESSAGE).await;
    peer.reply(250).await;
}

#[tokio::test]
async fn postfix_delivers_and_checks_passwords() {
    let account = Some(("taro@example.jp".to_owned(), "secret".to_owned()));
    let setup = PostfixSetup {
        account,
        ..PostfixSetup::default()
    };
    let Some(postfix) = Postfix::start(&setup) else {
        return;
    };
    let mut peer = Peer::connect(postfix.address()).await;
    peer.reply(220).await;
    let offered = peer.ask("EHLO test", 250).await;
    assert!(
        offered
            .iter()
            .any(|l| l.contains("AUTH") && l.contains("PLAIN")),
        "{offered:?}\n{}",
        postfix.log()
    );
    peer.ask("AUTH PLAIN AHRhcm9AZXhhbXBsZS5qcAB3cm9uZw==", 535)
        .await;
    peer.ask("AUTH PLAIN AHRhcm9AZXhhbXBsZS5qcABzZWNyZXQ=", 235)
        .await;
    send(&mut peer).await;
    let delivered = postfix.wait_for(1);
    let text = String::from_utf8(delivered[0].clone()).unwrap();
    assert!(text.ends_with("\n\n.dot\nbody\n"), "{text}");
    assert!(text.contains("X-Original-To: b@example.net"), "{text}");
}

#[tokio::test]
async fn two_instances_do_not_meet() {
    let Some(first) = Postfix::start(&PostfixSetup::default()) else {
        return;
    };
    let Some(second) = Postfix::start(&PostfixSetup::default()) else {
        return;
    };
    drop(first);
    let mut peer = Peer::connect(second.address()).await;
    peer.reply(220).await;
    peer.ask("EHLO test", 250).await;
    send(&mut peer).await;
    assert_eq!(second.wait_for(1).len(), 1);
}

#[tokio::test]
async fn smtp_sink_takes_mail() {
    let Some(sink) = SmtpSink::start(&[]) else {
        return;
    };
    let mut peer = Peer::connect(sink.address()).await;
    peer.reply(220).await;
    peer.ask("EHLO test", 250).await;
    send(&mut peer).await;
}
