//! No mail is lost or doubled beyond what SMTP itself allows: while clients send, proxies are killed, next hops fail and links
//! break at random octets; then what clients were told is compared with what the next hops have.
//!
//! What breaks when is drawn from a seed; how far each message is by then is up to the machine.
#![expect(
    clippy::print_stderr,
    reason = "what was counted, for whoever reads it"
)]

mod chaos;
mod client;
mod dice;
mod verdict;

use std::net::SocketAddr;

use sekisho_testkit::{Cut, Link, Port, Process, Sink, SinkSetup, Towards};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::world::World;
use chaos::Broken;
use client::{Attempt, Client};
use dice::Dice;

const SEED: u64 = 20_260_711;
const MESSAGES: u64 = 2_000;
const CLIENTS: u64 = 24;
/// Attempts between two events that break something.
const EVERY: u64 = 60;

/// Two proxies, two next hops, and links between all of them.
struct Site {
    /// Of the next hops.
    _ports: [Port; 2],
    worlds: [World; 2],
    proxies: Vec<Process>,
    sinks: Vec<Sink>,
    doors: Vec<Link>,
    ways: Vec<Link>,
}

impl Site {
    async fn start() -> Self {
        let ports = [Port::free(), Port::free()];
        let (mut sinks, mut ways) = (Vec::new(), Vec::new());
        for (port, at) in ports.iter().zip(0..) {
            let setup = SinkSetup {
                address: port.address(),
                ..SinkSetup::default()
            };
            let sink = Sink::start_with(setup).await;
            sink.refuse_recipient("nobody@example.net", "550 5.1.1 No such user");
            ways.push(Link::fraying(sink.address(), breaking(SEED + at, 12_000)).await);
            sinks.push(sink);
        }
        let worlds = [World::new().await, World::new().await];
        let (mut proxies, mut doors) = (Vec::new(), Vec::new());
        for (world, at) in worlds.iter().zip(2..) {
            world.mount(&world.snapshot(1, |body| {
                let endpoints = ways.iter().map(Link::address);
                let endpoint =
                    |at: SocketAddr| json!({ "host": at.ip().to_string(), "port": at.port() });
                body["gateway"]["upstream"]["endpoints"] = endpoints.map(endpoint).collect();
            }));
            let mut proxy = world.start();
            proxy.wait_for_port(world.smtp.address());
            proxies.push(proxy);
            doors.push(Link::fraying(world.smtp.address(), breaking(SEED + at, 12_000)).await);
        }
        Self {
            _ports: ports,
            worlds,
            proxies,
            sinks,
            doors,
            ways,
        }
    }
}

/// Two connections of three break somewhere in their first octets, a third of these on the way back.
fn breaking(seed: u64, octets: u64) -> impl Fn(u64) -> Option<Cut> + Send + Sync + 'static {
    move |number| {
        let mut dice = Dice::of(seed, number);
        let towards = match dice.below(9) {
            0..3 => return None,
            3..7 => Towards::Server,
            _ => Towards::Client,
        };
        let after = match towards {
            Towards::Server => 1 + dice.below(octets),
            // Replies are shorter than what they answer.
            Towards::Client => 1 + dice.below(octets / 4),
        };
        Some(Cut { towards, after })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_clients_were_told_is_what_the_next_hops_have() {
    #[expect(
        clippy::disallowed_methods,
        reason = "how a longer run is asked for: SEKISHO_LOSSES=20000"
    )]
    let messages = std::env::var("SEKISHO_LOSSES").map_or(MESSAGES, |text| text.parse().unwrap());
    let began = Instant::now();
    let mut site = Site::start().await;
    let (made, progress) = watch::channel(0);
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let doors = site.doors.iter().map(Link::address).collect();
        let client = Client::new(doors, Dice::of(SEED, 1_000 + number));
        let own = (0..messages).filter(move |message| message % CLIENTS == number);
        clients.spawn(client.send_all(own, made.clone()));
    }
    drop(made);
    let chaos = chaos::run(&mut site, progress, Dice::of(SEED, 0));
    let (Broken { kills, failures }, attempts) = tokio::join!(chaos, clients.join_all());
    let attempts: Vec<Attempt> = attempts.into_iter().flatten().collect();
    // What is still under way ends before anything is counted.
    for proxy in site.proxies {
        proxy.terminate();
    }
    let received: Vec<_> = site.sinks.iter().flat_map(Sink::take).collect();
    let cuts: u64 = site.doors.iter().chain(&site.ways).map(Link::cuts).sum();
    let found = verdict::compare(messages, &attempts, &received);
    eprintln!(
        "{found}; proxies were killed {kills} times, next hops failed {failures} times, links broke {cuts} times; {:.0} s",
        began.elapsed().as_secs_f64()
    );
    assert!(
        kills > 5 && failures > 5 && cuts > messages / 20 && found.unanswered > 10,
        "so little broke that nothing is shown"
    );
}
