//! What a release means for logins, from the store's word to what a client hears.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_policy::states::{Absence, Change, Extent, Onto, Release, Rest, States};
use sekisho_policy::{Account, Millis, Origin, Span, Timestamp};
use sekisho_testkit::{Peer, Sink};
use serde_json::json;
use tokio::time::timeout;

use crate::world::{BEGINNING, Objects, World};

const ME: &str = "taro@example.jp";
const RIGHT: &str = "correct horse";
const HOME: &str = "203.0.113.9";
const THIEF: &str = "198.51.100.7";
const NEW: &str = "198.18.0.7";
const DAY: Duration = Duration::from_secs(86_400);

/// Two wrong passwords lock the account; three days make a network known.
async fn world() -> World {
    let sink = Sink::start().await;
    let hops = [("U".to_owned(), sink.address())];
    let mut objects = Objects::new();
    let authentication = json!({ "backends": [{ "accountsFile": "{accounts}" }] });
    objects.set("gateway", "", &json!({ "authentication": authentication }));
    let guard =
        json!({ "perAccount": { "distinctPasswords": 2, "per": 3_600_000, "lock": 1_800_000 } });
    objects.set("LoginGuard", "guard", &guard);
    let accounts = [(ME.to_owned(), RIGHT.to_owned())];
    World::start(&mut objects, &hops.into(), &accounts)
        .await
        .unwrap()
}

/// What a client from there hears.
async fn log_in(world: &World, source: &str, password: &str) -> String {
    let (mut client, server) = Peer::in_memory();
    let gateway = Arc::clone(&world.gateway);
    let source = format!("{source}:4000").parse().unwrap();
    let own = "192.0.2.1:587".parse().unwrap();
    tokio::spawn(async move { gateway.serve("submission", server, source, own).await });
    client.reply(220).await;
    client.ask("EHLO pc.example.jp", 250).await;
    let response = BASE64.encode(format!("\0{ME}\0{password}"));
    client.say(&format!("AUTH PLAIN {response}")).await;
    client.line().await
}

async fn hears(world: &World, source: &str, code: &str) {
    let told = log_in(world, source, RIGHT).await;
    assert!(told.starts_with(code), "{source}: {told}");
}

async fn guess(world: &World, guesses: [&str; 2]) {
    for (number, wrong) in guesses.into_iter().enumerate() {
        let told = log_in(world, &format!("192.0.2.{}", 60 + number), wrong).await;
        assert!(told.starts_with("535 "), "{told}");
    }
}

/// As the store says it that somebody released the account from everything.
fn release(world: &World, disowned: Option<Span>) {
    let revision = world.restrictions.question().0 + 1;
    let change = Change {
        account: Account::canonical(ME, None),
        origin: Origin::Desk,
        restriction: None,
        absence: Absence::Release,
        release: Some(Release {
            at: Timestamp(world.clock.now_ms()),
            revision,
            extent: Extent::Account,
            disowned,
        }),
    };
    world.restrictions.apply(&States {
        revision,
        onto: Onto::Known,
        rest: Rest::Nothing,
        changes: vec![change],
        store: None,
    });
}

#[tokio::test]
async fn a_release_ends_the_lock_and_forgets_where_a_thief_came_from() {
    let world = world().await;
    for day in 0..6 {
        hears(&world, HOME, "235 ").await;
        if day >= 3 {
            hears(&world, THIEF, "235 ").await;
        }
        world.clock.advance(DAY);
    }
    guess(&world, ["one", "two"]).await;
    for (source, code) in [(HOME, "235 "), (THIEF, "235 "), (NEW, "454 ")] {
        hears(&world, source, code).await;
    }
    let third = Timestamp(BEGINNING).plus(Millis(5 * Millis::DAY.0 / 2));
    let now = Timestamp(world.clock.now_ms());
    let stolen = Span {
        from: third,
        to: now,
    };
    release(&world, Some(stolen));
    let free = async { while !log_in(&world, NEW, RIGHT).await.starts_with("235 ") {} };
    timeout(Duration::from_secs(30), free).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    guess(&world, ["three", "four"]).await;
    for (source, code) in [(HOME, "235 "), (THIEF, "454 "), (NEW, "454 ")] {
        hears(&world, source, code).await;
    }
}
