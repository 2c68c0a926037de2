//! What people ask of the local server about an account.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sekisho_api::fleet::{FleetRunning, Reports};
use sekisho_api::{
    Answer, Configs, NotHere, Running, RunningGateway, Server, Sources, Tally, Token,
};
use sekisho_policy::watch::Score;
use sekisho_policy::{Account, Level, ObjectRef, Origin, Restriction, Timestamp};
use sekisho_runtime::{Clock, Health, Metrics, Shutdown};
use sekisho_store::{AccountStates, Mandate, Store};
use serde_json::Value;
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

    fn scores<'a>(
        &'a self,
        _namespace: &'a str,
        _account: &'a Account,
    ) -> Answer<'a, Result<Vec<Score>, NotHere>> {
        Box::pin(async { Err(NotHere("counters do not answer")) })
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
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", "sekisho")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Empty::<Bytes>::new())
        .unwrap();
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn points_that_nobody_here_knows_are_not_taken_for_none() {
    let fleet = Reports::new(Metrics::new()).fleet();
    let control = Arc::new(FleetRunning::new(Configs::default(), fleet));
    let table: [(Arc<dyn Running>, &str); 2] = [
        (control, "which are not in this process"),
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
        assert_eq!(status, StatusCode::NOT_IMPLEMENTED, "{problem}");
        assert!(
            problem["detail"].as_str().unwrap().contains(words),
            "{problem}"
        );
    }
}
