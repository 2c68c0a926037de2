//! Locks grow with each repetition, on whichever proxies it comes about, and hold on all of them at once. Their ends are brought
//! about in Redis, where they stand: nobody waits for hours.

use serde_json::json;

use super::fleet::{Fleet, MINUTE, guard};

/// What each lock has left, in milliseconds; then each ends at once, and stays remembered.
const END_LOCKS: &str = "
local time, left = redis.call('TIME'), {}
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, key in ipairs(redis.call('KEYS', 'sekisho:*')) do
  if redis.call('TYPE', key).ok == 'string' and redis.call('GETRANGE', key, 0, 1) == 'L\\2' then
    local finish, count, began = struct.unpack('>I6I4I6', redis.call('GET', key), 3)
    left[#left + 1] = finish - now
    redis.call('SET', key, struct.pack('>c2I6I4I6', 'L\\2', now - 1, count, began), 'PX', redis.call('PTTL', key))
  end
end
return left";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn locks_grow_wherever_they_come_about_and_hold_everywhere() {
    let guard = guard(json!({
        "perAccount": { "distinctPasswords": 3, "per": 60 * MINUTE, "lock": 10 * MINUTE },
        "maxLock": 60 * MINUTE,
    }));
    let Some(mut fleet) = Fleet::start(4, &guard, |_, _| {}).await else {
        return;
    };
    let account = "victim@example.jp";
    for (round, minutes) in [10, 20, 40, 60, 60].into_iter().enumerate() {
        for guess in 0..3 {
            let source = format!("198.18.{round}.{}", guess + 1);
            let password = format!("guess-{round}-{guess}");
            let proxy = (round + guess) % 4;
            let told = fleet.log_in(proxy, &source, account, &password).await;
            assert!(
                told.starts_with("535 "),
                "round {round}, guess {guess}: {told}"
            );
        }
        assert_eq!(fleet.everywhere("192.0.2.1", account, "right").await, "454");
        if round == 1 {
            // A proxy that begins anew knows of it.
            fleet.restart(2);
            assert_eq!(fleet.everywhere("192.0.2.1", account, "right").await, "454");
        }
        let left: u64 = fleet.redis.cli(&["eval", END_LOCKS, "0"]).parse().unwrap();
        // However slow the machine is, it has not taken five minutes.
        let (most, least) = (minutes * MINUTE, (minutes - 5) * MINUTE);
        assert!(
            (least..=most).contains(&left),
            "round {round}: {left} ms of {most}"
        );
    }
    assert_eq!(fleet.everywhere("192.0.2.1", account, "right").await, "235");
    assert_eq!(fleet.ever_alone(), 0, "a machine too slow for this test");
    assert_eq!(fleet.backend.guesses()[account], 15);
}
