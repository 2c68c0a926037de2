//! What every database behind the store must do, as functions over [`Store`]; `suite!` makes tests of them.
#![allow(
    clippy::unwrap_used,
    reason = "these are tests, though the attribute is on what the macro makes of them"
)]

use sekisho_policy::record::End;
use sekisho_policy::{Reason, Said, Timestamp};
use sekisho_store::{AuditAction, Filter, MAX_RECORDS, Mandate, Pruned, Store};

use crate::sample::*;

/// Makes a test of each function of the contract: `suite!(name, an async function from a folder to an empty store)`.
macro_rules! suite {
    ($name:ident, $open:path) => {
        mod $name {
            crate::contract::suite!(@tests $open;
                a_record_comes_back_as_it_was,
                a_refusal_finds_its_record_and_step,
                what_restricted_an_account_finds_its_record_and_step,
                an_id_of_record_and_step_alike_finds_the_step,
                a_batch_can_be_sent_again,
                records_are_filtered_and_newest_first,
                an_account_finds_what_others_claimed,
                answers_are_bounded,
                extreme_numbers_survive,
                snapshots_come_back_for_replay,
                pruning_deletes_what_is_old,
                pruning_keeps_snapshots_that_records_need,
                erasing_an_account_leaves_the_others,
                a_ping_answers,
                readers_and_a_writer_work_at_once,
            );
        }
    };
    (@tests $open:path; $($test:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $test() {
                let folder = tempfile::tempdir().expect("a folder");
                let store = $open(folder.path()).await.expect("an empty store");
                crate::contract::$test(&store).await;
                store.close().await;
            }
        )*
    };
}
pub(crate) use suite;

fn newest(limit: u32) -> Filter {
    Filter {
        limit,
        ..Filter::default()
    }
}

fn of(name: &str) -> Filter {
    Filter {
        account: Some(account(name)),
        limit: 100,
        ..Filter::default()
    }
}

async fn ids(store: &Store, filter: &Filter) -> Vec<u64> {
    store
        .records(filter)
        .await
        .expect("records")
        .iter()
        .map(|record| record.id.bits())
        .collect()
}

pub(crate) async fn a_record_comes_back_as_it_was(store: &Store) {
    let record = refused(1, 77, "a", 1_000);
    assert_eq!(
        store
            .append(&[record.clone(), guessing(2, &["x", "y"], 2_000)])
            .await
            .unwrap(),
        2
    );
    let found = store.record(id(1)).await.unwrap().expect("it is there");
    assert_eq!((found.record, found.step), (record, None));
    assert_eq!(store.record(id(3)).await.unwrap(), None);
    assert_eq!(store.append(&[]).await.unwrap(), 0);
}

pub(crate) async fn a_refusal_finds_its_record_and_step(store: &Store) {
    store
        .append(&[delivered(1, "a", 1_000), refused(2, 77, "a", 2_000)])
        .await
        .unwrap();
    let found = store.record(id(77)).await.unwrap().expect("it is there");
    assert_eq!((found.record.id, found.step), (id(2), Some(1)));
    assert_eq!(
        store.record(id(1_000_001)).await.unwrap(),
        None,
        "nobody was given the id of an event that passed"
    );
}

/// Nothing was refused: a login that was let in, a message that went out, a password that no rule looked at.
pub(crate) async fn what_restricted_an_account_finds_its_record_and_step(store: &Store) {
    let mut delivered = delivered(1, "a", 1_000);
    let decision = &mut delivered.steps[0].decision;
    let mut restricted = decision.findings[0].clone();
    restricted.said = Said::Noted(Reason::Restricted);
    decision.findings.push(restricted);
    let mut login = guessing(2, &["a"], 2_000);
    login.steps[0].decision.findings = delivered.steps[0].decision.findings.clone();
    login.end = End::Noted;
    let mut wrong = guessing(3, &["a"], 3_000);
    wrong.end = End::RefusedByPolicy {
        reply: "535 5.7.8 Authentication credentials invalid".into(),
    };
    let all = [delivered, login, wrong];
    store.append(&all).await.unwrap();
    for record in all {
        let named = record.steps[0].event.id;
        let found = store.record(named).await.unwrap().expect("it is there");
        assert_eq!((found.record, found.step), (record, Some(0)));
    }
}

pub(crate) async fn an_id_of_record_and_step_alike_finds_the_step(store: &Store) {
    let record = refused(5, 5, "a", 1_000);
    store.append(std::slice::from_ref(&record)).await.unwrap();
    let found = store.record(id(5)).await.unwrap().expect("it is there");
    assert_eq!((found.record, found.step), (record, Some(1)));
}

pub(crate) async fn a_batch_can_be_sent_again(store: &Store) {
    let batch = [refused(1, 77, "a", 1_000), guessing(2, &["x", "y"], 2_000)];
    assert_eq!(store.append(&batch).await.unwrap(), 2);
    assert_eq!(store.append(&batch).await.unwrap(), 0);
    assert_eq!(
        store
            .append(&[delivered(1, "b", 9), delivered(3, "a", 3_000)])
            .await
            .unwrap(),
        1
    );
    assert_eq!(ids(store, &newest(10)).await, [3, 2, 1]);
    let twice = [refused(4, 78, "a", 4_000), refused(4, 78, "a", 4_000)];
    assert_eq!(store.append(&twice).await.unwrap(), 1);
    assert_eq!(
        store.record(id(78)).await.unwrap().unwrap().record,
        twice[0]
    );
    assert_eq!(
        store.record(id(1)).await.unwrap().unwrap().record,
        batch[0],
        "the first one stays"
    );
}

pub(crate) async fn records_are_filtered_and_newest_first(store: &Store) {
    let batch = [
        delivered(1, "a", 3_000),
        delivered(2, "b", 1_000),
        delivered(3, "a", 2_000),
        delivered(4, "a", 2_000),
    ];
    store.append(&batch).await.unwrap();
    assert_eq!(ids(store, &newest(10)).await, [1, 4, 3, 2]);
    assert_eq!(ids(store, &newest(2)).await, [1, 4]);
    assert_eq!(ids(store, &of("a")).await, [1, 4, 3]);
    assert_eq!(
        ids(
            store,
            &Filter {
                since: Some(Timestamp(2_001)),
                ..of("a")
            }
        )
        .await,
        [1]
    );
    assert_eq!(
        ids(
            store,
            &Filter {
                since: Some(Timestamp(2_000)),
                ..newest(10)
            }
        )
        .await,
        [1, 4, 3]
    );
    assert_eq!(ids(store, &of("nobody")).await, [0; 0]);
    assert_eq!(ids(store, &of("a' OR 1=1 --")).await, [0; 0]);
}

pub(crate) async fn an_account_finds_what_others_claimed(store: &Store) {
    let batch = [
        delivered(1, "a", 1_000),
        guessing(2, &["a", "b", "c"], 2_000),
        guessing(3, &["b", "b"], 3_000),
    ];
    store.append(&batch).await.unwrap();
    assert_eq!(ids(store, &of("a")).await, [2, 1]);
    assert_eq!(ids(store, &of("b")).await, [3, 2]);
    assert_eq!(ids(store, &of("c")).await, [2]);
    assert_eq!(
        ids(
            store,
            &Filter {
                limit: 1,
                ..of("b")
            }
        )
        .await,
        [3]
    );
    assert_eq!(
        ids(
            store,
            &Filter {
                since: Some(Timestamp(2_001)),
                ..of("b")
            }
        )
        .await,
        [3]
    );
}

pub(crate) async fn answers_are_bounded(store: &Store) {
    let many: Vec<_> = (1..=u64::from(MAX_RECORDS) + 5)
        .map(|n| delivered(n, "a", n))
        .collect();
    store.append(&many).await.unwrap();
    assert_eq!(
        ids(store, &newest(u32::MAX)).await.len(),
        MAX_RECORDS as usize
    );
    assert_eq!(ids(store, &newest(0)).await, [0; 0]);
}

pub(crate) async fn extreme_numbers_survive(store: &Store) {
    let mut record = refused(1, 0, "a", u64::MAX - 5);
    record.id = id((1 << 60) - 1);
    record.at = Timestamp(u64::MAX);
    record.generation = u64::MAX;
    store.append(std::slice::from_ref(&record)).await.unwrap();
    assert_eq!(
        store.record(record.id).await.unwrap().unwrap().record,
        record
    );
    assert_eq!(store.record(id(0)).await.unwrap().unwrap().record, record);
    assert_eq!(
        store.prune(Timestamp(u64::MAX - 1)).await.unwrap(),
        Pruned {
            records: 0,
            snapshots: 0
        }
    );
}

pub(crate) async fn snapshots_come_back_for_replay(store: &Store) {
    let first = envelope("aaaa", 5);
    store.put_snapshot(&first, Timestamp(10)).await.unwrap();
    store
        .put_snapshot(&envelope("aaaa", 6), Timestamp(20))
        .await
        .unwrap();
    assert_eq!(store.snapshot("aaaa").await.unwrap(), Some(first));
    assert_eq!(store.snapshot("bbbb").await.unwrap(), None);
    // A record may be written before the snapshot that it was made under.
    store.append(&[delivered(1, "a", 1_000)]).await.unwrap();
    assert_eq!(store.snapshot(DIGEST).await.unwrap(), None);
    let late = envelope(DIGEST, 7);
    store.put_snapshot(&late, Timestamp(30)).await.unwrap();
    assert_eq!(store.snapshot(DIGEST).await.unwrap(), Some(late));
}

pub(crate) async fn pruning_deletes_what_is_old(store: &Store) {
    let many: Vec<_> = (1..=2_500)
        .map(|n| refused(n, 1_000_000 + n, "a", n))
        .collect();
    store.append(&many).await.unwrap();
    store
        .append(&[guessing(9_000, &["a", "b"], 5)])
        .await
        .unwrap();
    assert_eq!(
        store.prune(Timestamp(2_401)).await.unwrap(),
        Pruned {
            records: 2_401,
            snapshots: 0
        }
    );
    assert_eq!(
        ids(store, &newest(1_000)).await,
        (2_401..=2_500).rev().collect::<Vec<_>>()
    );
    assert_eq!(ids(store, &of("b")).await, [0; 0]);
    assert_eq!(store.record(id(1_000_001)).await.unwrap(), None);
    assert_eq!(
        store.record(id(1_002_401)).await.unwrap().unwrap().step,
        Some(1)
    );
    assert_eq!(
        store.prune(Timestamp(2_401)).await.unwrap(),
        Pruned::default()
    );
}

pub(crate) async fn pruning_keeps_snapshots_that_records_need(store: &Store) {
    store
        .put_snapshot(&envelope(DIGEST, 1), Timestamp(1))
        .await
        .unwrap();
    store.append(&[delivered(1, "a", 1)]).await.unwrap();
    for n in 2..=12 {
        store
            .put_snapshot(&envelope(&format!("digest {n}"), n), Timestamp(n))
            .await
            .unwrap();
    }
    // Twelve: eight are the newest, one is needed, three go.
    assert_eq!(
        store.prune(Timestamp(0)).await.unwrap(),
        Pruned {
            records: 0,
            snapshots: 3
        }
    );
    assert!(store.snapshot(DIGEST).await.unwrap().is_some());
    assert!(store.snapshot("digest 4").await.unwrap().is_none());
    assert!(store.snapshot("digest 5").await.unwrap().is_some());
    assert_eq!(
        store.prune(Timestamp(2)).await.unwrap(),
        Pruned {
            records: 1,
            snapshots: 1
        }
    );
    assert!(store.snapshot(DIGEST).await.unwrap().is_none());
}

pub(crate) async fn erasing_an_account_leaves_the_others(store: &Store) {
    let many: Vec<_> = (1..=1_200)
        .map(|n| refused(n, 1_000_000 + n, if n % 6 == 0 { "b" } else { "a" }, n))
        .collect();
    store.append(&many).await.unwrap();
    store
        .append(&[
            guessing(9_001, &["0", "a"], 5),
            guessing(9_002, &["b", "c"], 6),
        ])
        .await
        .unwrap();
    let mandate = Mandate {
        at: Timestamp(77),
        who: "desk@example.jp".into(),
        why: "ticket 4711".into(),
    };
    assert_eq!(
        store.erase_account(&account("a"), &mandate).await.unwrap(),
        1_001
    );
    assert_eq!(ids(store, &of("a")).await, [0; 0]);
    assert_eq!(ids(store, &newest(1_000)).await.len(), 201);
    assert_eq!(store.record(id(1_000_001)).await.unwrap(), None);
    assert!(store.record(id(1_000_006)).await.unwrap().is_some());
    assert_eq!(
        store.erase_account(&account("a"), &mandate).await.unwrap(),
        0
    );
    let trail = store.audit(10).await.unwrap();
    assert_eq!(
        trail.iter().map(|entry| entry.affected).collect::<Vec<_>>(),
        [0, 1_001]
    );
    assert_eq!(trail[1].mandate, mandate);
    assert_eq!(
        (trail[1].action, trail[1].subject.as_str()),
        (AuditAction::EraseAccount, "a@example.jp")
    );
    assert_eq!(store.audit(1).await.unwrap().len(), 1);
}

pub(crate) async fn a_ping_answers(store: &Store) {
    store.ping().await.unwrap();
    store.append(&[delivered(1, "a", 1)]).await.unwrap();
    store.ping().await.unwrap();
}

pub(crate) async fn readers_and_a_writer_work_at_once(store: &Store) {
    let writes = (0..8u64).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..10 {
                let number = task * 100 + n + 1;
                store
                    .append(&[refused(number, 1_000_000 + number, "a", number)])
                    .await
                    .unwrap();
                assert!(
                    store
                        .record(id(1_000_000 + number))
                        .await
                        .unwrap()
                        .is_some()
                );
                assert!(!store.records(&of("a")).await.unwrap().is_empty());
            }
        })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.expect("no task fails");
    }
    assert_eq!(ids(store, &newest(1_000)).await.len(), 80);
}
