//! The contract on days that somebody disowned.

use std::net::IpAddr;

use sekisho_counters::Counters;
use sekisho_policy::key::{Scope, Subject, Subjects, Tally};
use sekisho_policy::op::MAX_DISOWNED;
use sekisho_policy::snapshot::{Kind, ObjectRef};
use sekisho_policy::{Key, Millis, Op, Outcome};

use crate::contract::{HOUR, ask};
use crate::ops::*;

const DAY: u64 = 24 * HOUR;
const KEEP: u64 = 30 * DAY;

/// Keys about one account are in one place of a Cluster; those of other tests are about nobody.
fn of_account(tally: Tally, network: Option<&str>) -> Key {
    let object = ObjectRef {
        kind: Kind::MailGateway,
        namespace: "mail".into(),
        name: "outbound".into(),
    };
    let mut subjects = Subjects::of(&[Subject::Account("taro@example.jp")]);
    if let Some(ip) = network {
        let ip: IpAddr = ip.parse().unwrap();
        subjects.push(Subject::Source(ip));
    }
    Scope::new(&object, tally, Millis(0)).key(&subjects)
}

fn mark() -> Key {
    of_account(Tally::Disowned, None)
}

fn days(network: &str) -> Key {
    of_account(Tally::GoodDays, Some(network))
}

/// A login of this day from there.
async fn come(counters: &Counters, at: u64, from: &Key) {
    let seen = Op::Distinct {
        key: from.clone(),
        item: u128::from(at / DAY).to_be_bytes(),
        window: Millis(KEEP),
    };
    ask(counters, at, seen).await;
}

/// How many days there are, as a login asks it.
async fn known(counters: &Counters, at: u64, from: &Key) -> u64 {
    assert_eq!(ask(counters, at, heed(from, &mark())).await, Outcome::Done);
    let key = from.clone();
    let window = Millis(KEEP);
    match ask(counters, at, Op::Count { key, window }).await {
        Outcome::Total(days) => days,
        other => panic!("a number of days: {other:?}"),
    }
}

pub(crate) async fn what_is_disowned_is_taken_out_of_sets_that_heed_it(counters: &Counters) {
    let (home, thief) = (days("192.0.2.1"), days("198.51.100.1"));
    let elsewhere = days("203.0.113.1");
    let start = 100 * DAY;
    for day in 0..8 {
        come(counters, start + day * DAY, &home).await;
        if day >= 5 {
            come(counters, start + day * DAY + HOUR, &thief).await;
            come(counters, start + day * DAY + HOUR, &elsewhere).await;
        }
    }
    let released = start + 7 * DAY + 2 * HOUR;
    assert_eq!(known(counters, released, &home).await, 8);
    assert_eq!(known(counters, released, &thief).await, 3);
    // From the moment of one login to that of another: both are in it.
    let (from, to) = (start + 5 * DAY, start + 7 * DAY + HOUR);
    let disown = || disown(&mark(), from, to, KEEP);
    assert_eq!(ask(counters, released, disown()).await, Outcome::Done);
    assert_eq!(known(counters, released, &thief).await, 0);
    assert_eq!(known(counters, released, &home).await, 5);
    // What comes since counts, on the same day too, however late it is said again.
    come(counters, released, &home).await;
    come(counters, released + DAY, &home).await;
    for late in [released + DAY, released + 2 * DAY] {
        ask(counters, late, disown()).await;
        assert_eq!(known(counters, late, &home).await, 7);
        assert_eq!(known(counters, late, &thief).await, 0);
    }
    // The mark is there for as long as days are that nobody has looked at.
    let late = released + 28 * DAY;
    let key = elsewhere.clone();
    let window = Millis(KEEP);
    let unheeded = ask(counters, late, Op::Count { key, window }).await;
    assert_eq!(unheeded, Outcome::Total(2));
    assert_eq!(known(counters, late, &elsewhere).await, 0);
}

pub(crate) async fn spans_that_touch_are_one_and_too_many_are_fewer(counters: &Counters) {
    let start = 1_000 * DAY;
    let home = days("192.0.2.1");
    let most = MAX_DISOWNED as u64;
    // One hour of each two is disowned, one more of them than there is room for, and not in their order.
    for hour in 0..2 * (most + 1) {
        come(counters, start + hour * HOUR, &home_at(hour)).await;
    }
    let now = start + DAY;
    let even = (0..=most).map(|number| 2 * ((number * 2) % (most + 1)));
    for hour in even {
        let from = start + hour * HOUR;
        ask(counters, now, disown(&mark(), from, from + HOUR / 2, KEEP)).await;
    }
    let mut left = Vec::new();
    for hour in 0..2 * (most + 1) {
        left.push(known(counters, now, &home_at(hour)).await);
    }
    // The oldest two have become one, with what lies between them.
    let mut expected = vec![0, 0, 0];
    expected.extend((3..2 * (most + 1)).map(|hour| hour % 2));
    assert_eq!(left, expected);
    // Two that touch are one, and one that lies in another changes nothing.
    come(counters, now, &home).await;
    come(counters, now + DAY, &home).await;
    ask(
        counters,
        now + 2 * DAY,
        disown(&mark(), now + 1, now + DAY, KEEP),
    )
    .await;
    ask(
        counters,
        now + 2 * DAY,
        disown(&mark(), now + HOUR, now + 2 * HOUR, KEEP),
    )
    .await;
    assert_eq!(known(counters, now + 2 * DAY, &home).await, 1);
    ask(counters, now + 2 * DAY, disown(&mark(), now, now, KEEP)).await;
    assert_eq!(known(counters, now + 2 * DAY, &home).await, 0);
}

fn home_at(number: u64) -> Key {
    days(&format!("192.0.2.{number}"))
}
