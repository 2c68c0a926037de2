//! Whether an account exists is told by no reply, by no number of steps, and by no salt, on no proxy. How long things take is measured by
//! `tests/bench/login-timing`.

use super::fleet::{Fleet, guard, metric, per_account, per_pair, per_source};
use super::stale::with_accounts_file;
use serde_json::json;

const KNOWN: &str = "taro@example.jp";
/// They do not exist.
const OTHERS: [&str; 4] = [
    "hana@example.jp",
    "jiro@example.jp",
    "ken@example.com",
    "root",
];

/// A reply without the id of its decision.
fn words(told: &str) -> String {
    let (words, id) = told.rsplit_once(" [").unwrap();
    assert!(id.len() == 15 && id.ends_with(']'), "{told}");
    words.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_exists_is_answered_like_who_does_not() {
    let guard = guard(json!({
        "perAccount": per_account(2),
        "perSource": per_source(50, 50),
        "perAccountAndSource": per_pair(50),
    }));
    let edit = |world: &_, body: &mut _| with_accounts_file(world, body, &[KNOWN]);
    let Some(mut fleet) = Fleet::start(3, &guard, edit).await else {
        return;
    };
    let mut seen = Vec::new();
    for account in [KNOWN].iter().chain(&OTHERS) {
        let mut steps = Vec::new();
        for attempt in 0..4 {
            let before = trips(&fleet);
            let source = format!("198.18.{}.1", seen.len() * 8 + attempt);
            let told = fleet
                .log_in(0, &source, account, &format!("wrong-{attempt}"))
                .await;
            steps.push((words(&told), trips(&fleet) - before));
        }
        seen.push(steps);
    }
    let codes: Vec<_> = seen[0].iter().map(|(words, _)| &words[..3]).collect();
    assert_eq!(codes, ["535", "535", "454", "454"], "{:?}", seen[0]);
    assert!(seen[0].iter().all(|(_, trips)| *trips > 0), "{:?}", seen[0]);
    assert!(seen.iter().all(|steps| *steps == seen[0]), "{seen:#?}");
    salts(&mut fleet).await;
    assert_eq!(fleet.ever_alone(), 0, "a machine too slow for this test");
}

fn trips(fleet: &Fleet) -> u64 {
    metric(&fleet.worlds[0], "sekisho_counter_round_trips_total{")
}

/// Each account has one salt, on every proxy and after restarts, whether it exists or not; all have the same iterations.
async fn salts(fleet: &mut Fleet) {
    let mut shown = Vec::new();
    for account in [KNOWN].iter().chain(&OTHERS) {
        let mut own = Vec::new();
        for proxy in 0..fleet.size() {
            own.push(salt(fleet, proxy, account).await);
        }
        fleet.restart(1);
        own.push(salt(fleet, 1, account).await);
        assert!(own.iter().all(|salt| *salt == own[0]), "{account}: {own:?}");
        shown.push(own.swap_remove(0));
    }
    for (at, one) in shown.iter().enumerate() {
        let (salt, iterations) = one.split_once(',').unwrap();
        assert_eq!(iterations, "i=4096");
        assert_eq!(salt.len(), shown[0].split(',').next().unwrap().len());
        assert!(!shown[..at].contains(one), "two accounts have one salt");
    }
}

/// What SCRAM shows of an account. Its locks are forgotten before, for they hide it.
async fn salt(fleet: &Fleet, proxy: usize, account: &str) -> String {
    fleet.redis.cli(&["flushall"]);
    let mut session = fleet.session(proxy, "198.51.100.1").await;
    let (shown, told) = session.scram(account).await;
    assert!(told.starts_with("535 "), "{told}");
    shown
}
