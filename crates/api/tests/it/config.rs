//! Long polls: what wakes them, what they are answered, and how they end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use sekisho_policy::Envelope;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::harness::{Answered, Client, Control, envelope};

async fn poll(
    client: &mut Client,
    gateway: &str,
    proxy: &str,
    known: &str,
    wait: &str,
) -> Answered {
    let token = format!("Bearer proxy~{proxy}~{gateway}");
    let known = format!("\"{known}\"");
    let headers = [
        ("authorization", token.as_str()),
        ("if-none-match", &known),
        ("prefer", wait),
        ("accept-encoding", "zstd"),
        ("sekisho-schema", "1"),
    ];
    let path = format!("/v1/config?gateway={gateway}");
    client.ask(Method::GET, &path, &headers, "").await
}

/// Waits until so many requests were identified. What follows in the server until it waits is one step of its task.
async fn held(control: &Control, requests: usize) {
    while control.callers.0.load(Ordering::SeqCst) < requests {
        tokio::task::yield_now().await;
    }
}

fn unpack(answered: &Answered) -> Envelope {
    assert_eq!(answered.headers["content-encoding"], "zstd");
    let json = zstd::bulk::decompress(&answered.body, 1 << 20).unwrap();
    Envelope::read(&json).unwrap()
}

#[tokio::test]
async fn a_poll_waits_for_the_first_snapshot_the_next_one_and_the_end() {
    let control = Control::start().await;
    let mut client = control.connect().await;
    let (first, second) = (envelope("out", 1, 25), envelope("out", 1, 26));

    let (answer, ()) = tokio::join!(poll(&mut client, "mail/out", "a", "", "wait=50"), async {
        control.connected("mail/out", 1).await;
        control.configs.publish(envelope("other", 1, 25));
        control.configs.publish(first.clone());
    });
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(unpack(&answer), *first);
    assert_eq!(answer.headers["etag"], format!("\"{}\"", first.digest));

    let (answer, ()) = tokio::join!(
        poll(&mut client, "mail/out", "a", &first.digest, "wait=50"),
        async {
            held(&control, 2).await;
            control.configs.publish(second.clone());
        }
    );
    assert_eq!(unpack(&answer), *second);

    let answer = poll(&mut client, "mail/out", "a", &second.digest, "wait=0").await;
    assert_eq!(answer.status, StatusCode::NOT_MODIFIED);

    let (answer, ()) = tokio::join!(
        poll(&mut client, "mail/out", "a", &second.digest, "wait=50"),
        async {
            held(&control, 4).await;
            control.configs.withdraw("mail/out");
        }
    );
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let answer = poll(&mut client, "mail/out", "a", "", "wait=0").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
}

#[tokio::test]
async fn draining_ends_long_polls_at_once_and_connections_after_them() {
    let control = Control::start().await;
    let published = envelope("out", 1, 25);
    control.configs.publish(published.clone());
    let mut client = control.connect().await;
    let idle = control.connect().await;
    let begun = Instant::now();
    let (answer, drained) = tokio::join!(
        poll(&mut client, "mail/out", "a", &published.digest, "wait=50"),
        async {
            control.connected("mail/out", 1).await;
            control.shutdown.drain(Duration::from_secs(20)).await
        }
    );
    assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
    assert_eq!(answer.headers["connection"], "close");
    assert_eq!((drained.cut_short, drained.abandoned), (0, 0));
    assert!(begun.elapsed() < Duration::from_secs(20));
    drop(idle);
}

/// Prints how long it takes until all have the change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_proxies_are_woken() {
    const PROXIES: usize = 1000;
    let control = Control::start().await;
    let (first, second) = (envelope("out", 1, 25), envelope("out", 1, 26));
    control.configs.publish(first.clone());
    let mut polls = JoinSet::new();
    for number in 0..PROXIES {
        let mut client = control.connect().await;
        let known = first.digest.clone();
        polls.spawn(async move {
            let proxy = format!("p{number}");
            poll(&mut client, "mail/out", &proxy, &known, "wait=50").await
        });
    }
    control.connected("mail/out", PROXIES).await;
    let begun = Instant::now();
    control.configs.publish(second.clone());
    while let Some(answer) = polls.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers["etag"], format!("\"{}\"", second.digest));
    }
    println!(
        "{PROXIES} long polls were answered within {:?}",
        begun.elapsed()
    );
}
