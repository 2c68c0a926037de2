//! The outbox: each message once, until it was told, over restarts.

use sekisho_policy::{Millis, Timestamp};
use sekisho_store::{Letter, MOST_LETTERS, Store, Taken};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn letter(id: &str) -> Letter {
    Letter {
        id: id.to_owned(),
        namespace: "default".to_owned(),
        channel: "desk".to_owned(),
        created: NOW,
        attempts: 0,
        body: "{}".to_owned(),
    }
}

#[tokio::test]
async fn a_message_waits_until_it_was_told_and_is_not_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.post(&letter("a")).await.unwrap(), Taken::Waits);
    assert_eq!(store.post(&letter("a")).await.unwrap(), Taken::Known);
    store.close().await;
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.due_letters(NOW, 10).await.unwrap(), [letter("a")]);
    let later = NOW.plus(Millis(60_000));
    store.put_off_letter("a", later).await.unwrap();
    assert_eq!(store.due_letters(NOW, 10).await.unwrap(), []);
    let due = store.due_letters(later, 10).await.unwrap();
    assert_eq!(due[0].attempts, 1);
    store.finish_letter("a", later, Millis::DAY).await.unwrap();
    assert_eq!(store.due_letters(later, 10).await.unwrap(), []);
    assert_eq!(store.post(&letter("a")).await.unwrap(), Taken::Known);
    // What was told long ago is forgotten with the next one.
    assert_eq!(store.post(&letter("b")).await.unwrap(), Taken::Waits);
    let next_week = later.plus(Millis(7 * Millis::DAY.0));
    store
        .finish_letter("b", next_week, Millis::DAY)
        .await
        .unwrap();
    assert_eq!(store.post(&letter("a")).await.unwrap(), Taken::Waits);
}

#[tokio::test]
async fn too_many_are_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("ledger.sqlite"))
        .await
        .unwrap();
    for number in 0..MOST_LETTERS {
        store.post(&letter(&number.to_string())).await.unwrap();
    }
    assert_eq!(store.post(&letter("more")).await.unwrap(), Taken::Full);
    store.finish_letter("0", NOW, Millis::DAY).await.unwrap();
    assert_eq!(store.post(&letter("more")).await.unwrap(), Taken::Waits);
}
