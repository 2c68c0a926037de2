//! Many proxies that lend, one limit: at most N in any W by an exact count of what was let through, whoever dies and whatever his clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sekisho_counters::Receipt;
use sekisho_counters::redis::Lending;
use sekisho_testkit::RedisServer;
use tokio::task::JoinSet;

use super::fleet::{Tally, said_by};
use super::leases::{eager, lending, redis_of};
use super::*;

const CLIENTS: usize = 3;
const NAMES: [&str; 2] = ["account", "source"];
/// Of one and of two minutes: leases live for 937 and 1,875 ms.
const WINDOWS: [u64; 2] = [60_000, 120_000];

#[derive(Clone, Debug)]
enum Step {
    Pause(u64),
    /// By whom, and what it costs of each limit.
    Event(usize, [u64; 2]),
    GiveBack(prop::sample::Index),
    /// Idle and old credit goes back.
    Tend(usize),
    /// Without a word; another comes in its place.
    Die(usize),
    /// As it should be.
    Retire(usize),
}

fn steps() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    let costs = [0u64..3, 0u64..3];
    prop_oneof![
        12 => (0u64..400).prop_map(Step::Pause),
        // About the time at which something leaves a window.
        1 => (57_000u64..62_500).prop_map(Step::Pause),
        30 => (client.clone(), costs).prop_map(|(client, costs)| Step::Event(client, costs)),
        3 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
        2 => client.clone().prop_map(Step::Tend),
        1 => client.clone().prop_map(Step::Die),
        1 => client.prop_map(Step::Retire),
    ]
}

/// Something that was let through, and not given back.
#[derive(Debug)]
struct Used {
    at: u64,
    costs: [u64; 2],
    receipt: Option<Receipt>,
    by: usize,
}

struct Fleet<'a> {
    url: &'a str,
    key: NamingKey,
    clients: Vec<Counters>,
    limits: [u64; 2],
    now: u64,
    used: Vec<Used>,
}

impl<'a> Fleet<'a> {
    async fn new(url: &'a str, limits: [u64; 2]) -> Self {
        let key = fresh_key();
        Self {
            clients: (0..CLIENTS).map(|_| eager(url, &key)).collect(),
            url,
            key,
            limits,
            now: HOUR,
            used: Vec::new(),
        }
    }

    async fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Pause(by) => self.now += by,
            Step::Event(client, costs) => return self.event(client, costs).await,
            Step::GiveBack(_) if self.used.is_empty() => {}
            Step::GiveBack(which) => {
                let used = self.used.swap_remove(which.index(self.used.len()));
                if let Some(receipt) = used.receipt {
                    self.clients[used.by].give_back(receipt).await;
                }
            }
            Step::Tend(client) => {
                let now = Timestamp(self.now);
                redis_of(&self.clients[client]).tend_leases(now).await;
            }
            Step::Die(client) => self.clients[client] = eager(self.url, &self.key),
            Step::Retire(client) => {
                self.clients[client].retire().await;
                self.clients[client] = eager(self.url, &self.key);
            }
        }
        Ok(())
    }

    async fn event(&mut self, client: usize, costs: [u64; 2]) -> Result<(), TestCaseError> {
        let ops: Vec<Op> = (0..2)
            .map(|at| gate(NAMES[at], costs[at], self.limits[at], WINDOWS[at]))
            .collect();
        let applied = self.clients[client].apply(Timestamp(self.now), &ops).await;
        let (results, receipt) = applied.expect("it answers");
        if !results.all_passed() {
            prop_assert!(receipt.is_none());
            return Ok(());
        }
        self.used.push(Used {
            at: self.now,
            costs,
            receipt,
            by: client,
        });
        let limits = self.limits.into_iter().zip(WINDOWS).enumerate();
        for (at, (limit, window)) in limits {
            let held = self.used.iter().filter(|used| used.at + window > self.now);
            let sum: u64 = held.map(|used| used.costs[at]).sum();
            prop_assert!(sum <= limit, "{sum} of {limit} at {}", self.now);
            let Outcome::Passed { total } = results.0[at] else {
                return Err(TestCaseError::fail("it passed"));
            };
            prop_assert!(total <= limit, "{total} of {limit}");
        }
        Ok(())
    }
}

#[test]
fn no_schedule_of_a_fleet_that_lends_lets_more_through_than_the_limit() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let url = server.url();
    let config = Config {
        cases: 60,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    let schedules = (
        prop::collection::vec(steps(), 1..250),
        [16u64..70, 30u64..200],
    );
    TestRunner::new(config)
        .run(&schedules, |(steps, limits)| {
            run(async {
                let mut fleet = Fleet::new(&url, limits).await;
                for step in &steps {
                    fleet.take(step).await?;
                }
                Ok(())
            })
        })
        .expect("the property holds");
}

const LIMIT: u64 = 2_000;

/// Eight proxies by the server's clock, two of them wrong by a day, each four calls at a time.
async fn hammer(clients: &[Arc<Counters>], calls: u64) -> Tally {
    let tally = Arc::new(Tally::default());
    let mut tasks = JoinSet::new();
    for (proxy, counters) in clients.iter().enumerate() {
        for part in 0..4 {
            let (counters, tally) = (counters.clone(), tally.clone());
            tasks.spawn(async move {
                for n in 0..calls / 4 {
                    one_call(&counters, &tally, said_by(proxy as u64), 4 * n + part).await;
                }
            });
        }
    }
    tasks.join_all().await;
    Arc::into_inner(tally).expect("all have ended")
}

async fn one_call(counters: &Counters, tally: &Tally, now: u64, n: u64) {
    let ops = [
        gate("account", 1, LIMIT, HOUR),
        gate("source", 1, LIMIT + 50, 24 * HOUR),
    ];
    match counters.apply(Timestamp(now), &ops).await {
        Ok((results, receipt)) if results.all_passed() => {
            if n.is_multiple_of(5) {
                counters.give_back(receipt.expect("charged")).await;
            } else {
                tally.admitted.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok((results, _)) => {
            let Outcome::Full {
                retry_at: Some(retry),
                ..
            } = results.0[0]
            else {
                panic!("{results:?}");
            };
            assert!(
                retry.0 > now && retry.0 <= now + HOUR + HOUR / 32,
                "{retry:?}"
            );
            tally.refused.fetch_add(1, Ordering::Relaxed);
        }
        Err(_) => _ = tally.unanswered.fetch_add(1, Ordering::Relaxed),
    }
}

async fn sum(counters: &Counters, key: &str) -> u64 {
    match apply(counters, 0, &[read(key, 24 * HOUR)]).await.unwrap()[..] {
        [Outcome::Total(total)] => total,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn eight_proxies_that_lend_share_one_limit_and_ask_seldom() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let key = fresh_key();
    run(async {
        let make = || {
            let mut setup = lending(
                Setup::single(&server.url(), key.clone()),
                Lending::default(),
            );
            setup.deadline = sekisho_testkit::PATIENCE;
            Arc::new(of(setup))
        };
        let clients: Vec<_> = (0..8).map(|_| make()).collect();
        let first = hammer(&clients, 200).await;
        let trips: u64 = clients
            .iter()
            .map(|each| redis_of(each).take_round_trips())
            .sum();
        let second = hammer(&clients, 400).await;
        let [admitted, refused, unanswered] = [
            |tally: &Tally| tally.admitted.load(Ordering::Relaxed),
            |tally: &Tally| tally.refused.load(Ordering::Relaxed),
            |tally: &Tally| tally.unanswered.load(Ordering::Relaxed),
        ]
        .map(|of| of(&first) + of(&second));
        eprintln!(
            "8 proxies that lend: {trips} round trips for their first 1,600 events; {admitted} of {LIMIT} admitted, {refused} refused"
        );
        assert_eq!(unanswered, 0);
        assert!(trips < 800, "{trips}");
        assert!(
            admitted <= LIMIT && refused > 0,
            "{admitted} admitted, {refused} refused"
        );
        // What was held and not used goes back when they end, and nothing else.
        for client in &clients {
            client.retire().await;
        }
        let other = patient(&server.url(), &key);
        assert_eq!(
            (sum(&other, "account").await, sum(&other, "source").await),
            (admitted, admitted)
        );
        let left = LIMIT - admitted;
        let all = apply(&other, 0, &[gate("account", left, LIMIT, HOUR)]).await;
        assert_eq!(all.unwrap(), [passed(LIMIT)]);
    });
}

/// Scripts are forgotten and connections cut meanwhile: what is lost of that counts, and nobody is let in for it.
#[test]
fn a_fleet_that_lends_keeps_its_limit_while_scripts_and_connections_go() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let key = fresh_key();
    run(async {
        let make = || {
            let mut setup = lending(
                Setup::single(&server.url(), key.clone()),
                Lending::default(),
            );
            setup.deadline = sekisho_testkit::PATIENCE;
            Arc::new(of(setup))
        };
        let clients: Vec<_> = (0..8).map(|_| make()).collect();
        let ended = AtomicBool::new(false);
        let work = async {
            let tally = hammer(&clients, 400).await;
            ended.store(true, Ordering::Relaxed);
            tally
        };
        let meanwhile = async {
            while !ended.load(Ordering::Relaxed) {
                server.cli(&["script", "flush"]);
                server.cli(&["client", "kill", "type", "normal"]);
                tokio::task::yield_now().await;
            }
        };
        let (tally, ()) = tokio::join!(work, meanwhile);
        let admitted = tally.admitted.into_inner();
        for client in &clients {
            client.retire().await;
        }
        let counted = sum(&patient(&server.url(), &key), "account").await;
        assert!(
            admitted <= counted && counted <= LIMIT,
            "{admitted} admitted, {counted} counted"
        );
    });
}
