//! Following the control plane: changes, refusals, tokens and authorities that are replaced.

use std::fs;

use sekisho_policy::Report;
use sekisho_testkit::wait_until;
use serde_json::json;

use crate::authority::Authority;
use crate::control::Offer;
use crate::world::{World, send};

fn is_in_force(generation: u64) -> impl Fn(&Report) -> bool {
    move |report| {
        let revision = report.in_force.as_ref();
        revision.is_some_and(|revision| revision.generation == generation)
    }
}

fn is_refused(words: &str) -> impl Fn(&Report) -> bool {
    move |report| {
        let refused = report.refused.as_ref();
        refused.is_some_and(|refused| refused.why.contains(words))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_arrives_within_the_long_poll_and_is_acknowledged() {
    let (world, control) =
        World::with_control(|world| Offer::Snapshot(Box::new(world.plain(1)))).await;
    let mut proxy = world.start();
    proxy.wait_for_port(world.smtp.address());
    control.wait_for("a long poll", |state| state.polls > 0);
    let mut open = world.session().await;
    control.offer(Offer::Snapshot(Box::new(world.with_second(2))));
    proxy.wait_for_port(world.second.address());
    let report = control.wait_for_report("the second", is_in_force(2));
    assert_eq!((report.refused, report.pending.len()), (None, 0));
    // The others ask for account states and settings, which this control plane does not keep, and for errands, and bring records.
    assert!(control.state().connections <= 5, "all on one connection");
    // A session of before goes on.
    assert!(send(&mut open, "x@example.org").await.starts_with("250 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_no_good_is_refused_by_name_and_the_old_rules_stay() {
    let (world, control) =
        World::with_control(|world| Offer::Snapshot(Box::new(world.plain(10)))).await;
    let mut proxy = world.start();
    proxy.wait_for_port(world.smtp.address());
    control.wait_for_report("the first", is_in_force(10));
    let mut open = world.session().await;
    let bad_rule = world.snapshot(11, |body| {
        body["gateway"]["upstream"]["endpoints"] = json!([]);
    });
    let elsewhere = world.snapshot(11, |body| {
        body["gateway"]["object"]["name"] = "other".into();
    });
    let newer = world.snapshot(11, |body| body["schema"] = 2.into());
    let older = world.with_second(9);
    let offers = [
        (bad_rule, "upstream"),
        (elsewhere, "the snapshot is for MailGateway/mail/other"),
        (
            newer,
            "schema 2 is not one that this version reads (up to 1)",
        ),
        (older, "generation 9 is older than 10"),
    ];
    for (envelope, words) in offers {
        let digest = envelope.digest.clone();
        control.offer(Offer::Snapshot(Box::new(envelope)));
        let report = control.wait_for_report(words, is_refused(words));
        assert_eq!(report.refused.unwrap().revision.digest, digest);
        assert_eq!(report.in_force.unwrap().generation, 10);
    }
    world.wait_for_ready(200, "the newest snapshot is not in force");
    assert!(send(&mut open, "x@example.org").await.starts_with("250 "));
    // It is not asked for again and again while it stands.
    let polls = control.state().polls;
    control.offer(Offer::Snapshot(Box::new(world.with_second(12))));
    control.wait_for_report("a good one", |report| {
        is_in_force(12)(report) && report.refused.is_none()
    });
    assert!(control.state().polls <= polls + 3, "{polls}");
    world.wait_for_ready(200, "\"status\":\"ok\"");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_listener_whose_port_is_taken_is_tried_again() {
    let (world, control) =
        World::with_control(|world| Offer::Snapshot(Box::new(world.plain(1)))).await;
    let mut proxy = world.start();
    proxy.wait_for_port(world.smtp.address());
    let taken = std::net::TcpListener::bind(world.second.address()).unwrap();
    control.offer(Offer::Snapshot(Box::new(world.with_second(2))));
    control.wait_for_report("the port", is_refused("cannot listen on"));
    drop(taken);
    control.wait_for_report("it is free", is_in_force(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_is_read_anew_for_each_request() {
    let (world, control) = World::with_control(|_| Offer::Status(404)).await;
    control.state().token = "the-second-token".to_owned();
    let mut proxy = world.start();
    world.wait_for_ready(503, "it does not take this pod's token");
    fs::write(world.path("token"), "the-second-token").unwrap();
    control.wait_for_report("with the second token", |_| true);
    fs::write(world.path("token"), "bad\u{1}token").unwrap();
    world.wait_for_ready(503, "it holds no token");
    fs::remove_file(world.path("token")).unwrap();
    world.wait_for_ready(503, "projected service-account token");
    let output = proxy.wait_for_output("it holds no token");
    assert!(!output.contains("second-token"), "{output}");
    // Whoever asks for account states says so of itself.
    let said = output
        .lines()
        .filter(|line| line.contains("\"what\":\"configuration\""))
        .filter(|line| line.contains("it does not take this pod's token"));
    assert_eq!(said.count(), 1, "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn authorities_are_read_anew_for_each_connection() {
    let (world, control) =
        World::with_control(|world| Offer::Snapshot(Box::new(world.plain(1)))).await;
    let mut proxy = world.start();
    proxy.wait_for_port(world.smtp.address());
    control.wait_for("a long poll", |state| state.polls > 0);
    // The control plane has a certificate of another authority, that nobody here trusts yet.
    let other = Authority::new();
    control.state().tls = other.server("127.0.0.1");
    control.hang_up();
    world.wait_for_ready(200, "is not trusted");
    fs::write(world.path("ca.crt"), world.authority.pem() + &other.pem()).unwrap();
    world.wait_for_ready(200, "\"status\":\"ok\"");
    // Nor is a trusted authority's certificate for somebody else.
    control.state().tls = other.server("elsewhere.example");
    control.hang_up();
    world.wait_for_ready(200, "is not trusted");
    fs::write(world.path("ca.crt"), "rubbish").unwrap();
    world.wait_for_ready(200, "no usable authority");
    fs::remove_file(world.path("ca.crt")).unwrap();
    world.wait_for_ready(200, "puts it beside the snapshot");
    assert!(
        send(&mut world.session().await, "x@example.org")
            .await
            .starts_with("250 ")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_answer_that_is_none_is_named_with_what_to_do() {
    let (world, control) = World::with_control(|_| Offer::Status(503)).await;
    let _proxy = world.start();
    let answers = [
        (503, "that replica is not ready"),
        (403, "may not have that gateway's configuration"),
        (406, "update the proxy"),
        (404, "has no snapshot of that gateway yet"),
        (418, "no answer to expect"),
    ];
    for (status, words) in answers {
        control.offer(Offer::Status(status));
        world.wait_for_ready(503, words);
    }
    control.offer(Offer::Snapshot(Box::new(world.plain(1))));
    wait_until("mail", || World::is_open(&world.smtp).then_some(()));
}
