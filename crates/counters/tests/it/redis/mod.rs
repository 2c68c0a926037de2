//! The contract on a real redis-server and on a real Cluster, and what is special to counting there.

mod cluster;
mod cost;
mod failover;
mod failure;
mod fleet;
mod lease_ends;
mod lease_fleet;
mod leases;
mod rights;
mod stored;
mod tls;

use sekisho_counters::redis::{NamingKey, Setup, WhoseClock};
use sekisho_counters::{Counters, Limits};
use sekisho_policy::{Op, Outcome, Timestamp, Unavailable};
use sekisho_testkit::{RedisServer, RedisUser};

use crate::contract;
use crate::model::Clocks;
use crate::ops::*;
use crate::windows;

const HOUR: u64 = 3_600_000;

/// A key that nobody had: tests on one server do not see each other.
pub(crate) fn fresh_key() -> NamingKey {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut key = [0; 32];
    key[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    NamingKey::new(key)
}

fn of(setup: Setup) -> Counters {
    Counters::redis(setup, Limits::default()).expect("a setup that can be used")
}

/// Counters that believe what callers say of time.
fn travelling(mut setup: Setup) -> Counters {
    setup.clock = WhoseClock::Caller;
    // A machine that is busy building is no dead server.
    setup.deadline = sekisho_testkit::PATIENCE;
    of(setup)
}

/// The same, as a user of the server.
fn by(user: &RedisUser, mut setup: Setup) -> Setup {
    setup.username = Some(user.name.clone());
    setup.password = Some(user.password.as_str().into());
    setup
}

/// Counters by the server's clock that wait for it as long as a test does.
fn patient(url: &str, key: &NamingKey) -> Counters {
    let mut setup = Setup::single(url, key.clone());
    setup.deadline = sekisho_testkit::PATIENCE;
    of(setup)
}

async fn apply(counters: &Counters, at: u64, ops: &[Op]) -> Result<Vec<Outcome>, Unavailable> {
    let applied = counters.apply(Timestamp(at), ops).await;
    applied.map(|(results, _)| results.0)
}

#[test]
fn one_server_keeps_the_contract() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let (url, user) = (server.url(), RedisUser::documented());
    server.allow(&user);
    contract::whole_suite!(async { travelling(by(&user, Setup::single(&url, fresh_key()))) });
}

#[test]
fn random_schedules_keep_the_promise() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let url = server.url();
    // Each with its own connection, which probes; closed when it is dropped.
    let make = || run(async { travelling(Setup::single(&url, fresh_key())) });
    windows::random_schedules_keep_the_promise(250, Clocks::Server, make);
    windows::retry_at_is_the_first_moment(60, make);
}
