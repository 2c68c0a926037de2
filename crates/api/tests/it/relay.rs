//! Replicas tell the lease holder what is connected to them.

use std::sync::Arc;
use std::time::Duration;

use sekisho_api::fleet::{Holder, Relay, Replicas};
use sekisho_policy::Report;
use sekisho_runtime::Shutdown;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::harness::{Control, Known, SERVICE};

fn known(authorities: Vec<u8>) -> Replicas {
    let name = "replica";
    let known = Known { name, authorities };
    Replicas::new(Arc::new(known), SERVICE.try_into().unwrap())
}

fn report(version: &str) -> Report {
    Report {
        version: version.into(),
        ..Report::default()
    }
}

/// Waits until `control` knows what this proxy said.
async fn hears(control: &Control, proxy: &str, version: &str) {
    let mut fleet = control.reports.fleet();
    let heard = fleet.wait_for(|fleet| {
        let said = fleet.get("mail/out").and_then(|proxies| proxies.get(proxy));
        said.is_some_and(|report| report.version == version)
    });
    let heard = timeout(Duration::from_secs(20), heard).await;
    heard.expect("in time").expect("it is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_holder_hears_of_all_and_so_does_the_next_one() {
    let (first, second, replica) =
        tokio::join!(Control::start(), Control::start(), Control::start());
    for proxy in 0..3_000 {
        replica
            .reports
            .note("mail/out", &format!("p{proxy}"), report("1"));
    }
    let (holder, receiver) = watch::channel(None);
    let authorities = [first.authorities.as_bytes(), second.authorities.as_bytes()].concat();
    let relay = Relay {
        reports: replica.reports.clone(),
        holder: receiver,
        replicas: known(authorities),
        metrics: replica.metrics.clone(),
    };
    let until = Shutdown::new();
    let inside = until.clone();
    let task = tokio::spawn(async move { relay.run(&inside).await });

    holder.send_replace(Some(Holder::At(first.address)));
    first.connected("mail/out", 3_000).await;
    replica.reports.note("mail/out", "p7", report("2"));
    hears(&first, "p7", "2").await;

    // The holder dies; its address is still the known one for a while.
    first.shutdown.drain(Duration::from_secs(5)).await;
    replica.reports.note("mail/out", "p8", report("3"));
    holder.send_replace(Some(Holder::At(second.address)));
    hears(&second, "p8", "3").await;
    second.connected("mail/out", 3_000).await;

    holder.send_replace(Some(Holder::Me));
    holder.send_replace(Some(Holder::At(second.address)));
    replica.reports.note("mail/out", "p9", report("4"));
    hears(&second, "p9", "4").await;
    until.begin();
    timeout(Duration::from_secs(5), task)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_impostor_at_the_holders_address_is_told_nothing() {
    let (impostor, replica) = tokio::join!(Control::start(), Control::start());
    replica.reports.note("mail/out", "p", report("1"));
    let (_holder, receiver) = watch::channel(Some(Holder::At(impostor.address)));
    let relay = Relay {
        reports: replica.reports.clone(),
        holder: receiver,
        replicas: known(replica.authorities.clone().into_bytes()),
        metrics: replica.metrics.clone(),
    };
    let until = Shutdown::new();
    let inside = until.clone();
    let task = tokio::spawn(async move { relay.run(&inside).await });
    // Each attempt is counted; the second one comes after the first was refused.
    while !replica
        .metrics
        .encode(0)
        .contains("sekisho_fleet_relay_failures_total 2")
    {
        tokio::task::yield_now().await;
    }
    assert!(impostor.reports.fleet().borrow().is_empty());
    assert_eq!(
        impostor.callers.0.load(std::sync::atomic::Ordering::SeqCst),
        0,
        "no token was shown"
    );
    until.begin();
    task.await.unwrap();
}
