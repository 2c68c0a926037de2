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

async fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&folder.path().join("ledger.sqlite"))
        .await
        .unwrap()
}

async fn due(store: &Store, now: Timestamp) -> Vec<Letter> {
    store.due_letters("default", "desk", now, 10).await.unwrap()
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
    assert_eq!(due(&store, NOW).await, [letter("a")]);
    let later = NOW.plus(Millis(60_000));
    store.put_off_letter("a", later).await.unwrap();
    assert_eq!(due(&store, NOW).await, []);
    let waiting = due(&store, later).await;
    assert_eq!(waiting[0].attempts, 1);
    store.finish_letter("a", later, Millis::DAY).await.unwrap();
    assert_eq!(due(&store, later).await, []);
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

/// A channel that is away leaves room for the others, and for its own when it has heard.
#[tokio::test]
async fn too_many_of_a_channel_are_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    for number in 0..MOST_LETTERS {
        store.post(&letter(&number.to_string())).await.unwrap();
    }
    assert_eq!(store.post(&letter("more")).await.unwrap(), Taken::Full);
    let other = Letter {
        channel: "other".to_owned(),
        ..letter("of another")
    };
    assert_eq!(store.post(&other).await.unwrap(), Taken::Waits);
    store.finish_letter("0", NOW, Millis::DAY).await.unwrap();
    assert_eq!(store.post(&letter("more")).await.unwrap(), Taken::Waits);
}

#[tokio::test]
async fn channels_are_asked_about_one_by_one_and_given_up_by_age() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    let of = |channel: &str, id: &str, after: u64| Letter {
        channel: channel.to_owned(),
        created: NOW.plus(Millis(after)),
        ..letter(id)
    };
    for letter in [
        of("late", "a", 20),
        of("early", "b", 10),
        of("late", "c", 30),
    ] {
        store.post(&letter).await.unwrap();
    }
    let name = |channel: &str| ("default".to_owned(), channel.to_owned());
    let at = |after| NOW.plus(Millis(after));
    assert_eq!(store.due_channels(at(10)).await.unwrap(), [name("early")]);
    let both = store.due_channels(at(30)).await.unwrap();
    assert_eq!(both, [name("early"), name("late")]);
    let given_up = store
        .give_up_letters("default", "late", at(20), at(40))
        .await;
    assert_eq!(given_up.unwrap(), 1);
    let left = store
        .due_letters("default", "late", at(30), 10)
        .await
        .unwrap();
    assert_eq!(left, [of("late", "c", 30)]);
    assert_eq!(
        store.post(&of("late", "a", 20)).await.unwrap(),
        Taken::Known
    );
    // Put off by a clock that said next year.
    let year = Millis(365 * Millis::DAY.0);
    store.put_off_letter("c", at(30).plus(year)).await.unwrap();
    let due = store
        .due_letters("default", "late", at(40), 10)
        .await
        .unwrap();
    assert_eq!(due.len(), 1);
}
