//! What the control plane should never send.

use crate::control::{ControlPlane, Offer};
use crate::world::{World, send};

const DIGEST: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Offers octets under a digest, and waits until they are refused with these words.
fn is_refused(control: &ControlPlane, octets: Vec<u8>, digest: &str, words: &str) {
    control.offer(Offer::Octets(octets, Some(digest.to_owned())));
    let report = control.wait_for_report(words, |report| {
        let refused = report.refused.as_ref();
        refused.is_some_and(|refused| refused.why.contains(words))
    });
    assert_eq!(report.in_force.unwrap().generation, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bodies_that_are_no_snapshot_are_refused_and_mail_goes_on() {
    let (world, control) =
        World::with_control(|world| Offer::Snapshot(Box::new(world.plain(1)))).await;
    let mut proxy = world.start();
    proxy.wait_for_port(world.smtp.address());
    let pack = |octets: &[u8]| zstd::encode_all(octets, 1).unwrap();
    let digest = |first: char| DIGEST.replacen('0', &first.to_string(), 1);
    is_refused(
        &control,
        b"garbage".to_vec(),
        &digest('a'),
        "cannot be unpacked",
    );
    is_refused(&control, pack(b"{}"), &digest('b'), "not a snapshot");
    let bomb = pack(&vec![b' '; (32 << 20) + 1]);
    is_refused(&control, bomb, &digest('c'), "unpacked it has more than");
    let mut tampered = serde_json::to_value(world.with_second(2)).unwrap();
    tampered["snapshot"]["gateway"]["afterData"] = 1.into();
    let tampered = pack(tampered.to_string().as_bytes());
    is_refused(&control, tampered, &digest('d'), "the body's digest is");
    let large = vec![0; (8 << 20) + 1];
    is_refused(&control, large, &digest('e'), "packed it has");
    assert!(
        send(&mut world.session().await, "x@example.org")
            .await
            .starts_with("250 ")
    );
    control.offer(Offer::Octets(vec![0; 33 << 20], None));
    world.wait_for_ready(200, "too large or was broken off");
    control.offer(Offer::Snapshot(Box::new(world.with_second(3))));
    proxy.wait_for_port(world.second.address());
}
