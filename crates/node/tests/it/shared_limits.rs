//! Two proxies and one Redis whose address comes late: one limit for both.

use std::fs;

use sekisho_policy::Envelope;
use sekisho_testkit::RedisServer;
use serde_json::{Value, json};

use crate::world::{World, send};

const LIMIT: usize = 4;

fn limited(world: &World) -> Envelope {
    limited_to(world, LIMIT, json!({ "secret": "redis" }))
}

fn limited_to(world: &World, count: usize, redis: Value) -> Envelope {
    world.snapshot(1, |body| {
        body["gateway"]["counters"] = json!({ "Redis": redis });
        body["rules"] = json!([{
            "object": { "kind": "RateLimit", "namespace": "mail", "name": "by-source" },
            "enforcement": "Enforce", "brake": "Default", "rule": "RateLimit",
            "spec": {
                "key": ["Source"],
                "limits": [{ "unit": "Recipients", "count": count, "per": 3_600_000 }],
                "onExceed": "Defer", "onUnavailable": "Defer"
            }
        }]);
    })
}

/// How many of some messages were accepted; the others are told `refusal`.
async fn accepted(world: &World, count: usize, refusal: &str) -> usize {
    let mut peer = world.session().await;
    let mut accepted = 0;
    for _ in 0..count {
        let told = send(&mut peer, "bob@example.net").await;
        if told.starts_with("250 ") {
            accepted += 1;
        } else {
            assert!(told.starts_with(refusal), "{told}");
            peer.say("RSET").await;
            peer.expect_prefix("250 ").await;
        }
    }
    accepted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn proxies_share_a_limit_once_they_are_told_where() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let worlds = [World::new().await, World::new().await];
    let mut proxies = Vec::new();
    for world in &worlds {
        world.mount(&limited(world));
        let mut proxy = world.start();
        proxy.wait_for_port(world.smtp.address());
        proxies.push(proxy);
        world.wait_for_ready(200, "Secret mail/redis has no `url`");
        assert_eq!(accepted(world, 2, "451 4.3.0").await, 0);
        fs::write(world.path("secrets/redis_url"), "not a server").unwrap();
        world.wait_for_ready(200, "Secret mail/redis URL 1 is none of Redis");
        fs::write(world.path("secrets/redis_url"), redis.url()).unwrap();
    }
    for world in &worlds {
        crate::world::wait_for_metric(
            world,
            "sekisho_counter_parts{gateway=\"mail/outbound\",state=\"asked\"} 1",
        );
    }
    assert_eq!(
        accepted(&worlds[0], LIMIT - 1, "450 4.7.1").await,
        LIMIT - 1
    );
    assert_eq!(accepted(&worlds[1], LIMIT, "450 4.7.1").await, 1);
    assert_eq!(accepted(&worlds[0], 2, "450 4.7.1").await, 0);
    // A Secret that became useless leaves what was in use.
    for world in &worlds {
        fs::write(
            world.path("secrets/redis_url"),
            "redis://a redis://b redis://c",
        )
        .unwrap();
        world.wait_for_ready(200, "names 3 servers");
        assert_eq!(accepted(world, 1, "450 4.7.1").await, 0);
    }
}

/// What a proxy was lent and has not used is there for the other when it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn proxies_that_lend_share_a_limit_and_give_back_when_they_drain() {
    const LIMIT: usize = 150;
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let worlds = [World::new().await, World::new().await];
    let [first, _second] = worlds.each_ref().map(|world| {
        fs::write(world.path("secrets/redis_url"), redis.url()).unwrap();
        let counters = json!({ "secret": "redis", "leases": "Enabled" });
        world.mount(&limited_to(world, LIMIT, counters));
        let mut proxy = world.start();
        proxy.wait_for_port(world.smtp.address());
        proxy
    });
    for world in &worlds {
        crate::world::wait_for_metric(
            world,
            "sekisho_counter_parts{gateway=\"mail/outbound\",state=\"asked\"} 1",
        );
    }
    assert_eq!(accepted(&worlds[0], 30, "450 4.7.1").await, 30);
    let metrics = worlds[0].get("/metrics").1;
    let leased = metrics
        .lines()
        .find_map(|line| line.strip_prefix("sekisho_counter_events_leased_total "));
    assert!(leased.is_some_and(|count| count != "0"), "{leased:?}");
    first.terminate();
    assert_eq!(
        accepted(&worlds[1], LIMIT, "450 4.7.1").await,
        LIMIT - 30,
        "as many as are left, and all of them"
    );
}
