//! Records a second, octets a record, and how long an answer takes: `cargo bench -p sekisho-store`.
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

#[path = "../tests/it/sample.rs"]
mod sample;

use std::time::Instant;

use sekisho_policy::Timestamp;
use sekisho_store::{Filter, Store};

use sample::{account, id, refused};

#[tokio::main]
async fn main() {
    let batches = if std::env::args().any(|argument| argument == "--test") {
        2
    } else {
        200
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.sqlite");
    let store = Store::open(&path).await.expect("a store");
    let records: Vec<Vec<_>> = (0..batches)
        .map(|batch| {
            (1..=512)
                .map(|n| batch * 512 + n)
                .map(|n| {
                    refused(
                        scattered(n),
                        scattered(n + (1 << 40)),
                        &format!("user{}", n % 1_000),
                        n,
                    )
                })
                .collect()
        })
        .collect();

    let begin = Instant::now();
    for batch in &records {
        store.append(batch).await.expect("written");
    }
    let count = batches * 512;
    println!(
        "append: {:.0} records a second in batches of 512",
        count as f64 / begin.elapsed().as_secs_f64()
    );

    let begin = Instant::now();
    for n in 1..=1_000 {
        store
            .record(id(scattered(n % count + 1)))
            .await
            .expect("read");
    }
    println!(
        "by id: {:.0} microseconds",
        begin.elapsed().as_secs_f64() * 1e3
    );
    let begin = Instant::now();
    let filter = Filter {
        account: Some(account("user7")),
        limit: 100,
        ..Filter::default()
    };
    let found = store.records(&filter).await.expect("read").len();
    println!(
        "{found} records of an account: {:.1} ms",
        begin.elapsed().as_secs_f64() * 1e3
    );

    let begin = Instant::now();
    store.prune(Timestamp(count / 2)).await.expect("pruned");
    println!(
        "prune: {:.0} records a second",
        (count / 2) as f64 / begin.elapsed().as_secs_f64()
    );
    store.close().await;
    println!(
        "{} octets a record on disk",
        path.metadata().map_or(0, |file| file.len()) / (count / 2 + 1)
    );
}

/// Ids are random in life, and that is what costs an index.
const fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 4
}
