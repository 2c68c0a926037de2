//! Records into the ledger, once each, of one's own gateway.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::http::Method;
use proptest::prelude::*;
use sekisho_api::fleet::read_records;
use sekisho_policy::record::End;
use sekisho_policy::snapshot::Kind;
use sekisho_policy::{Class, DecisionId, Millis, ObjectRef, Record, Timestamp};
use sekisho_store::{Filter, Store};

use crate::harness::{Client, Control, NOW};

fn record(number: u64, gateway: &str) -> Record {
    Record {
        id: DecisionId::from_random(number),
        gateway: Arc::new(ObjectRef {
            kind: Kind::MailGateway,
            namespace: "mail".into(),
            name: gateway.into(),
        }),
        generation: 1,
        digest: "ab".into(),
        at: Timestamp(NOW - 1000 + number),
        took: Millis(1),
        account: None,
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        class: Class::Clean,
        steps: Vec::new(),
        steps_left_out: 0,
        end: End::Abandoned,
    }
}

fn lines(records: &[Record]) -> Vec<u8> {
    let mut text = Vec::new();
    for record in records {
        serde_json::to_writer(&mut text, record).unwrap();
        text.push(b'\n');
    }
    text
}

fn pack(text: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(text, 3).unwrap()
}

async fn send(client: &mut Client, first: u64, body: Vec<u8>) -> u16 {
    let sequence = first.to_string();
    let headers = [
        ("authorization", "Bearer proxy~a~mail/out"),
        ("sekisho-instance", "00ff00ff"),
        ("sekisho-sequence", &sequence),
    ];
    let path = "/v1/records?gateway=mail/out";
    let answer = client.ask(Method::POST, path, &headers, body).await;
    answer.status.as_u16()
}

async fn kept(store: &Store) -> Vec<u64> {
    let all = Filter {
        limit: 1000,
        ..Filter::default()
    };
    let mut ids: Vec<_> = store
        .records(&all)
        .await
        .unwrap()
        .iter()
        .map(|r| r.id.bits())
        .collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn each_record_is_kept_once_and_what_is_missing_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("ledger.sqlite"))
        .await
        .unwrap();
    let control = Control::start_with(Some(store.clone())).await;
    let mut client = control.connect().await;
    let batch = |numbers: std::ops::Range<u64>| {
        pack(&lines(
            &numbers.map(|n| record(n, "out")).collect::<Vec<_>>(),
        ))
    };
    assert_eq!(send(&mut client, 100, batch(100..110)).await, 204);
    assert_eq!(kept(&store).await.len(), 10, "204 means written");
    assert_eq!(send(&mut client, 100, batch(100..110)).await, 204, "again");
    assert_eq!(
        send(&mut client, 105, batch(105..115)).await,
        204,
        "overlaps"
    );
    assert_eq!(
        send(&mut client, 120, batch(120..121)).await,
        204,
        "leaves a gap"
    );
    let mut future = record(121, "out");
    future.at = Timestamp(u64::MAX);
    assert_eq!(send(&mut client, 121, pack(&lines(&[future]))).await, 204);
    assert_eq!(
        kept(&store).await,
        (100..115).chain(120..122).collect::<Vec<_>>()
    );
    let found = store
        .record(DecisionId::from_random(121))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.record.at, Timestamp(NOW), "it is not from the future");
    let metrics = control.metrics.encode(0);
    for (result, count) in [("received", 17), ("repeated", 15), ("missing", 5)] {
        let line = format!(
            "sekisho_fleet_records_total{{gateway=\"mail/out\",result=\"{result}\"}} {count}\n"
        );
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn hostile_batches_are_refused_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("ledger.sqlite"))
        .await
        .unwrap();
    let control = Control::start_with(Some(store.clone())).await;
    let mut client = control.connect().await;
    let mut other_kind = record(3, "out");
    Arc::make_mut(&mut other_kind.gateway).kind = Kind::EgressPool;
    let mut long = record(4, "out");
    long.end = End::RefusedByPolicy {
        reply: "x".repeat(600 << 10),
    };
    let many: Vec<_> = (0..4097).map(|n| record(n, "out")).collect();
    let bomb = pack(&vec![b'\n'; 200 << 20]);
    assert!(bomb.len() < 1 << 20);
    let table = [
        ("no zstd", lines(&[record(1, "out")]), 400),
        (
            "cut off",
            pack(&lines(&[record(1, "out")]))[..40].to_vec(),
            400,
        ),
        ("no record", pack(b"{}\n"), 400),
        (
            "another gateway",
            pack(&lines(&[record(1, "out"), record(2, "other")])),
            403,
        ),
        ("another kind", pack(&lines(&[other_kind])), 403),
        ("a long record", pack(&lines(&[long])), 413),
        ("too many", pack(&lines(&many)), 413),
        ("a bomb", bomb, 413),
        ("too long", vec![0; (1 << 20) + 1], 413),
    ];
    for (what, body, status) in table {
        assert_eq!(send(&mut client, 0, body).await, status, "{what}");
        if client.0.is_closed() {
            client = control.connect().await;
        }
    }
    assert!(kept(&store).await.is_empty());
    let last = pack(&lines(&[record(1, "out")]));
    assert_eq!(
        send(&mut control.connect().await, u64::MAX, last).await,
        400
    );
}

#[tokio::test]
async fn without_a_ledger_records_are_counted_and_let_go() {
    let control = Control::start().await;
    let mut client = control.connect().await;
    let batch = pack(&lines(&[record(1, "out"), record(2, "out")]));
    assert_eq!(send(&mut client, 7, batch.clone()).await, 204);
    assert_eq!(send(&mut client, 7, batch).await, 204);
    let metrics = control.metrics.encode(0);
    assert!(metrics.contains("result=\"counted\"} 2"), "{metrics}");
    assert!(metrics.contains("result=\"repeated\"} 2"), "{metrics}");
}

proptest! {
    #[test]
    fn reading_a_batch_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..400) {
        let _ = read_records(&noise, "mail/out");
        let _ = read_records(&pack(&noise), "mail/out");
        let text = lines(&[record(1, "out")]);
        let cut = cut.min(text.len());
        if let Ok(unpacked) = read_records(&pack(&text[..cut]), "mail/out") {
            prop_assert!(cut == 0 || unpacked.records.len() == 1);
        }
    }
}
