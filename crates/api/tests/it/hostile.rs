//! What must not get through, and what it may cost.

use std::sync::atomic::Ordering;

use axum::http::{Method, StatusCode};
use sekisho_runtime::tls::{Roots, Verification, client_config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::{Control, SERVICE, envelope};

const OWN: (&str, &str) = ("authorization", "Bearer proxy~a~mail/out");
const REPLICA: (&str, &str) = ("authorization", "Bearer replica~r");

type Case<'a> = (Method, &'a str, &'a [(&'a str, &'a str)], Vec<u8>, u16);

#[tokio::test]
async fn a_table_of_hostile_requests() {
    let control = Control::start().await;
    control.configs.publish(envelope("out", 2, 25));
    let (get, post) = (Method::GET, Method::POST);
    let long = format!("Bearer {}", "a".repeat(9000));
    let config = "/v1/config?gateway=mail/out";
    let ack = "/v1/ack?gateway=mail/out";
    // The last column is the status; those marked 4xx before the token is looked at cost no question.
    let unasked: &[Case<'_>] = &[
        (get.clone(), config, &[], vec![], 401),
        (
            get.clone(),
            config,
            &[("authorization", &long)],
            vec![],
            401,
        ),
        (
            get.clone(),
            config,
            &[("authorization", "Bearer a b")],
            vec![],
            401,
        ),
        (get.clone(), config, &[OWN, OWN], vec![], 401),
        (get.clone(), "/v1/config", &[OWN], vec![], 400),
        (
            get.clone(),
            "/v1/config?gateway=mail/OUT",
            &[OWN],
            vec![],
            400,
        ),
        (get.clone(), "/v1/config?gateway=../..", &[OWN], vec![], 400),
        (
            get.clone(),
            config,
            &[OWN, ("sekisho-schema", "one")],
            vec![],
            400,
        ),
        (post.clone(), config, &[OWN], vec![], 405),
        (get.clone(), "/v1/snapshots/x", &[OWN], vec![], 404),
        (
            post.clone(),
            "/v1/records?gateway=mail/out",
            &[OWN],
            vec![],
            400,
        ),
        (post.clone(), "/v1/fleet", &[], vec![], 401),
    ];
    let asked: &[Case<'_>] = &[
        (
            get.clone(),
            config,
            &[("authorization", "Bearer stolen")],
            vec![],
            401,
        ),
        (
            get.clone(),
            config,
            &[("authorization", "Bearer down")],
            vec![],
            503,
        ),
        (
            get.clone(),
            "/v1/config?gateway=mail/other",
            &[OWN],
            vec![],
            403,
        ),
        (get.clone(), config, &[REPLICA], vec![], 403),
        (
            get.clone(),
            config,
            &[OWN, ("sekisho-schema", "1")],
            vec![],
            406,
        ),
        (get.clone(), config, &[OWN], vec![], 406),
        (
            get.clone(),
            config,
            &[OWN, ("sekisho-schema", "2")],
            vec![],
            200,
        ),
        (
            post.clone(),
            "/v1/ack?gateway=mail/other",
            &[OWN],
            b"{}".to_vec(),
            403,
        ),
        (post.clone(), ack, &[OWN], b"[]".to_vec(), 400),
        (post.clone(), ack, &[OWN], vec![b' '; 40_000], 413),
        (post.clone(), ack, &[OWN], b"{}".to_vec(), 204),
        (post.clone(), "/v1/fleet", &[OWN], b"{}".to_vec(), 403),
        (post.clone(), "/v1/fleet", &[REPLICA], b"{}".to_vec(), 400),
        (
            post.clone(),
            "/v1/fleet",
            &[REPLICA],
            vec![b' '; (1 << 20) + 1],
            413,
        ),
        (
            post.clone(),
            "/v1/fleet",
            &[REPLICA],
            br#"{"epoch":1,"sequence":9,"part":"Changes"}"#.to_vec(),
            409,
        ),
    ];
    for (cases, questions) in [(unasked, 0), (asked, 1)] {
        for (method, path, headers, body, status) in cases {
            let before = control.callers.0.load(Ordering::SeqCst);
            let mut client = control.connect().await;
            let answer = client
                .ask(method.clone(), path, headers, body.clone())
                .await;
            assert_eq!(
                answer.status.as_u16(),
                *status,
                "{method} {path} {headers:?}"
            );
            let asked = control.callers.0.load(Ordering::SeqCst) - before;
            assert_eq!(asked, questions, "{method} {path}");
            if *status == 401 {
                assert_eq!(answer.headers["www-authenticate"], "Bearer");
            }
            if matches!(status, 503 | 406) {
                assert!(answer.headers.contains_key("retry-after"));
            }
        }
    }
    let metrics = control.metrics.encode(0);
    for line in [
        "sekisho_fleet_config_requests_total{result=\"sent\"} 1",
        "sekisho_fleet_config_requests_total{result=\"schema\"} 2",
        "sekisho_fleet_acks_total{result=\"noted\"} 1",
        "sekisho_fleet_acks_total{result=\"malformed\"} 2",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn a_replica_that_has_not_seen_all_sends_proxies_elsewhere() {
    let control = Control::start_unready(None).await;
    let mut client = control.connect().await;
    let config = "/v1/config?gateway=mail/out";
    let answer = client.ask(Method::GET, config, &[OWN], "").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
    control.ready.set();
    let answer = client.ask(Method::GET, config, &[OWN], "").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_served_beside_asks_nobody() {
    let control = Control::start().await;
    let mut client = control.connect().await;
    let answer = client.ask(Method::POST, "/inject", &[], "{}").await;
    assert_eq!(
        (answer.status, &*answer.body),
        (StatusCode::OK, &b"injected"[..])
    );
    assert_eq!(control.callers.0.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_slow_head_and_plain_http_are_cut() {
    let control = Control::start().await;
    let mut plain = TcpStream::connect(control.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    // An alert, or a reset: no answer.
    let _ = plain.read_to_end(&mut rest).await;
    assert!(!rest.starts_with(b"HTTP"));

    let pem = control.authorities.as_bytes();
    let tls = client_config(Verification::Required(Roots::Pem {
        origin: "test",
        pem,
    }))
    .unwrap();
    let stream = TcpStream::connect(control.address).await.unwrap();
    let connector = TlsConnector::from(tls);
    let mut stream = connector
        .connect(SERVICE.try_into().unwrap(), stream)
        .await
        .unwrap();
    stream
        .write_all(b"GET /v1/config HTTP/1.1\r\nx: ")
        .await
        .unwrap();
    stream.write_all(&vec![b'a'; 64 * 1024]).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 431"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}
