//! What people ask of a control plane and only its proxies know, and what only they can count.

use std::fs;

use rustix::process::Signal;
use sekisho_testkit::{RedisServer, wait_until};
use serde_json::{Value, json};

use crate::desk::Desk;
use crate::restrictions::{login, until_mail_is};
use crate::shared_abuse::{HOUR, MARK, abuse_rule, start};
use crate::world::{World, send};

const TARO: &str = "/v1/accounts/taro?namespace=mail";

fn bounces(desk: &Desk, whose: &Value, count: usize) -> (u16, Value) {
    let mut bounce = whose.clone();
    bounce["status"] = json!("5.1.1");
    let body = json!({ "bounces": vec![bounce; count] });
    desk.ask("POST", "/v1/bounces", &body)
}

fn told(desk: &Desk, whose: &Value, count: usize) -> [u64; 3] {
    let (status, told) = bounces(desk, whose, count);
    assert_eq!(status, 200, "{told}");
    ["counted", "known", "strange"].map(|of| told[of].as_u64().unwrap())
}

fn shown(desk: &Desk) -> Value {
    let (status, shown) = desk.ask("GET", TARO, &Value::Null);
    assert_eq!(status, 200, "{shown}");
    shown
}

/// A proxy of this name, which knows the control plane.
async fn proxy(name: &str, desk: Option<(&Desk, &World)>) -> World {
    let mut world = World::new().await;
    fs::write(world.path("token"), name).unwrap();
    if let Some((desk, first)) = desk {
        world.control = desk.fleet;
        fs::write(world.path("ca.crt"), first.authority.pem()).unwrap();
    }
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_control_plane_has_its_proxies_count_bounces_and_say_what_speaks_against_an_account() {
    let Some(redis) = RedisServer::start() else {
        return;
    };
    let rules = [abuse_rule(
        json!({ "at": 60, "level": "Suspend", "for": 6 * HOUR }),
    )];
    let mut one = proxy("one", None).await;
    let gateway = one.snapshot(1, |body| body["rules"] = json!(rules));
    let desk = Desk::open(&one, gateway).await;
    one.control = desk.fleet;
    let mut two = proxy("two", Some((&desk, &one))).await;
    let processes = [
        start(&mut one, &redis, &rules),
        start(&mut two, &redis, &rules),
    ];
    desk.connected(2).await;
    let mut sessions = [login(&one).await, login(&two).await];

    // Had both proxies counted them, these would be worth points.
    let by_account = json!({ "account": "taro", "gateway": "mail/outbound" });
    assert_eq!(told(&desk, &by_account, MARK - 2), [MARK as u64 - 2, 0, 0]);
    let elsewhere = json!({ "account": "taro", "gateway": "mail/nowhere" });
    assert_eq!(told(&desk, &elsewhere, 1), [0, 0, 1]);
    let reply = send(&mut sessions[0], "bob@example.net").await;
    let (_, id) = reply.rsplit_once('[').expect("an id");
    let by_id = json!({ "id": id.trim_end_matches(']') });
    // It is known as soon as its record is in the ledger; how often it is posted does not matter then.
    let first = wait_until("the record", || {
        let told = told(&desk, &by_id, 1);
        (told[2] == 0).then_some(told)
    });
    assert_eq!(first, [1, 0, 0]);
    assert_eq!(told(&desk, &by_id, 3), [0, 3, 0], "it went to one");
    let points = &shown(&desk)["points"];
    assert_eq!(points[0]["gateway"], "mail/outbound", "{points}");
    assert_eq!(points[0]["awards"], json!([]), "{points}");

    assert_eq!(told(&desk, &by_account, 1), [1, 0, 0]);
    for peer in &mut sessions {
        until_mail_is(peer, "550 5.7.1 ").await;
    }
    let restricted = wait_until("the restriction", || {
        let shown = shown(&desk);
        (shown["standing"]["worst"]["level"] == "Suspend").then_some(shown)
    });
    let points = restricted["points"].as_array().unwrap();
    assert_eq!(points.len(), 1, "{restricted}");
    assert_eq!(points[0]["score"], 60, "{restricted}");
    assert_eq!(points[0]["awards"].as_array().unwrap().len(), 1);
    assert!(restricted.get("pointsUnknown").is_none(), "{restricted}");

    for mut process in processes {
        process.signal(Signal::KILL);
        process.wait();
    }
    let alone = shown(&desk);
    let why = alone["pointsUnknown"].as_str().unwrap_or_default();
    assert!(
        why.contains("no proxy of mail/outbound answered"),
        "{alone}"
    );
    assert_eq!(alone["standing"]["worst"]["level"], "Suspend", "{alone}");
    let (status, problem) = bounces(&desk, &by_account, 1);
    assert_eq!(status, 503, "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("these are not counted"), "{detail}");
}
