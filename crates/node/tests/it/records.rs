//! Records: delivered, retried, and refusals kept over a restart.

use std::fs;

use sekisho_testkit::wait_until;

use crate::control::Offer;
use crate::world::{World, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn records_arrive_in_streams_without_gaps() {
    let (world, control) =
        World::with_control(|world| Offer::Snapshot(Box::new(world.plain(1)))).await;
    world
        .sink
        .refuse_recipient("nobody@example.org", "550 5.1.1 no such user");
    let mut proxy = world.start();
    proxy.wait_for_port(world.smtp.address());
    let mut peer = world.session().await;
    for _ in 0..5 {
        assert!(send(&mut peer, "x@example.org").await.starts_with("250 "));
    }
    let mut other = world.session().await;
    assert!(
        send(&mut other, "nobody@example.org")
            .await
            .starts_with("550 ")
    );
    other.say("QUIT").await;
    other.expect_prefix("221 ").await;
    wait_until("six records", || {
        (control.records().len() == 6).then_some(())
    });
    let state = control.state();
    assert_eq!(
        state.records.len(),
        2,
        "one stream of refusals, one of the others"
    );
    for stream in state.records.values() {
        let numbers: Vec<u64> = stream.keys().copied().collect();
        assert_eq!(numbers, (0..stream.len() as u64).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn refusals_that_were_not_taken_are_sent_after_a_restart() {
    let (world, control) =
        World::with_control(|world| Offer::Snapshot(Box::new(world.plain(1)))).await;
    world
        .sink
        .refuse_recipient("nobody@example.org", "550 5.1.1 no such user");
    control.state().records_status = 503;
    let mut proxy = world.start();
    proxy.wait_for_port(world.smtp.address());
    let mut peer = world.session().await;
    assert!(
        send(&mut peer, "nobody@example.org")
            .await
            .starts_with("550 ")
    );
    peer.say("QUIT").await;
    peer.expect_prefix("221 ").await;
    control.wait_for("an attempt", |state| state.record_requests > 0);
    world.wait_for_ready(200, "that replica is not ready");
    proxy.signal(rustix::process::Signal::KILL);
    proxy.wait();
    let spool = fs::read_to_string(world.path("state/refusals.spool")).unwrap();
    assert_eq!(spool.lines().count(), 2, "{spool}");
    control.state().records_status = 204;
    let mut again = world.start();
    again.wait_for_output("refusals of the last run");
    wait_until("the refusal", || {
        (control.records().len() == 1).then_some(())
    });
    wait_until("the spool to be empty", || {
        let spool = fs::read_to_string(world.path("state/refusals.spool")).unwrap();
        (spool.lines().count() == 1).then_some(())
    });
    assert!(again.terminate().success());
    assert_eq!(control.records().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn records_that_are_never_taken_are_given_up_and_others_follow() {
    let (world, control) =
        World::with_control(|world| Offer::Snapshot(Box::new(world.plain(1)))).await;
    control.state().records_status = 413;
    let mut proxy = world.start();
    proxy.wait_for_port(world.smtp.address());
    let mut peer = world.session().await;
    assert!(send(&mut peer, "x@example.org").await.starts_with("250 "));
    proxy.wait_for_output("records are not taken and given up");
    let metrics = world.get("/metrics").1;
    assert!(
        metrics.contains("sekisho_ledger_records_total{result=\"dropped\"} 1"),
        "{metrics}"
    );
    control.state().records_status = 204;
    assert!(send(&mut peer, "x@example.org").await.starts_with("250 "));
    wait_until("the next", || (control.records().len() == 1).then_some(()));
    let state = control.state();
    let stream = state.records.values().next().unwrap();
    assert_eq!(
        stream.keys().next(),
        Some(&1),
        "the one that was given up is a gap"
    );
}
