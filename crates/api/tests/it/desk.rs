//! What people ask of the local server about an account.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::response::Parts;
use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sekisho_api::fleet::{Errands, FleetRunning, Ready, Reports};
use sekisho_api::{
    Answer, Configs, NotHere, Points, Running, RunningGateway, Server, Sources, Tally, Token,
    Unanswered,
};
use sekisho_policy::errand::Bounced;
use sekisho_policy::{Account, Level, ObjectRef, Origin, Restriction, Timestamp};
use sekisho_runtime::{Clock, Health, Metrics, Shutdown};
use sekisho_store::{AccountStates, Mandate, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::harness::NOW;

const TOKEN: &str = "0123456789abcdef";

/// Gateways of this process whose counters do not answer.
struct Silent;

impl Running for Silent {
    fn gateways(&self) -> Answer<'_, Vec<RunningGateway>> {
        Box::pin(async { Vec::new() })
    }

    fn reset_brake<'a>(&'a self, _rule: &'a ObjectRef) -> Answer<'a, Result<Vec<String>, NotHere>> {
        Box::pin(async { Err(NotHere("no brakes")) })
    }

    fn scores<'a>(&'a self, _: &'a str, _: &'a Account) -> Answer<'a, Points> {
        let known = Vec::new();
        let unknown = Some("counters do not answer".to_owned());
        Box::pin(async { Points { known, unknown } })
    }

    fn bounced<'a>(
        &'a self,
        gateway: &'a str,
        account: &'a Account,
        count: u64,
        _: Option<Bounced>,
    ) -> Answer<'a, Result<Option<u64>, Unanswered>> {
        Box::pin(async move {
            match (gateway, account.as_str()) {
                ("mail/here", _) => Ok(Some(count)),
                ("mail/silent", _) => Err(Unanswered {
                    why: "a proxy was asked".into(),
                    may_be_done: true,
                }),
                _ => Ok(None),
            }
        })
    }
}

/// A server that keeps one restriction, of `mail`'s taro.
async fn serve(running: Arc<dyn Running>) -> (SocketAddr, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("ledger.sqlite"))
        .await
        .unwrap();
    let accounts = AccountStates::in_ledger(&store);
    let mandate = Mandate {
        at: Timestamp(NOW),
        who: "hanako".into(),
        why: "a test".into(),
    };
    let restriction = Restriction {
        level: Level::Suspend,
        since: Timestamp(NOW),
        until: None,
        origin: Origin::Desk,
        why: "a test".into(),
        decision: None,
        recipients_per_hour: None,
        then: None,
    };
    let taro = Account::canonical("taro", None);
    let restricted = accounts.restrict("mail", &taro, &restriction, &mandate);
    restricted.await.unwrap();
    let sources = Sources {
        clock: Clock::manual(NOW),
        metrics: Metrics::new(),
        health: Health::default(),
        shutdown: Shutdown::new(),
        configs: Configs::default(),
        store: Some(store),
        accounts: Some(accounts),
        tally: Tally::default(),
        running,
        inbox: None,
        first_message: None,
    };
    let token = Token::parse(TOKEN).unwrap();
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), Some(token), sources)
        .await
        .unwrap();
    let address = server.address();
    tokio::spawn(server.run());
    (address, folder)
}

async fn fetch(address: SocketAddr, path: &str) -> (StatusCode, Value) {
    let (head, body) = ask(address, Method::GET, path, "").await;
    (head.status, body)
}

async fn ask(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: impl Into<Bytes>,
) -> (Parts, Value) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "sekisho")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Full::new(body.into()))
        .unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn points_that_nobody_here_knows_are_not_taken_for_none() {
    let reports = Reports::new(Metrics::new());
    let (fleet, errands) = (reports.fleet(), Errands::alone(reports));
    let unready = FleetRunning::new(Configs::default(), fleet, errands, Ready::default());
    let table: [(Arc<dyn Running>, &str); 2] = [
        (Arc::new(unready), "has not yet seen what there is"),
        (Arc::new(Silent), "counters do not answer"),
    ];
    for (running, words) in table {
        let (address, _folder) = serve(running).await;
        let (status, shown) = fetch(address, "/v1/accounts/taro?namespace=mail").await;
        assert_eq!(status, StatusCode::OK, "{shown}");
        assert_eq!(shown["standing"]["worst"]["level"], "Suspend", "{shown}");
        let unknown = shown["pointsUnknown"].as_str().unwrap_or_default();
        assert!(unknown.contains(words), "{shown}");
        assert!(shown.get("points").is_none(), "{shown}");
        let (status, problem) = fetch(address, "/v1/accounts/taro/points?namespace=mail").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(words),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn bounces_that_nobody_could_count_are_not_called_counted() {
    let (address, _folder) = serve(Arc::new(Silent)).await;
    let bounce =
        |gateway: &str| json!({ "status": "5.1.1", "account": "taro", "gateway": gateway });
    let post = async |gateways: &[&str]| {
        let bounces: Vec<_> = gateways.iter().map(|gateway| bounce(gateway)).collect();
        let body = json!({ "bounces": bounces }).to_string();
        ask(address, Method::POST, "/v1/bounces", body).await
    };
    let (head, told) = post(&["mail/here", "mail/here", "mail/nowhere"]).await;
    assert_eq!(head.status, StatusCode::OK, "{told}");
    assert_eq!((&told["counted"], &told["strange"]), (&json!(2), &json!(1)));
    let (head, problem) = post(&["mail/here", "mail/here", "mail/silent"]).await;
    assert_eq!(head.status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    assert_eq!(head.headers["retry-after"], "5");
    let detail = problem["detail"].as_str().unwrap();
    for words in [
        "a proxy was asked",
        "these may be counted all the same, 2 others",
        "those by `account` count each time",
    ] {
        assert!(detail.contains(words), "{detail}");
    }
}
