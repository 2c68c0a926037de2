//! An AbuseRule at two proxies that count in one Redis, as the user that docs/limits.md describes: what an account does at both adds up,
//! both restrict it, and both forget it when somebody releases it. And what events cost in round trips.

use std::fs;

use sekisho_policy::Account;
use sekisho_policy::restriction::Level;
use sekisho_testkit::{Peer, Process, RedisServer, RedisUser, wait_until};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::control::{ControlPlane, Offer};
use crate::restrictions::{login, mail, until_mail_is};
use crate::world::{World, wait_for_metric};

pub(crate) const HOUR: u64 = 3_600_000;
/// Unknown recipients within an hour that are worth points.
pub(crate) const MARK: usize = 4;
const UNKNOWN: &str = "nobody@example.net";
const TRIPS: &str = "sekisho_counter_round_trips_total{backend=\"redis\"}";

pub(crate) fn abuse_rule(step: Value) -> Value {
    json!({
        "object": { "kind": "AbuseRule", "namespace": "mail", "name": "stolen" },
        "enforcement": "Enforce", "brake": "Off", "rule": "AbuseRule",
        "spec": {
            "signals": [{ "signal": "UnknownRecipients", "count": MARK, "per": HOUR, "points": 60 }],
            "decay": 24 * HOUR, "growth": 2, "maxFor": 720 * HOUR, "ladder": [step]
        }
    })
}

/// A proxy that counts in Redis by these rules, once Redis answers it.
pub(crate) fn start(world: &mut World, redis: &RedisServer, rules: &[Value]) -> Process {
    let user = RedisUser::documented();
    redis.allow(&user);
    for (name, value) in [
        ("url", &redis.url()),
        ("username", &user.name),
        ("password", &user.password),
    ] {
        fs::write(world.path(&format!("secrets/redis_{name}")), value).unwrap();
    }
    let accounts = world.path("accounts");
    let account = Account::canonical("taro", None);
    sekisho_proxy::accounts_file::add(&accounts, &account, b"secret").unwrap();
    world.mount(&world.snapshot(1, |body| {
        let gateway = &mut body["gateway"];
        gateway["counters"] = json!({ "Redis": { "secret": "redis" } });
        gateway["limits"] = json!({ "errors": 1000, "tarpit": { "mode": "Never" } });
        gateway["authentication"] = json!({
            "requirement": "Required", "backends": [{ "accountsFile": accounts }], "mechanisms": ["PLAIN"]
        });
        body["rules"] = json!(rules);
    }));
    world
        .sink
        .refuse_recipient(UNKNOWN, "550 5.1.1 No such user");
    // A machine that is busy with other tests is no outage.
    let patience = ["--counters-deadline", "20s"].map(str::to_owned);
    world.more.extend(patience);
    let mut proxy = world.start();
    proxy.wait_for_port(world.smtp.address());
    wait_for_metric(
        world,
        "sekisho_counter_parts{gateway=\"mail/outbound\",state=\"asked\"} 1",
    );
    proxy
}

/// Writes to so many who do not exist. What comes of it holds when the session is answered again.
async fn miss(peer: &mut Peer<TcpStream>, count: usize) {
    peer.say("MAIL FROM:<taro@example.jp>").await;
    peer.expect_prefix("250 ").await;
    for _ in 0..count {
        peer.say(&format!("RCPT TO:<{UNKNOWN}>")).await;
        peer.expect_prefix("550 5.1.1 ").await;
    }
    peer.say("RSET").await;
    peer.expect_prefix("250 ").await;
}

/// The sum of the series that begin so.
fn metric(world: &World, series: &str) -> u64 {
    let metrics = world.get("/metrics").1;
    let lines = metrics.lines().filter(|line| line.starts_with(series));
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    values.sum()
}

/// How many accounts have points.
fn points(redis: &RedisServer) -> usize {
    let found = redis.cli(&["--scan", "--pattern", "*}p*"]);
    // Proxies ask whether Redis counts by a key of their own.
    let keys = found.lines().filter(|key| !key.ends_with("}probe"));
    keys.count()
}

/// What proxies told of, in their order.
fn imposed(control: &ControlPlane, count: usize) -> Vec<Value> {
    control.wait_for("the imposition", |state| state.impositions.len() >= count);
    let told = control.state().impositions.clone();
    assert_eq!(told.len(), count, "{told:?}");
    let restrictions = told.into_iter().map(|mut told| told["restriction"].take());
    restrictions.collect()
}

/// How long it is to last, in hours.
fn term(restriction: &Value) -> u64 {
    let at = |field: &str| restriction[field].as_u64().expect("a time");
    (at("until") - at("since")) / HOUR
}

/// The account is released from what the rule said, as the store tells of it: now, by a clock that all agree on.
fn release(control: &ControlPlane, redis: &RedisServer, origin: &Value) {
    let time = redis.cli(&["time"]);
    let mut parts = time
        .lines()
        .map(|part| part.parse::<u64>().expect("a time"));
    let (seconds, micros) = (parts.next().unwrap(), parts.next().unwrap());
    let revision = control
        .state()
        .states
        .as_ref()
        .map_or(0, |states| states.len()) as u64
        + 2;
    let at = seconds * 1_000 + micros.div_ceil(1_000);
    control.say(json!({
        "account": "taro", "origin": origin, "release": { "at": at, "revision": revision, "extent": "origin" }
    }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn proxies_restrict_an_account_for_what_it_does_at_all_of_them() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let suspend = json!({ "at": 60, "level": "Suspend", "for": 6 * HOUR });
    let rules = [abuse_rule(suspend)];
    let (mut one, control) = World::with_control(|_| Offer::Status(404)).await;
    control.state().states = Some([].into());
    let mut other = World::new().await;
    other.control = control.address;
    fs::write(other.path("ca.crt"), one.authority.pem()).unwrap();
    let _one = start(&mut one, &redis, &rules);
    let _other = start(&mut other, &redis, &rules);
    control.wait_for("both to follow", |state| state.state_polls >= 4);
    let (mut here, mut there) = (login(&one).await, login(&other).await);

    // The second time lasts twice as long: that is not forgotten, and all else is.
    for (time, hours) in [(1, 6), (2, 12)] {
        miss(&mut here, MARK / 2).await;
        miss(&mut there, MARK / 2 - 1).await;
        for peer in [&mut here, &mut there] {
            assert!(mail(peer).await.starts_with("250 "), "one below the mark");
        }
        // Whoever counts the last one restricts at once, and tells the other of it.
        let (last, first) = if time == 1 {
            (&mut there, &mut here)
        } else {
            (&mut here, &mut there)
        };
        miss(last, 1).await;
        let told = mail(last).await;
        assert!(told.starts_with("550 5.7.1 "), "{told}");
        until_mail_is(first, "550 5.7.1 ").await;
        let restriction = imposed(&control, time).pop().unwrap();
        assert_eq!(restriction["level"], json!(Level::Suspend));
        assert_eq!(term(&restriction), hours, "{restriction}");
        assert_eq!(points(&redis), 1);

        release(&control, &redis, &restriction["origin"]);
        until_mail_is(&mut here, "250 ").await;
        until_mail_is(&mut there, "250 ").await;
        wait_until("no points", || (points(&redis) == 0).then_some(()));
    }
    for world in [&one, &other] {
        let errors = metric(world, "sekisho_counter_errors_total{");
        assert_eq!(errors, 0, "the user of Redis may do all that is asked");
    }
}

/// What docs/limits.md says that an event costs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_event_is_one_round_trip_and_what_comes_of_it_some_more() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let limit = |name: &str, key: &[&str], per: u64| {
        json!({
            "object": { "kind": "RateLimit", "namespace": "mail", "name": name },
            "enforcement": "Enforce", "brake": "Default", "rule": "RateLimit",
            "spec": {
                "key": key, "limits": [{ "unit": "Recipients", "count": 1000, "per": per }],
                "onExceed": "Defer", "onUnavailable": "Defer"
            }
        })
    };
    let mut world = World::new().await;
    let rules = [
        limit("account-hour", &["Account"], HOUR),
        limit("account-day", &["Account"], 24 * HOUR),
        limit("source", &["Source"], HOUR),
        limit("network", &["SourcePrefix"], 24 * HOUR),
        abuse_rule(json!({ "at": 60, "level": "Watch", "for": 6 * HOUR })),
    ];
    let _proxy = start(&mut world, &redis, &rules);
    let mut peer = login(&world).await;
    peer.say("MAIL FROM:<taro@example.jp>").await;
    peer.expect_prefix("250 ").await;
    let mut before = metric(&world, TRIPS);
    let mut trips_of = async |to: &str, reply: &str| {
        peer.say(&format!("RCPT TO:<{to}>")).await;
        peer.expect_prefix(reply).await;
        peer.say("NOOP").await;
        peer.expect_prefix("250 ").await;
        let now = metric(&world, TRIPS);
        now - std::mem::replace(&mut before, now)
    };
    assert_eq!(trips_of("bob@example.net", "250 ").await, 1, "four limits");
    for _ in 1..MARK {
        let trips = trips_of(UNKNOWN, "550 ").await;
        assert_eq!(
            trips, 3,
            "they are charged, come back, and the signal counts"
        );
    }
    let trips = trips_of(UNKNOWN, "550 ").await;
    assert_eq!(
        trips, 5,
        "points, and for how long the account is restricted"
    );
    let trips = trips_of(UNKNOWN, "550 ").await;
    assert_eq!(trips, 4, "it stands where its points put it");
    assert_eq!(trips_of("bob@example.net", "250 ").await, 1);
}
