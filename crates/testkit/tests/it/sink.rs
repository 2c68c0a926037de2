//! The sink keeps what it is given, and misbehaves as told.

use std::collections::HashMap;
use std::time::Duration;

use sekisho_testkit::{At, Fault, Peer, Sink, SinkSetup};
use tokio::net::TcpStream;

async fn greeted(sink: &Sink) -> Peer<TcpStream> {
    let mut peer = Peer::connect(sink.address()).await;
    peer.reply(220).await;
    peer.ask("EHLO client.test", 250).await;
    peer
}

async fn up_to_data(peer: &mut Peer<TcpStream>) {
    peer.ask("MAIL FROM:<a@x.test> SIZE=3", 250).await;
    peer.ask("RCPT TO:<b@y.test> NOTIFY=NEVER", 250).await;
    peer.ask("DATA", 354).await;
}

#[tokio::test]
async fn a_message_is_kept_byte_for_byte() {
    let sink = Sink::start().await;
    let mut peer = greeted(&sink).await;
    sink.refuse_recipient("c@y.test", "550 5.1.1 nobody");
    peer.ask("MAIL FROM:<a@x.test> SIZE=3", 250).await;
    peer.ask("RCPT TO:<b@y.test> NOTIFY=NEVER", 250).await;
    peer.ask("RCPT TO:<c@y.test>", 550).await;
    peer.ask("DATA", 354).await;
    peer.send(b"h: \xff\r\n\r\n..\r\nbare\nlf\n.\n\r\rcr\r\n.\r\n")
        .await;
    peer.reply(250).await;
    let received = sink.wait_for(1).await.remove(0);
    assert_eq!(
        received.data,
        b"h: \xff\r\n\r\n.\r\nbare\nlf\n.\n\r\rcr\r\n"
    );
    assert_eq!(received.mail, "<a@x.test> SIZE=3");
    assert_eq!(received.rcpts, ["<b@y.test> NOTIFY=NEVER"]);
    assert_eq!(received.helo, "client.test");
    assert!(received.client.ip().is_loopback());
    assert_eq!(sink.connections(), 1);
}

#[tokio::test]
async fn accounts_are_checked() {
    let accounts = HashMap::from([("taro".to_owned(), "secret".to_owned())]);
    let sink = Sink::start_with(SinkSetup {
        accounts,
        ..SinkSetup::default()
    })
    .await;
    let mut peer = greeted(&sink).await;
    peer.ask("AUTH PLAIN AHRhcm8Ad3Jvbmc=", 535).await;
    peer.ask("AUTH LOGIN", 334).await;
    peer.ask("dGFybw==", 334).await;
    peer.ask("c2VjcmV0", 235).await;
    up_to_data(&mut peer).await;
    peer.send(b"\r\n.\r\n").await;
    peer.reply(250).await;
    assert_eq!(sink.wait_for(1).await[0].user.as_deref(), Some("taro"));
}

#[tokio::test]
async fn faults_happen_where_they_should() {
    let sink = Sink::start().await;

    sink.misbehave(At::Final, Fault::KeepAndClose);
    let mut peer = greeted(&sink).await;
    up_to_data(&mut peer).await;
    peer.send(b"kept\r\n.\r\n").await;
    peer.closed().await;
    assert_eq!(sink.take().len(), 1);
    sink.behave();

    sink.misbehave(
        At::Mail,
        Fault::ReplyAndClose("421 4.3.2 going down".into()),
    );
    let mut peer = greeted(&sink).await;
    peer.ask("MAIL FROM:<a@x.test>", 421).await;
    peer.closed().await;
    sink.behave();

    sink.misbehave(At::Rcpt, Fault::Reply("250-mixed\r\n550 codes".into()));
    sink.misbehave(At::Data, Fault::Twice("250 2.0.0 already?".into()));
    let mut peer = greeted(&sink).await;
    peer.ask("MAIL FROM:<a@x.test>", 250).await;
    peer.say("RCPT TO:<b@y.test>").await;
    peer.expect("250-mixed").await;
    peer.expect("550 codes").await;
    peer.ask("DATA", 354).await;
    peer.reply(250).await;
    sink.behave();

    sink.misbehave(At::Greeting, Fault::Silence);
    let mut peer = Peer::connect(sink.address()).await;
    peer.silent_for(Duration::from_millis(50)).await;
    assert!(sink.messages().is_empty());
}
