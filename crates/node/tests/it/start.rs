//! Starting and ending: with what is there, and without what is not.

use rustix::process::Signal;
use sekisho_testkit::wait_until;

use crate::control::{ControlPlane, Offer};
use crate::world::{World, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_mounted_snapshot_serves_mail_without_a_control_plane() {
    let world = World::new().await;
    world.mount(&world.plain(7));
    let mut proxy = world.start();
    proxy.wait_for_port(world.smtp.address());
    let reply = send(&mut world.session().await, "x@example.org").await;
    assert!(reply.starts_with("250 "), "{reply}");
    assert_eq!(world.sink.wait_for(1).await.len(), 1);
    world.wait_for_ready(200, "cannot connect to 127.0.0.1:9");
    assert!(
        world
            .get("/metrics")
            .1
            .contains("sekisho_snapshot_generation{gateway=\"mail/outbound\"} 7")
    );
    assert_eq!(world.get("/healthz").0, 200);
    assert!(proxy.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_snapshot_nobody_is_let_in_until_there_is_one() {
    let (world, control) = World::with_control(|_| Offer::Status(404)).await;
    let proxy = world.start();
    world.wait_for_ready(503, "waits for the first snapshot");
    world.wait_for_ready(503, "it has no snapshot of that gateway yet");
    assert!(!World::is_open(&world.smtp));
    let nothing = control.wait_for_report("nothing in force", |_| true);
    assert_eq!((nothing.in_force, nothing.schema), (None, 1));
    control.offer(Offer::Snapshot(Box::new(world.plain(3))));
    let report = control.wait_for_report("in force", |report| report.in_force.is_some());
    assert_eq!(report.in_force.unwrap().generation, 3);
    world.wait_for_ready(200, "\"status\":\"ok\"");
    let reply = send(&mut world.session().await, "x@example.org").await;
    assert!(reply.starts_with("250 "), "{reply}");
    drop(proxy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_newer_of_what_was_kept_and_what_is_mounted_is_started_with() {
    let world = World::new().await;
    world.mount(&world.with_second(20));
    let mut first = world.start();
    first.wait_for_port(world.second.address());
    assert!(first.terminate().success());
    // What is mounted lags behind what was in force.
    world.mount(&world.plain(10));
    let mut again = world.start();
    again.wait_for_port(world.second.address());
    // The kubelet brings what is newer than both.
    world.mount(&world.plain(30));
    wait_until("the second listener to close", || {
        (!World::is_open(&world.second)).then_some(())
    });
    assert!(world.get("/metrics").1.contains("\"mail/outbound\"} 30"));
    assert!(again.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_damaged_file_is_named_and_the_kept_one_serves() {
    let world = World::new().await;
    world.mount(&world.plain(5));
    let mut first = world.start();
    first.wait_for_port(world.smtp.address());
    assert!(first.terminate().success());
    std::fs::write(world.path("snapshot.json.zst"), b"rubbish").unwrap();
    let mut again = world.start();
    again.wait_for_port(world.smtp.address());
    again.wait_for_output("snapshot.json.zst: it cannot be unpacked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_may_finish_after_sigterm_and_no_other_begins() {
    let (world, control) =
        World::with_control(|world| Offer::Snapshot(Box::new(world.plain(1)))).await;
    let mut proxy = world.start();
    proxy.wait_for_port(world.smtp.address());
    let mut peer = world.session().await;
    peer.say("MAIL FROM:<a@example.jp>").await;
    peer.expect_prefix("250 ").await;
    peer.say("RCPT TO:<x@example.org>").await;
    peer.expect_prefix("250 ").await;
    proxy.signal(Signal::TERM);
    wait_until("the listener to close", || {
        (!World::is_open(&world.smtp)).then_some(())
    });
    assert_eq!(world.get("/readyz").0, 503);
    peer.say("DATA").await;
    peer.expect_prefix("354 ").await;
    peer.say("Subject: hello\r\n\r\nbody\r\n.").await;
    peer.expect_prefix("250 ").await;
    assert!(proxy.wait().success());
    assert_eq!(control.records().len(), 1, "delivered before the end");
    assert!(!proxy.output().contains("cut short"), "{}", proxy.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_control_plane_that_hangs_holds_nobody_up() {
    let (world, control) = World::with_control(|_| Offer::Status(500)).await;
    control.state().hangs = true;
    world.mount(&world.plain(1));
    let mut proxy = world.start();
    proxy.wait_for_port(world.smtp.address());
    control.wait_for("a connection", |state| state.connections > 0);
    let reply = send(&mut world.session().await, "x@example.org").await;
    assert!(reply.starts_with("250 "), "{reply}");
    assert!(proxy.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn silence_makes_the_configuration_stale_and_a_word_makes_it_current() {
    let mut world = World::new().await;
    world.more = ["--stale-after", "1s"].map(str::to_owned).to_vec();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.control = listener.local_addr().unwrap();
    let snapshot = world.snapshot(1, |body| {
        body["gateway"]["onUnavailable"]["config"] = "Refuse".into();
    });
    world.mount(&snapshot);
    let mut proxy = world.start();
    proxy.wait_for_port(world.smtp.address());
    world.wait_for_ready(200, "no word from the control plane for too long");
    let mut peer = world.session().await;
    peer.say("MAIL FROM:<a@example.jp>").await;
    peer.expect_prefix("451 ").await;
    // The one that answers has the same rules: it need not send them to be believed.
    let tls = world.authority.server("127.0.0.1");
    let offer = Offer::Snapshot(Box::new(snapshot));
    let _control = ControlPlane::serve(listener, tls, offer);
    wait_until("a word to count", || {
        let ready = world.get("/readyz").1;
        (!ready.contains("for too long")).then_some(())
    });
    let reply = send(&mut world.session().await, "x@example.org").await;
    assert!(reply.starts_with("250 "), "{reply}");
}
