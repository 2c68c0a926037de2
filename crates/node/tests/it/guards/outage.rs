//! While Redis does not answer, each proxy guards for itself; what stood in Redis before holds again afterwards.

use serde_json::json;

use super::fleet::{Fleet, guard, per_account};
use crate::world::wait_for_metric;

const PROXIES: usize = 4;
const PASSWORDS: usize = 3;

fn parts(state: &str) -> String {
    format!("sekisho_counter_parts{{gateway=\"mail/outbound\",state=\"{state}\"}} 1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_redis_each_proxy_guards_for_itself() {
    let guard = guard(json!({ "perAccount": per_account(PASSWORDS as u64) }));
    let Some(fleet) = Fleet::start_patient("250ms", PROXIES, &guard, |_, _| {}).await else {
        return;
    };
    let (locked, other) = ("locked@example.jp", "other@example.jp");
    let guess = async |proxy: usize, account: &str, number: usize| {
        let source = format!("198.18.{proxy}.{}", number + 1);
        let password = format!("guess-{proxy}-{number}");
        let told = fleet.log_in(proxy, &source, account, &password).await;
        told[..3].to_owned()
    };
    for number in 0..PASSWORDS {
        assert_eq!(guess(number, locked, number).await, "535");
    }
    assert_eq!(fleet.everywhere("192.0.2.1", locked, "right").await, "454");
    fleet.redis.pause();
    for proxy in 0..PROXIES {
        // The first few wait for an answer that does not come.
        for account in [locked, other] {
            for number in 0..PASSWORDS {
                assert_eq!(guess(proxy, account, 10 + number).await, "535");
            }
            assert_eq!(guess(proxy, account, 20).await, "454", "at proxy {proxy}");
        }
        wait_for_metric(&fleet.worlds[proxy], &parts("suspended"));
    }
    let guesses = fleet.backend.guesses();
    assert_eq!(guesses[other], PROXIES * PASSWORDS);
    assert_eq!(guesses[locked], (PROXIES + 1) * PASSWORDS);
    fleet.redis.resume();
    for world in &fleet.worlds {
        wait_for_metric(world, &parts("asked"));
    }
    // What was counted alone is not added; what stood before stands.
    assert_eq!(fleet.everywhere("192.0.2.1", locked, "right").await, "454");
}
