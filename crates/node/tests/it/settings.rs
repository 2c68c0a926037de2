//! Settings of accounts: heard of by every proxy within a second, and kept over restarts.

use std::fs;
use std::time::Duration;

use sekisho_policy::Account;
use sekisho_testkit::{Peer, Process, wait_until};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::control::{ControlPlane, Offer, TOKEN};
use crate::world::{World, wait_for_metric};

/// NUL taro NUL secret, in base64; and with another password.
const LOGIN: &str = "AUTH PLAIN AHRhcm8Ac2VjcmV0";
const WRONG: &str = "AUTH PLAIN AHRhcm8Ad3Jvbmc=";

/// A proxy of its own, with one account; whatever comes from nowhere is abroad.
async fn proxy(control: &ControlPlane, first: &World) -> (World, Process) {
    let mut world = World::new().await;
    world.control = control.address;
    fs::write(world.path("ca.crt"), first.authority.pem()).unwrap();
    let process = start(&world, "OptedIn");
    (world, process)
}

fn start(world: &World, applies_to: &str) -> Process {
    let file = world.path("accounts");
    let account = Account::canonical("taro", None);
    sekisho_proxy::accounts_file::add(&file, &account, b"secret").unwrap();
    let snapshot = world.snapshot(1, |body| {
        body["gateway"]["authentication"] = json!({
            "requirement": "Required", "backends": [{ "accountsFile": file }], "mechanisms": ["PLAIN"]
        });
        body["gateway"]["limits"] = json!({ "authAttempts": 1000 });
        body["rules"] = json!([{
            "object": { "kind": "CountryRule", "namespace": "mail", "name": "abroad" },
            "enforcement": "Enforce", "brake": "Off", "rule": "CountryRule",
            "spec": { "from": "unknown", "appliesTo": applies_to, "login": "Refuse", "sender": "Any" }
        }]);
    });
    world.mount(&snapshot);
    let mut process = world.start();
    process.wait_for_port(world.smtp.address());
    process
}

/// The reply to a login, and the session.
async fn login(world: &World, auth: &str) -> (String, Peer<TcpStream>) {
    let mut peer = Peer::connect(world.smtp.address()).await;
    peer.expect_prefix("220 ").await;
    peer.say("EHLO client.example").await;
    peer.reply(250).await;
    peer.say(auth).await;
    (peer.line().await, peer)
}

/// How long it took until a login is answered like this.
async fn until_login_is(world: &World, prefix: &str) -> Duration {
    let began = Instant::now();
    loop {
        let (reply, _) = login(world, LOGIN).await;
        if reply.starts_with(prefix) {
            return began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{reply}");
    }
}

fn logins(wanted: &str) -> Value {
    json!({ "loginsFromAbroad": wanted })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_proxy_goes_by_a_setting_within_a_second_and_over_restarts() {
    let (first, control) = World::with_control(|_| Offer::Status(404)).await;
    control.state().settings = Some([].into());
    let one = start(&first, "OptedIn");
    let (other, _two) = proxy(&control, &first).await;
    let worlds = [&first, &other];
    for world in worlds {
        wait_for_metric(world, "sekisho_account_settings_unheard 0");
        assert!(login(world, LOGIN).await.0.starts_with("235 "));
    }
    // A session that is open when the setting changes is told at its next message.
    let (reply, mut open) = login(&first, LOGIN).await;
    assert!(reply.starts_with("235 "), "{reply}");
    control.set("taro", logins("Refuse"));
    for world in worlds {
        let took = until_login_is(world, "535 5.7.8 ").await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    open.say("MAIL FROM:<taro@example.jp>").await;
    open.expect_prefix("550 5.7.1 ").await;
    // A right password and a wrong one are told the same.
    let words = |reply: &str| reply.rsplit_once(' ').unwrap().0.to_owned();
    let right = login(&first, LOGIN).await.0;
    let wrong = login(&first, WRONG).await.0;
    assert_eq!(words(&right), words(&wrong));
    let kept = first.path("state/settings/mail.base");
    wait_until("the file of settings", || kept.exists().then_some(()));
    wait_until("the journal, or a base with it", || {
        let journal = fs::metadata(first.path("state/settings/mail.journal"));
        let base = fs::read(&kept).ok()?;
        let said = String::from_utf8_lossy(&base).contains("Refuse");
        (said || journal.is_ok_and(|journal| journal.len() > 0)).then_some(())
    });
    // A proxy that is killed, and starts while nobody answers, forgets nothing.
    one.signal(rustix::process::Signal::KILL);
    drop(one);
    control.state().token = "another".to_owned();
    control.hang_up();
    let _one = start(&first, "OptedIn");
    assert!(login(&first, LOGIN).await.0.starts_with("535 5.7.8 "));
    // When it is heard again, what changed meanwhile is.
    control.set("taro", logins("Allow"));
    control.state().token = TOKEN.to_owned();
    for world in worlds {
        until_login_is(world, "235 ").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn before_anything_was_heard_defaults_hold_and_that_is_said() {
    let world = World::new().await;
    let process = start(&world, "NotOptedOut");
    assert!(login(&world, LOGIN).await.0.starts_with("535 5.7.8 "));
    wait_for_metric(&world, "sekisho_account_settings_unheard 1");
    let (_, ready) = world.get("/readyz");
    assert!(ready.contains("account settings"), "{ready}");
    drop(process);
}
