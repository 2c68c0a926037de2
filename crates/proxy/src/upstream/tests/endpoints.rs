//! Several endpoints of the gateway's upstream: their shares, and those that are taken out.

use super::*;
use crate::upstream::balance::mix;
use crate::upstream::group::{Purpose, Wish};
use crate::upstream::outlier::{Outcome, Standing};

fn wish(stage: &Stage, seed: u64) -> Wish {
    Wish {
        seed: mix(seed),
        account: None,
        recipient_domain: None,
        identity: stage.caller.identity(),
        own: Arc::clone(stage.caller.own()),
        purpose: Purpose::Message,
    }
}

/// How many of 400 messages each endpoint would get.
fn shares(stage: &Stage) -> Vec<u32> {
    let group = stage.hops.upstream();
    let mut taken = vec![0; group.exits[0].lanes.len()];
    for seed in 0..400 {
        let way = group.next(stage.hops.environment(), &wish(stage, seed), &[]);
        taken[way.unwrap().1] += 1;
    }
    taken
}

fn endpoint(hop: &Hop, weight: u32) -> Value {
    let mut endpoint = hop.json();
    endpoint["weight"] = json!(weight);
    endpoint
}

fn fail(stage: &Stage, endpoint: usize, times: usize) {
    let group = stage.hops.upstream();
    for _ in 0..times {
        group.note(
            &group.exits[0].lanes[endpoint],
            Outcome::Failed,
            Instant::now(),
        );
    }
}

fn states(stage: &Stage) -> Vec<MemberState> {
    let mut states = Vec::new();
    stage.hops.members(&mut |pool, state| {
        assert_eq!(pool, "-");
        states.push(state);
    });
    states
}

#[tokio::test]
async fn mail_is_shared_by_weight_and_who_has_none_waits() {
    let hops = [Hop::new().await, Hop::new().await, Hop::new().await];
    let endpoints = json!([
        endpoint(&hops[0], 1),
        endpoint(&hops[1], 3),
        endpoint(&hops[2], 0)
    ]);
    let stage = Stage::upstream(json!({ "endpoints": endpoints }));
    let taken = shares(&stage);
    assert!((70..130).contains(&taken[0]) && taken[2] == 0, "{taken:?}");
    // While the others cannot be reached, it takes what there is.
    let lanes = &stage.hops.upstream().exits[0].lanes;
    for lane in &lanes[..2] {
        lane.endpoint
            .health
            .failed(Instant::now(), Instant::now(), 0);
    }
    assert_eq!(shares(&stage), [0, 0, 400]);
}

#[tokio::test]
async fn who_fails_too_often_is_taken_out_until_a_probe_is_served() {
    let hops = [Hop::new().await, Hop::new().await];
    let endpoints = json!([hops[0].json(), hops[1].json()]);
    let stage = Stage::upstream(json!({ "endpoints": endpoints }));
    fail(&stage, 0, 4);
    assert_eq!(states(&stage), [MemberState::Healthy, MemberState::Healthy]);
    fail(&stage, 0, 1);
    assert_eq!(states(&stage), [MemberState::Ejected, MemberState::Healthy]);
    assert_eq!(shares(&stage), [0, 400]);
    let counted = stage.metrics();
    let counted = counted
        .lines()
        .find(|line| line.starts_with("sekisho_upstream_ejections_total"));
    assert!(counted.unwrap().ends_with(" 1"), "{counted:?}");
    // The other one fails as often: it is the last, and stays.
    fail(&stage, 1, 20);
    assert_eq!(states(&stage)[1], MemberState::Healthy);
    assert!(hops[0].is_quiet().await);

    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    assert_eq!(shares(&stage), [0, 400]);
    let mut probe = hops[0].serve(BARE).await;
    probe.expect("QUIT").await;
    assert!(hops[0].is_quiet().await, "one probe is enough");
    let lane = &stage.hops.upstream().exits[0].lanes[0];
    assert_eq!(lane.endpoint.outlier.standing(Instant::now()), Standing::In);
    assert!(shares(&stage)[0] > 0);
}

#[tokio::test]
async fn a_probe_that_fails_leaves_it_out() {
    let hops = [Hop::new().await, Hop::new().await];
    let upstream =
        json!({ "endpoints": [hops[0].json(), hops[1].json()], "clientIdentity": "ProxyV2" });
    let stage = Stage::upstream(upstream);
    fail(&stage, 0, 5);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    shares(&stage);
    let (header, mut probe) = hops[0].accept_proxied().await;
    // It speaks for nobody: LOCAL.
    assert_eq!(header[12], 0x20);
    probe.say("421 4.3.2 Not yet").await;
    probe.closed().await;
    let lane = &stage.hops.upstream().exits[0].lanes[0];
    let standing = |seconds| {
        let at = Instant::now() + Duration::from_secs(seconds);
        lane.endpoint.outlier.standing(at)
    };
    assert_eq!((standing(44), standing(61)), (Standing::Out, Standing::Due));
}

/// Who has heard of the client may refuse because of him.
#[tokio::test]
async fn what_a_client_brings_about_takes_no_endpoint_out() {
    let hops = [Hop::new().await, Hop::new().await];
    let endpoints = json!([hops[0].json(), hops[1].json()]);
    let stage = Stage::upstream(json!({ "endpoints": endpoints, "clientIdentity": "ProxyV2" }));
    let refuse = async |hop: &Hop| {
        let (_, mut peer) = hop.accept_proxied().await;
        peer.say("421 4.7.0 Too many connections from 203.0.113.9")
            .await;
        peer.closed().await;
    };
    for _ in 0..6 {
        let (_, _, begun) = tokio::join!(refuse(&hops[0]), refuse(&hops[1]), stage.begin());
        begun.unwrap_err();
    }
    assert_eq!(states(&stage), [MemberState::Healthy, MemberState::Healthy]);
}
