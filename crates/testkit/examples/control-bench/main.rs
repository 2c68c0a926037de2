//! `make bench-control`: one `sekisho control` process on a real API server, with 5,000 policy objects at 200 gateways and
//! 1,000 simulated proxies. Ends with an error where a figure is over its bound, or an update is lost.
//!
//! Arguments: the program, and for how many seconds nothing is changed.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench prints its figures, and may panic like a test"
)]

mod api;
mod control;
mod figures;
mod fleet;
mod https;
mod proxy;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rcgen::generate_simple_self_signed;
use sekisho_testkit::scene::{self, GATEWAYS, NAMESPACES};
use sekisho_testkit::{ControlPlane, Controllers};
use serde_json::{Value, json};
use tokio::task::{block_in_place, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use crate::api::{Api, core, sekisho};
use crate::control::{Control, Resident};
use crate::figures::Figures;
use crate::fleet::{Change, Fleet};

/// A process that has nothing to do is looked at after so long.
const SETTLED: Duration = Duration::from_secs(10);
/// From the API server's acknowledgement to enforcement, for 99 of 100 changes.
const ENFORCED: Duration = Duration::from_secs(1);
const IDLE_MIB: u64 = 64;
const BUSY_MIB: u64 = 256;
/// Changes one after another, and rounds of as many changes at once as there are namespaces.
const CHANGES: usize = 200;
const ROUNDS: usize = 10;
/// What has not come by then is lost.
const LOST: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(program), Some(idle)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: control-bench SEKISHO IDLE-SECONDS");
        return ExitCode::from(2);
    };
    let idle = Duration::from_secs(idle.parse().unwrap());
    let Some(plane) = block_in_place(|| ControlPlane::start(Controllers::None)) else {
        return ExitCode::from(2);
    };
    let plane = Arc::new(plane);
    let figures = measure(&plane, &program, idle).await;
    if figures.missed == 0 {
        ExitCode::SUCCESS
    } else {
        eprintln!("{} bounds were missed", figures.missed);
        ExitCode::FAILURE
    }
}

async fn measure(plane: &Arc<ControlPlane>, program: &str, idle: Duration) -> Figures {
    let mut figures = Figures::default();
    let (api, control) = block_in_place(|| {
        control::install(plane);
        (Arc::new(Api::of(plane)), Control::start(plane, program))
    });
    sleep(SETTLED).await;
    resident(&mut figures, "memory without objects", &control, IDLE_MIB);

    apply(&figures, &api).await;
    let started = Instant::now();
    let fleet = Arc::new(Fleet::connect(&api, &control).await);
    let what = format!(
        "{} proxies with Pods and tokens, until all enforce",
        fleet.size()
    );
    figures.tell(&what, &format!("{:.1} s", started.elapsed().as_secs_f64()));
    api.settled().await;

    changes(&mut figures, &fleet).await;
    api.settled().await;
    resident(&mut figures, "memory under this load", &control, BUSY_MIB);
    quiet(&mut figures, &api, &control, idle).await;
    losses(&mut figures, plane, &control, &fleet).await;
    figures
}

fn resident(figures: &mut Figures, what: &str, control: &Control, bound: u64) {
    let (now, most) = (
        control.resident(Resident::Now),
        control.resident(Resident::AtMost),
    );
    let figure = format!("{now} MiB resident, {most} at most");
    figures.bound(what, &figure, &format!("{bound} MiB"), now < bound);
}

/// Makes all objects, while the control plane looks on.
async fn apply(figures: &Figures, api: &Arc<Api>) {
    let key = generate_simple_self_signed(["mail.example".to_owned()]).unwrap();
    let (certificate, key) = (key.cert.pem(), key.signing_key.serialize_pem());
    let namespaces = (0..NAMESPACES).map(|number| {
        let name = scene::namespace_of(number, NAMESPACES);
        let object =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        ("/api/v1/namespaces".to_owned(), object)
    });
    api.create(namespaces.collect()).await;
    let secrets = (0..NAMESPACES).map(|number| {
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": { "name": "mail-tls" },
            "stringData": { "tls.crt": certificate, "tls.key": key },
        });
        (core(&scene::namespace_of(number, NAMESPACES), "secrets"), object)
    });
    api.create(secrets.collect()).await;
    let objects = scene::scene(NAMESPACES);
    let count = objects.len();
    let started = Instant::now();
    let paths = objects.into_iter().map(|object| (path(&object), object));
    api.create(paths.collect()).await;
    let figure = format!("{:.1} s", started.elapsed().as_secs_f64());
    figures.tell(&format!("{count} objects, until all are applied"), &figure);
    api.settled().await;
}

/// Where an object of our kinds is made.
fn path(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let kind = text(&object["kind"]).to_lowercase();
    let plural = match kind.strip_suffix("cy") {
        Some(stem) => format!("{stem}cies"),
        None => format!("{kind}s"),
    };
    let path = sekisho(&text(&object["metadata"]["namespace"]), &plural, "");
    path.trim_end_matches('/').to_owned()
}

/// Changes of single limits: one after another, one in each namespace at once, one in each gateway at once.
async fn changes(figures: &mut Figures, fleet: &Arc<Fleet>) {
    let mut delays = Vec::new();
    for number in 0..CHANGES {
        let change = Change {
            gateway: number * 7 % GATEWAYS,
            limit: number % 17,
            count: 1000 + number as u64,
        };
        delays.push(fleet.follow(change).await);
    }
    figures.delays(
        "a change until all of its proxies enforce it, one after another",
        delays,
        Some(ENFORCED),
    );

    let mut delays = Vec::new();
    for round in 0..ROUNDS {
        delays.extend(
            fleet
                .follow_all(burst(round * NAMESPACES, NAMESPACES, 2000))
                .await,
        );
    }
    let what = format!("{NAMESPACES} changes at once, one in each namespace");
    figures.delays(&what, delays, Some(ENFORCED));

    // A thousand proxies load their rules on this one machine then, so this says more of it than of the control plane.
    let delays = fleet.follow_all(burst(0, GATEWAYS, 3000)).await;
    let what = format!(
        "{GATEWAYS} changes at once, one in each gateway, at {} proxies",
        fleet.size()
    );
    figures.delays(&what, delays, None);
}

/// A change in each of so many gateways.
fn burst(first: usize, gateways: usize, count: u64) -> Vec<Change> {
    let change = |gateway| Change {
        gateway: gateway % GATEWAYS,
        limit: 0,
        count: count + gateway as u64,
    };
    (first..first + gateways).map(change).collect()
}

/// Nothing changes: nothing is written.
async fn quiet(figures: &mut Figures, api: &Api, control: &Control, idle: Duration) {
    let (writes, cpu) = (api.status_writes().await, control.cpu());
    sleep(idle).await;
    let writes = api.status_writes().await - writes;
    let cpu = (control.cpu() - cpu) / idle.as_secs_f64() * 100.0;
    let what = format!("status writes in {} s without changes", idle.as_secs());
    figures.bound(&what, &writes.to_string(), "0", writes == 0);
    figures.tell(
        "processor time meanwhile",
        &format!("{cpu:.1} % of one core"),
    );
}

/// Changes while the API server, or the way to it, goes away.
async fn losses(
    figures: &mut Figures,
    plane: &Arc<ControlPlane>,
    control: &Control,
    fleet: &Arc<Fleet>,
) {
    let changes = burst(0, GATEWAYS, 4000);
    let making = tokio::spawn(make(fleet.clone(), changes.clone()));
    sleep(Duration::from_millis(300)).await;
    restart(plane).await;
    making.await.unwrap();
    arrived(
        figures,
        "the API server killed amid 200 changes: gateways that are at the newest",
        fleet,
        changes,
    )
    .await;

    // What it was told of last is older than anything that the new server remembers: 410 Gone.
    control.pause();
    let changes = burst(0, GATEWAYS, 5000);
    make(fleet.clone(), changes.clone()).await;
    restart(plane).await;
    control.resume();
    arrived(
        figures,
        "200 changes and a new API server while the control plane stood still",
        fleet,
        changes,
    )
    .await;
    let gone = control
        .log()
        .lines()
        .filter(|line| line.contains("a watch failed") && line.contains("Expired"))
        .count();
    figures.bound(
        "watches that were answered 410 Gone",
        &gone.to_string(),
        "at least 1",
        gone > 0,
    );
}

async fn restart(plane: &Arc<ControlPlane>) {
    let plane = plane.clone();
    let restarting = spawn_blocking(move || {
        plane.stop_api_server();
        plane.start_api_server();
    });
    restarting.await.unwrap();
}

/// Makes changes, a few at once, each until it is acknowledged.
async fn make(fleet: Arc<Fleet>, changes: Vec<Change>) {
    let mut making = tokio::task::JoinSet::new();
    for change in changes {
        let fleet = fleet.clone();
        making.spawn(async move { fleet.change(change).await });
    }
    making.join_all().await;
}

async fn arrived(figures: &mut Figures, what: &str, fleet: &Fleet, changes: Vec<Change>) {
    let started = Instant::now();
    let mut there = 0;
    for change in changes {
        let left = LOST.saturating_sub(started.elapsed());
        there += usize::from(timeout(left, fleet.arrived(change, started)).await.is_ok());
    }
    let figure = format!(
        "{there} of {GATEWAYS} after {:.1} s",
        started.elapsed().as_secs_f64()
    );
    figures.bound(what, &figure, &GATEWAYS.to_string(), there == GATEWAYS);
}
