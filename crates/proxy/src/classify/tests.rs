//! Engines that are asked over real sockets.

use std::net::SocketAddr;

use sekisho_policy::Millis;
use sekisho_policy::opinion::EngineFault;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::engine::{Portion, Time};
use super::*;
use crate::held::Held;
use crate::memory::MessageMemory;

const OURS: &str = "Received: from pc.example.jp ([192.0.2.1])\r\n\tby mx.example.jp (Sekisho)\r\n";
const FINE: &str = r#"{"score": 1.5, "action": "no action"}"#;

fn classifier() -> Classifier {
    let metrics = Metrics::new();
    let dns = Dns::with_servers(&["127.0.0.1:9".parse().unwrap()], metrics.clone()).unwrap();
    Classifier::new(dns, metrics, Duration::from_secs(1))
}

fn engine(protocol: EngineProtocol, address: SocketAddr, timeout: u64) -> Engine {
    Engine {
        protocol,
        address: HostPort {
            host: address.ip().to_string(),
            port: address.port(),
        },
        timeout: Millis(timeout),
        concurrency: 1,
        suspect_at: 5000,
        spam_at: None,
        reject_at: None,
    }
}

fn inquiry(message: &Content) -> Inquiry<'_> {
    Inquiry {
        id: DecisionId::from_random(1),
        account: None,
        source: [192, 0, 2, 1].into(),
        helo: None,
        sender: "",
        recipients: &[],
        message,
        digest: None,
        received: OURS,
        patience: Duration::from_secs(30),
    }
}

async fn held(octets: &[u8], in_memory: usize) -> Held {
    let spool = tempfile::tempdir().unwrap();
    let budget = MessageMemory::new(1 << 30);
    let mut held = Held::new(in_memory, &budget, budget.owner(&0), &Metrics::new());
    held.memory().extend_from_slice(octets);
    held.settle(spool.path()).await.unwrap();
    held
}

/// One question, head and body, of either protocol.
async fn question(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut received = Vec::new();
    loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
            let (_, length) = head.split_once("content-length: ").unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if received.len() >= end + 4 + length {
                return Some(received.split_off(end + 4));
            }
        }
        if stream.read_buf(&mut received).await.ok()? == 0 {
            return None;
        }
    }
}

async fn say(stream: &mut TcpStream, body: &str) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).await.unwrap();
}

fn scored(opinions: &[Opinion]) -> i64 {
    match opinions {
        [Opinion::Scored(score)] => score.points,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_comes_whole_from_memory_and_from_a_file() {
    let message: Vec<u8> = (0..300_000_u32).map(|at| b'a' + (at % 23) as u8).collect();
    for in_memory in [1 << 20, 1000] {
        for protocol in [EngineProtocol::Rspamd, EngineProtocol::Spamd] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let engines = [engine(protocol, listener.local_addr().unwrap(), 10_000)];
            let mut held = held(&message, in_memory).await;
            let content = held.content();
            let (classifier, inquiry) = (classifier(), inquiry(&content));
            let asked = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let asked = question(&mut stream).await.unwrap();
                match protocol {
                    EngineProtocol::Rspamd => say(&mut stream, FINE).await,
                    EngineProtocol::Spamd => {
                        let answer = b"SPAMD/1.1 0 EX_OK\r\nSpam: False ; 1.5 / 5.0\r\n\r\n";
                        stream.write_all(answer).await.unwrap();
                    }
                }
                asked
            };
            let (opinions, asked) = tokio::join!(classifier.opinions(&engines, &inquiry), asked);
            assert_eq!(scored(&opinions), 1500);
            let expected = match protocol {
                EngineProtocol::Rspamd => message.clone(),
                EngineProtocol::Spamd => [OURS.as_bytes(), &message].concat(),
            };
            assert_eq!(asked, expected);
        }
    }
}

#[tokio::test]
async fn a_connection_is_used_again_and_one_that_died_meanwhile_costs_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let engines = [engine(EngineProtocol::Rspamd, address, 10_000)];
    let (classifier, content) = (classifier(), Content::default());
    let ask = async || scored(&classifier.opinions(&engines, &inquiry(&content)).await);
    let serve = async {
        let (mut first, _) = listener.accept().await.unwrap();
        for _ in 0..2 {
            question(&mut first).await.unwrap();
            say(&mut first, FINE).await;
        }
        // The third question is read, and the connection closed without an answer.
        question(&mut first).await.unwrap();
        drop(first);
        let (mut second, _) = listener.accept().await.unwrap();
        question(&mut second).await.unwrap();
        say(&mut second, r#"{"score": 2, "action": "no action"}"#).await;
        second
    };
    let asking = async { [ask().await, ask().await, ask().await] };
    let (scores, _) = tokio::join!(asking, serve);
    assert_eq!(scores, [1500, 1500, 2000]);
}

#[tokio::test]
async fn who_gets_no_turn_in_time_is_not_examined_and_nobody_is_hung_up_on_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let patient = [engine(EngineProtocol::Rspamd, address, 30_000)];
    let hasty = [engine(EngineProtocol::Rspamd, address, 20)];
    let (classifier, content) = (classifier(), Content::default());
    let inquiry = inquiry(&content);
    let mut first = Box::pin(classifier.opinions(&patient, &inquiry));
    let mut stream = tokio::select! {
        _ = &mut first => panic!("nobody has answered"),
        accepted = listener.accept() => accepted.unwrap().0,
    };
    let opinions = classifier.opinions(&hasty, &inquiry).await;
    assert_eq!(opinions, [Opinion::Failed(EngineFault::Busy)]);
    let answer = async {
        question(&mut stream).await.unwrap();
        say(&mut stream, FINE).await;
    };
    let (opinions, ()) = tokio::join!(first, answer);
    assert_eq!(scored(&opinions), 1500);
    // With two at once nobody waits: both stand before the engine although neither has an answer.
    let mut wider = patient.clone();
    wider[0].concurrency = 2;
    classifier.retain(&wider);
    let mut both = Box::pin(async {
        tokio::join!(
            classifier.opinions(&wider, &inquiry),
            classifier.opinions(&wider, &inquiry)
        )
    });
    let stood = async {
        // One of them uses the connection of before.
        question(&mut stream).await.unwrap();
        let (mut second, _) = listener.accept().await.unwrap();
        question(&mut second).await.unwrap();
        second
    };
    let mut second = tokio::select! {
        _ = &mut both => panic!("nobody has answered"),
        second = stood => second,
    };
    let answer = async {
        say(&mut stream, FINE).await;
        say(&mut second, FINE).await;
    };
    let ((one, other), ()) = tokio::join!(both, answer);
    assert_eq!((scored(&one), scored(&other)), (1500, 1500));
    assert_eq!(lock(&classifier.engines).len(), 1);
    classifier.retain(&[]);
    assert_eq!(lock(&classifier.engines).len(), 0);
}

#[tokio::test]
async fn who_is_not_waited_for_is_hung_up_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for protocol in [EngineProtocol::Rspamd, EngineProtocol::Spamd] {
        let engines = [engine(protocol, address, 30_000)];
        let (classifier, content) = (classifier(), Content::default());
        let inquiry = inquiry(&content);
        let mut asking = Box::pin(classifier.opinions(&engines, &inquiry));
        let asked = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            question(&mut stream).await.unwrap();
            stream
        };
        let mut stream = tokio::select! {
            _ = &mut asking => panic!("nobody has answered"),
            stream = asked => stream,
        };
        drop(asking);
        let end = stream.read(&mut [0; 16]).await;
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
}

#[tokio::test]
async fn an_engine_that_gets_less_time_than_it_wants_is_left_alone_like_others() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let engines = [engine(
        EngineProtocol::Spamd,
        listener.local_addr().unwrap(),
        30_000,
    )];
    let (classifier, content) = (classifier(), Content::default());
    let mut opinions = Vec::new();
    for network in 0..6 {
        let inquiry = Inquiry {
            source: [192, 0, network, 1].into(),
            patience: Duration::from_millis(50),
            ..inquiry(&content)
        };
        opinions.extend(classifier.opinions(&engines, &inquiry).await);
    }
    let (last, first) = opinions.split_last().unwrap();
    assert_eq!(first, [const { Opinion::Failed(EngineFault::Timeout) }; 5]);
    assert_eq!(*last, Opinion::Out);
}

fn known(concurrency: u32) -> Known {
    let engine = Engine {
        concurrency,
        ..engine(EngineProtocol::Rspamd, ([127, 0, 0, 1], 1).into(), 1000)
    };
    Known::new(&engine, Metrics::new(), Duration::from_secs(1))
}

/// The question of whoever waited `wait` for it behind another.
async fn after_a_wait<'a>(
    known: &'a Known,
    inquiry: &Inquiry<'_>,
    wait: Duration,
) -> Result<engine::Question<'a>, Trouble> {
    let patience = Duration::from_secs(10);
    let first = known.admit(inquiry, patience).await.unwrap();
    assert_eq!(first.time.portion, Portion::Whole);
    let release = async {
        tokio::time::sleep(wait).await;
        drop(first);
    };
    tokio::join!(known.admit(inquiry, patience), release).0
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_half_of_the_time_does_not_ask() {
    let (known, content) = (known(1), Content::default());
    let inquiry = inquiry(&content);
    let began = Instant::now();
    let question = after_a_wait(&known, &inquiry, Duration::from_secs(4)).await;
    let time = question.unwrap().time;
    assert_eq!(time.until, began + Duration::from_secs(10));
    let late = after_a_wait(&known, &inquiry, Duration::from_secs(6)).await;
    assert!(matches!(late, Err(Trouble::Fault(EngineFault::Busy))));
}

#[tokio::test(start_paused = true)]
async fn that_the_rest_of_the_time_did_not_suffice_says_nothing_of_the_engine() {
    let (known, content) = (known(1), Content::default());
    for network in 0..20 {
        let inquiry = Inquiry {
            source: [192, 0, network, 1].into(),
            ..inquiry(&content)
        };
        let question = after_a_wait(&known, &inquiry, Duration::from_secs(4)).await;
        question.unwrap().conclude(&Err(Trouble::TIMEOUT));
    }
    let inquiry = inquiry(&content);
    assert!(known.admit(&inquiry, Duration::from_secs(10)).await.is_ok());
}

#[tokio::test]
async fn a_name_that_is_not_answered_in_the_rest_of_the_time_is_no_engine_that_is_gone() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let dns = Dns::with_servers(&[silent.local_addr().unwrap()], Metrics::new()).unwrap();
    let address = HostPort {
        host: "engine.example.jp".into(),
        port: 1,
    };
    let late = async |portion| {
        let until = Instant::now() + Duration::from_millis(50);
        let connected = connect::connect(&dns, &address, Time { until, portion }).await;
        connected.unwrap_err().opinion()
    };
    assert_eq!(late(Portion::Whole).await, Opinion::Out);
    assert_eq!(
        late(Portion::Rest).await,
        Opinion::Failed(EngineFault::Timeout)
    );
}

#[tokio::test]
async fn what_answers_before_it_has_the_message_is_hung_up_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let engines = [engine(
        EngineProtocol::Rspamd,
        listener.local_addr().unwrap(),
        10_000,
    )];
    // More than two sockets hold.
    let mut held = held(&vec![b'x'; 32 << 20], 1000).await;
    let content = held.content();
    let (classifier, inquiry) = (classifier(), inquiry(&content));
    let answer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 4096]).await.unwrap();
        say(&mut stream, FINE).await;
        stream
    };
    let (opinions, mut stream) = tokio::join!(classifier.opinions(&engines, &inquiry), answer);
    assert_eq!(scored(&opinions), 1500);
    let (mut rest, mut buffer) = (0, vec![0; 1 << 20]);
    while let Ok(octets @ 1..) = stream.read(&mut buffer).await {
        rest += octets;
    }
    assert!(rest < 32 << 20, "all of it came");
}
