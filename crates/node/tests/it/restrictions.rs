//! Restrictions of accounts: heard of by every proxy within a second, kept over restarts, told until they are taken.

use std::fs;
use std::time::Duration;

use sekisho_policy::Account;
use sekisho_proxy::Restrictions;
use sekisho_runtime::Metrics;
use sekisho_testkit::{Peer, Process, wait_until};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::control::{ControlPlane, Offer};
use crate::world::World;

/// NUL taro NUL secret, in base64.
const LOGIN: &str = "AUTH PLAIN AHRhcm8Ac2VjcmV0";

/// A proxy of its own, with one account, and its rules as a mounted file.
async fn proxy(control: &ControlPlane, first: &World) -> (World, Process) {
    let mut world = World::new().await;
    world.control = control.address;
    fs::write(world.path("ca.crt"), first.authority.pem()).unwrap();
    let process = start(&world);
    (world, process)
}

fn start(world: &World) -> Process {
    let file = world.path("accounts");
    let account = Account::canonical("taro", None);
    sekisho_proxy::accounts_file::add(&file, &account, b"secret").unwrap();
    let snapshot = world.snapshot(1, |body| {
        body["gateway"]["authentication"] = json!({
            "requirement": "Required", "backends": [{ "accountsFile": file }], "mechanisms": ["PLAIN"]
        });
    });
    world.mount(&snapshot);
    let mut process = world.start();
    process.wait_for_port(world.smtp.address());
    process
}

pub(crate) async fn login(world: &World) -> Peer<TcpStream> {
    let mut peer = Peer::connect(world.smtp.address()).await;
    peer.expect_prefix("220 ").await;
    peer.say("EHLO client.example").await;
    peer.reply(250).await;
    peer.say(LOGIN).await;
    peer.expect_prefix("235 ").await;
    peer
}

/// The reply to MAIL; the transaction is given up.
pub(crate) async fn mail(peer: &mut Peer<TcpStream>) -> String {
    peer.say("MAIL FROM:<taro@example.jp>").await;
    let reply = peer.line().await;
    peer.say("RSET").await;
    peer.expect_prefix("250 ").await;
    reply
}

/// How long it took until MAIL was answered like this.
pub(crate) async fn until_mail_is(peer: &mut Peer<TcpStream>, prefix: &str) -> Duration {
    let began = Instant::now();
    loop {
        let reply = mail(peer).await;
        if reply.starts_with(prefix) {
            return began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{reply}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn restriction(level: &str) -> Value {
    json!({ "level": level, "since": 1, "origin": "Desk", "why": "a test" })
}

fn change(restriction: Option<Value>) -> Value {
    match restriction {
        Some(restriction) => {
            json!({ "account": "taro", "origin": "Desk", "restriction": restriction })
        }
        None => json!({ "account": "taro", "origin": "Desk" }),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_proxy_enforces_within_a_second_and_over_restarts() {
    let (first, control) = World::with_control(|_| Offer::Status(404)).await;
    control.state().states = Some([].into());
    let one = start(&first);
    let (other, _two) = proxy(&control, &first).await;
    control.wait_for("both to follow", |state| state.state_polls >= 4);
    let mut open = [login(&first).await, login(&other).await];
    for peer in &mut open {
        assert!(mail(peer).await.starts_with("250 "));
    }
    control.say(change(Some(restriction("Suspend"))));
    for peer in &mut open {
        let took = until_mail_is(peer, "550 5.7.1 ").await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    // It may log in, and is told the same again.
    let mut again = login(&first).await;
    assert!(mail(&mut again).await.starts_with("550 5.7.1 "));
    wait_for_file(&first, "Suspend");
    // A proxy that is killed, and starts while nobody answers, forgets nothing.
    one.signal(rustix::process::Signal::KILL);
    drop(one);
    control.state().token = "another".to_owned();
    control.hang_up();
    let _one = start(&first);
    let mut after = login(&first).await;
    assert!(mail(&mut after).await.starts_with("550 5.7.1 "));
    // When it is heard again, what was released meanwhile is.
    control.say(change(None));
    control.state().token = crate::control::TOKEN.to_owned();
    until_mail_is(&mut after, "250 ").await;
    until_mail_is(&mut open[1], "250 ").await;
}

fn wait_for_file(world: &World, words: &str) {
    let path = world.path("state/restrictions/mail.journal");
    wait_until("the file of restrictions", || {
        fs::read_to_string(&path)
            .is_ok_and(|text| text.contains(words))
            .then_some(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_imposed_is_told_until_it_is_taken() {
    let (world, control) = World::with_control(|_| Offer::Status(404)).await;
    control.state().states = Some([].into());
    control.state().token = "another".to_owned();
    let mut imposed = restriction("Suspend");
    imposed["origin"] =
        json!({ "Rule": { "kind": "RateLimit", "namespace": "mail", "name": "stolen" } });
    // As a proxy leaves it that was killed before anybody answered.
    let before = Restrictions::new(Metrics::new());
    let restriction = serde_json::from_value(imposed.clone()).unwrap();
    before.impose(&Account::canonical("taro", None), restriction);
    before.save(&world.path("state"), "mail").await;
    let _process = start(&world);
    let mut peer = login(&world).await;
    assert!(mail(&mut peer).await.starts_with("550 5.7.1 "));
    control.wait_for("an attempt", |state| state.tokens.len() > 2);
    control.state().token = crate::control::TOKEN.to_owned();
    control.wait_for("the imposition", |state| !state.impositions.is_empty());
    let told = control.state().impositions.clone();
    assert_eq!(told, [json!({ "account": "taro", "restriction": imposed })]);
    // The store's word is that nothing else changed: it goes on to hold.
    assert!(mail(&mut peer).await.starts_with("550 5.7.1 "));
    crate::world::wait_for_metric(&world, "sekisho_restrictions_waiting 0");
}

/// The pod of the control plane was replaced, and its volume with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_that_was_emptied_releases_nobody() {
    let (world, control) = World::with_control(|_| Offer::Status(404)).await;
    {
        let mut state = control.state();
        (state.states, state.store) = (Some([].into()), Some("first"));
    }
    let _process = start(&world);
    let mut imposed = restriction("Suspend");
    imposed["origin"] =
        json!({ "Rule": { "kind": "AbuseRule", "namespace": "mail", "name": "stolen" } });
    let mut of_rule = change(Some(imposed.clone()));
    of_rule["origin"] = imposed["origin"].clone();
    control.say(of_rule);
    control.say(change(Some(restriction("Watch"))));
    let mut peer = login(&world).await;
    until_mail_is(&mut peer, "550 5.7.1 ").await;
    {
        let mut state = control.state();
        (state.states, state.store) = (Some([].into()), Some("second"));
    }
    control.hang_up();
    control.wait_for("the imposition", |state| !state.impositions.is_empty());
    let told = control.state().impositions.clone();
    assert_eq!(told, [json!({ "account": "taro", "restriction": imposed })]);
    assert!(mail(&mut peer).await.starts_with("550 5.7.1 "));
    // People can release it all the same.
    let mut released = change(None);
    released["release"] = json!({ "at": 5, "revision": 9, "extent": "account" });
    control.say(released);
    until_mail_is(&mut peer, "250 ").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_damaged_file_keeps_nobody_from_starting() {
    let (world, control) = World::with_control(|_| Offer::Status(404)).await;
    control.say(change(Some(restriction("Suspend"))));
    fs::create_dir_all(world.path("state/restrictions")).unwrap();
    fs::write(world.path("state/restrictions/mail.journal"), "{").unwrap();
    let _process = start(&world);
    let mut peer = login(&world).await;
    until_mail_is(&mut peer, "550 5.7.1 ").await;
    assert!(world.path("state/restrictions/mail.damaged").exists());
}
