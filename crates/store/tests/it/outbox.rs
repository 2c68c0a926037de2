//! What every database behind the outbox must do: each message once, with what it tells of, until it was told.
#![allow(
    clippy::unwrap_used,
    reason = "these are tests, though the attribute is on what the macro makes of them"
)]

use std::sync::atomic::{AtomicU64, Ordering};

use sekisho_policy::snapshot::Kind;
use sekisho_policy::states::Imposition;
use sekisho_policy::{Account, Level, Millis, ObjectRef, Origin, Restriction, Timestamp};
use sekisho_store::{
    AccountStates, Letter, MOST_CHANNELS, MOST_OF_CHANNEL, MOST_OF_NAMESPACE, Mandate, Posted,
    ReleaseFrom,
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const NS: &str = "mail";

/// Makes a test of each function of the contract: `suite!(name, an async function to empty states and what keeps them)`.
macro_rules! suite {
    ($name:ident, $open:path) => {
        mod $name {
            crate::outbox::suite!(@tests $open;
                what_is_taken_is_told_of_once,
                what_is_not_taken_is_told_to_nobody,
                what_another_proxy_found_as_well_is_no_news,
                what_is_worse_or_comes_again_is_news,
                a_message_waits_until_it_was_told_and_is_not_told_again,
                a_channel_that_is_away_leaves_room_for_others,
                a_namespace_that_is_full_leaves_room_for_others,
                channels_are_asked_about_one_by_one_and_given_up_by_age,
            );
        }
    };
    (@tests $open:path; $($test:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let Some((states, _keeper)) = $open().await else { return };
                crate::outbox::$test(&states).await;
            }
        )*
    };
}
pub(crate) use suite;

pub(crate) fn letter(namespace: &str, channel: &str, id: &str) -> Letter {
    Letter {
        id: id.to_owned(),
        namespace: namespace.to_owned(),
        channel: channel.to_owned(),
        created: NOW,
        attempts: 0,
        body: "{}".to_owned(),
    }
}

fn restriction(level: Level, since: u64) -> Restriction {
    let since = NOW.plus(Millis(since));
    Restriction {
        level,
        since,
        until: Some(since.plus(Millis::HOUR)),
        origin: Origin::Rule(ObjectRef {
            kind: Kind::AbuseRule,
            namespace: NS.into(),
            name: "stolen".into(),
        }),
        why: "120 points".into(),
        decision: None,
        recipients_per_hour: None,
        then: None,
    }
}

fn account(name: &str) -> Account {
    Account::canonical(name, Some("example.jp"))
}

/// What somebody hears of where a proxy imposes this at that time: nothing, or one message for the channel `desk`.
async fn hears(states: &AccountStates, name: &str, restriction: Restriction, at: u64) -> bool {
    let told = [Imposition {
        account: account(name),
        restriction,
    }];
    let asked = AtomicU64::new(0);
    let letters = |imposition: &Imposition| {
        asked.fetch_add(1, Ordering::Relaxed);
        let id = format!("{} {}", imposition.account, imposition.restriction.since.0);
        vec![letter(NS, "desk", &id)]
    };
    let imposed = states.impose(NS, &told, "pod-1", NOW.plus(Millis(at)), &letters);
    let posted = imposed.await.unwrap().posted;
    assert_eq!(
        u64::from(posted.waiting),
        asked.load(Ordering::Relaxed),
        "{posted:?}"
    );
    posted.waiting == 1
}

/// Posts letters with something that is taken.
pub(crate) async fn post(states: &AccountStates, namespace: &str, letters: Vec<Letter>) -> Posted {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let told = [Imposition {
        account: account(&NUMBER.fetch_add(1, Ordering::Relaxed).to_string()),
        restriction: restriction(Level::Watch, 0),
    }];
    let letters = |_: &Imposition| letters.clone();
    let imposed = states.impose(namespace, &told, "pod-1", NOW, &letters);
    imposed.await.unwrap().posted
}

pub(crate) async fn due(states: &AccountStates, namespace: &str, channel: &str) -> Vec<Letter> {
    due_at(states, namespace, channel, NOW).await
}

async fn due_at(
    states: &AccountStates,
    namespace: &str,
    channel: &str,
    at: Timestamp,
) -> Vec<Letter> {
    let due = states.outbox().due_letters(namespace, channel, at, 10);
    due.await.unwrap()
}

pub(crate) async fn what_is_taken_is_told_of_once(states: &AccountStates) {
    let news = states.outbox().posted();
    assert!(hears(states, "a", restriction(Level::Suspend, 0), 10).await);
    tokio::time::timeout(std::time::Duration::from_secs(5), news)
        .await
        .expect("whoever tells is woken");
    for at in [10, 20, 50_000] {
        assert!(!hears(states, "a", restriction(Level::Suspend, 0), at).await);
    }
    assert_eq!(
        due_at(states, NS, "desk", NOW.plus(Millis(10))).await.len(),
        1
    );
}

pub(crate) async fn what_is_not_taken_is_told_to_nobody(states: &AccountStates) {
    let mandate = Mandate {
        at: NOW.plus(Millis(100)),
        who: "hanako".into(),
        why: "new password".into(),
    };
    for name in ["a", "c"] {
        let released = states
            .release(NS, &account(name), ReleaseFrom::default(), &mandate)
            .await;
        released.unwrap();
    }
    assert!(!hears(states, "a", restriction(Level::Suspend, 50), 200).await);
    // Nor is what goes on after it, which nobody released.
    let mut longer = restriction(Level::Suspend, 50);
    longer.then = Some(Box::new(restriction(Level::Watch, 150)));
    assert!(!hears(states, "c", longer, 200).await);
    let (name, at) = (account("c"), NOW.plus(Millis(300)));
    let left = states.restrictions(NS, &name, at).await.unwrap();
    assert_eq!(left[0].level, Level::Watch);
    let days = 3 * Millis::DAY.0;
    assert!(!hears(states, "b", restriction(Level::Suspend, 0), days).await);
    assert_eq!(due(states, NS, "desk").await, []);
    // What the account did since is something new.
    assert!(hears(states, "a", restriction(Level::Suspend, 150), 200).await);
}

/// Two proxies that share counters may both find it: what lasts a little longer is no second incident.
pub(crate) async fn what_another_proxy_found_as_well_is_no_news(states: &AccountStates) {
    assert!(hears(states, "a", restriction(Level::Suspend, 0), 100).await);
    assert!(!hears(states, "a", restriction(Level::Suspend, 30), 101).await);
    assert!(!hears(states, "a", restriction(Level::Limit, 40), 102).await);
    let (name, at) = (account("a"), NOW.plus(Millis(200)));
    let held = states.restrictions(NS, &name, at).await.unwrap();
    assert_eq!(
        held[0].until,
        Some(NOW.plus(Millis(30)).plus(Millis::HOUR)),
        "it was taken all the same"
    );
}

pub(crate) async fn what_is_worse_or_comes_again_is_news(states: &AccountStates) {
    let limit = |recipients, since| Restriction {
        recipients_per_hour: Some(recipients),
        ..restriction(Level::Limit, since)
    };
    assert!(hears(states, "a", restriction(Level::Watch, 0), 10).await);
    assert!(hears(states, "a", limit(20, 20), 30).await);
    assert!(hears(states, "a", limit(5, 40), 50).await);
    assert!(!hears(states, "a", limit(10, 45), 55).await);
    assert!(hears(states, "a", restriction(Level::Suspend, 60), 70).await);
    // A proxy whose clock is a minute ahead finds that it is over before the store does.
    let hour = Millis::HOUR.0;
    let again = restriction(Level::Suspend, hour + 60_000);
    assert!(hears(states, "a", again, hour).await);
}

pub(crate) async fn a_message_waits_until_it_was_told_and_is_not_told_again(
    states: &AccountStates,
) {
    let (a, outbox) = (letter(NS, "desk", "a"), states.outbox());
    assert_eq!(
        post(states, NS, vec![a.clone(), a.clone()]).await.waiting,
        1
    );
    assert_eq!(post(states, NS, vec![a.clone()]).await.waiting, 0);
    assert_eq!(due(states, NS, "desk").await, std::slice::from_ref(&a));
    let later = NOW.plus(Millis(60_000));
    outbox.put_off(NS, "desk", NOW, later).await.unwrap();
    assert_eq!(due(states, NS, "desk").await, []);
    let waiting = due_at(states, NS, "desk", later).await;
    assert_eq!(waiting[0].attempts, 1);
    // What comes meanwhile does not shorten the rest of the others, nor they its own.
    post(states, NS, vec![letter(NS, "desk", "new")]).await;
    assert_eq!(due(states, NS, "desk").await, [letter(NS, "desk", "new")]);
    outbox.finish("new", NOW, Millis::DAY).await.unwrap();
    outbox.finish("a", later, Millis::DAY).await.unwrap();
    assert_eq!(due_at(states, NS, "desk", later).await, []);
    assert_eq!(post(states, NS, vec![a.clone()]).await.waiting, 0);
    // What was told long ago is forgotten with the next one.
    assert_eq!(
        post(states, NS, vec![letter(NS, "desk", "b")])
            .await
            .waiting,
        1
    );
    let next_week = later.plus(Millis(7 * Millis::DAY.0));
    outbox.finish("b", next_week, Millis::DAY).await.unwrap();
    assert_eq!(post(states, NS, vec![a]).await.waiting, 1);
}

fn many(channel: &str, count: u32) -> Vec<Letter> {
    let numbered = |n| letter(NS, channel, &format!("{channel} {n}"));
    (0..count).map(numbered).collect()
}

pub(crate) async fn a_channel_that_is_away_leaves_room_for_others(states: &AccountStates) {
    let posted = post(states, NS, many("away", MOST_OF_CHANNEL + 3)).await;
    assert_eq!(posted.waiting, MOST_OF_CHANNEL);
    assert_eq!(posted.refused, [("away".to_owned(), 3)].into());
    assert_eq!(post(states, NS, many("there", 1)).await.waiting, 1);
    let more = || vec![letter(NS, "away", "more")];
    assert_eq!(post(states, NS, more()).await.refused["away"], 1);
    let outbox = states.outbox();
    outbox.finish("away 0", NOW, Millis::DAY).await.unwrap();
    assert_eq!(post(states, NS, more()).await.waiting, 1);
}

pub(crate) async fn a_namespace_that_is_full_leaves_room_for_others(states: &AccountStates) {
    let channels: Vec<Letter> = (0..=MOST_CHANNELS)
        .map(|n| letter(NS, &format!("c{n}"), &format!("of {n}")))
        .collect();
    let posted = post(states, NS, channels).await;
    let last = format!("c{MOST_CHANNELS}");
    assert_eq!(posted.refused, [(last, 1)].into(), "channels are bounded");
    let mut waiting = posted.waiting;
    for channel in ["c0", "c1", "c2"] {
        waiting += post(states, NS, many(channel, MOST_OF_CHANNEL))
            .await
            .waiting;
    }
    assert_eq!(waiting, MOST_OF_NAMESPACE);
    assert_eq!(post(states, NS, many("c3", 1)).await.waiting, 0);
    let other = vec![letter("other", "desk", "of another")];
    assert_eq!(post(states, "other", other).await.waiting, 1);
    assert_eq!(due(states, "other", "desk").await.len(), 1);
}

pub(crate) async fn channels_are_asked_about_one_by_one_and_given_up_by_age(
    states: &AccountStates,
) {
    let (at, outbox) = (|after| NOW.plus(Millis(after)), states.outbox());
    let of = |channel: &str, id: &str, after: u64| Letter {
        created: at(after),
        ..letter(NS, channel, id)
    };
    let three = vec![
        of("late", "a", 20),
        of("early", "b", 10),
        of("late", "c", 30),
    ];
    post(states, NS, three).await;
    let name = |channel: &str| (NS.to_owned(), channel.to_owned());
    assert_eq!(outbox.due_channels(at(10)).await.unwrap(), [name("early")]);
    let both = outbox.due_channels(at(30)).await.unwrap();
    assert_eq!(both, [name("early"), name("late")]);
    let keep = Millis(15);
    let given_up = outbox.give_up(NS, "late", at(20), at(40), keep).await;
    assert_eq!(given_up.unwrap(), 1);
    let left = due_at(states, NS, "late", at(30)).await;
    assert_eq!(left, [of("late", "c", 30)]);
    assert_eq!(post(states, NS, vec![of("late", "a", 20)]).await.waiting, 0);
    // That it was given up is forgotten when its time is over, although nothing was told since.
    let given_up = outbox.give_up(NS, "late", at(20), at(60), keep).await;
    assert_eq!(given_up.unwrap(), 0);
    assert_eq!(post(states, NS, vec![of("late", "a", 20)]).await.waiting, 1);
    let given_up = outbox.give_up(NS, "late", at(20), at(60), keep).await;
    assert_eq!(given_up.unwrap(), 1);
    // Put off by a clock that said next year.
    let year = Millis(365 * Millis::DAY.0);
    let next_year = at(30).plus(year);
    outbox
        .put_off(NS, "late", next_year, next_year)
        .await
        .unwrap();
    assert_eq!(due_at(states, NS, "late", at(40)).await.len(), 1);
    // The right clock puts it off as it should be.
    outbox.put_off(NS, "late", at(40), at(50)).await.unwrap();
    assert_eq!(due_at(states, NS, "late", at(40)).await, []);
    assert_eq!(due_at(states, NS, "late", at(50)).await.len(), 1);
}
