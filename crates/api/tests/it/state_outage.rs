//! PostgreSQL goes away while proxies tell and ask, and comes back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use sekisho_policy::snapshot::Kind;
use sekisho_policy::states::{Imposition, Rest, States};
use sekisho_policy::{Account, Level, ObjectRef, Origin, Restriction, Timestamp};
use sekisho_store::AccountStates;
use sekisho_testkit::{Conduct, Link, PostgresServer};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::harness::{Client, Control, NOW};

const NAMESPACES: [&str; 2] = ["mail", "other"];
/// Proxies of each namespace that tell.
const PROXIES: usize = 4;
/// No request may take longer: twelve seconds for an answer to what was under way, and those in line before it.
const BOUND: Duration = Duration::from_secs(18);

fn token(name: &str, namespace: &str) -> String {
    format!("Bearer proxy~{name}~{namespace}/out")
}

fn imposition(name: &str, namespace: &str) -> Imposition {
    Imposition {
        account: Account::canonical(name, None),
        restriction: Restriction {
            level: Level::Suspend,
            since: Timestamp(NOW - 1_000),
            until: None,
            origin: Origin::Rule(ObjectRef {
                kind: Kind::AbuseRule,
                namespace: namespace.into(),
                name: "stolen".into(),
            }),
            why: "120 points".into(),
            decision: None,
            recipients_per_hour: None,
            then: None,
        },
    }
}

/// Tells what it has until it is taken, and the next, until it is to stop; answers how much was taken.
struct Teller {
    namespace: &'static str,
    name: String,
    ends: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
    taken: Arc<AtomicUsize>,
}

impl Teller {
    async fn run(self, mut client: Client) -> usize {
        let path = format!("/v1/state?gateway={}/out", self.namespace);
        let token = token(&self.name, self.namespace);
        let mut count = 0;
        let mut was_refused = false;
        while !self.ends.load(Ordering::SeqCst) {
            let account = format!("{}-{count}", self.name);
            let body = json!({ "impositions": [imposition(&account, self.namespace)] });
            let headers = [("authorization", token.as_str())];
            let asked = client.ask(Method::POST, &path, &headers, body.to_string());
            let answer = timeout(BOUND, asked).await.expect("an answer in time");
            match answer.status {
                StatusCode::OK => {
                    count += 1;
                    self.taken.fetch_add(1, Ordering::SeqCst);
                }
                StatusCode::SERVICE_UNAVAILABLE => {
                    if !std::mem::replace(&mut was_refused, true) {
                        self.refused.fetch_add(1, Ordering::SeqCst);
                    }
                    sleep(Duration::from_millis(50)).await;
                }
                status => panic!("{status}"),
            }
        }
        count
    }
}

/// Follows a namespace until it has heard of so many accounts.
async fn follow(mut client: Client, namespace: &str, until: Arc<AtomicUsize>) -> BTreeSet<Account> {
    let token = token("follower", namespace);
    let (mut since, mut part, mut seen) = (0, "", BTreeSet::new());
    while seen.len() < until.load(Ordering::SeqCst) {
        let path = format!("/v1/state?gateway={namespace}/out&since={since}{part}");
        let headers = [("authorization", token.as_str()), ("prefer", "wait=1")];
        let answer = client.ask(Method::GET, &path, &headers, "").await;
        if answer.status != StatusCode::OK {
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            sleep(Duration::from_millis(50)).await;
            continue;
        }
        let states: States = serde_json::from_slice(&answer.body).unwrap();
        since = states.revision;
        part = match states.rest {
            Rest::Nothing => "",
            Rest::More => "&part=next",
        };
        seen.extend(states.changes.into_iter().map(|change| change.account));
    }
    seen
}

async fn reaches(count: &AtomicUsize, least: usize) {
    let began = Instant::now();
    while count.load(Ordering::SeqCst) < least {
        assert!(
            began.elapsed() < BOUND + Duration::from_secs(2),
            "{count:?} of {least}"
        );
        sleep(Duration::from_millis(10)).await;
    }
}

/// Its namespace, how many accounts it is to hear of, and the task.
type Follower = (
    &'static str,
    Arc<AtomicUsize>,
    JoinHandle<BTreeSet<Account>>,
);

/// Proxies of two namespaces that tell and follow.
struct Load {
    _control: Control,
    ends: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
    refused: Arc<AtomicUsize>,
    tellers: Vec<JoinHandle<usize>>,
    followers: Vec<Follower>,
}

impl Load {
    /// Begins, and goes on until something was taken.
    async fn begin(states: AccountStates) -> Self {
        let control = Control::start_over(states).await;
        let (ends, refused) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let taken: Arc<AtomicUsize> = Arc::default();
        let mut tellers = Vec::new();
        let mut followers = Vec::new();
        for namespace in NAMESPACES {
            for n in 0..PROXIES {
                let teller = Teller {
                    namespace,
                    name: format!("{namespace}-{n}"),
                    ends: Arc::clone(&ends),
                    refused: Arc::clone(&refused),
                    taken: Arc::clone(&taken),
                };
                tellers.push(tokio::spawn(teller.run(control.connect().await)));
            }
            let target = Arc::new(AtomicUsize::new(usize::MAX));
            let following = follow(control.connect().await, namespace, Arc::clone(&target));
            followers.push((namespace, target, tokio::spawn(following)));
        }
        let load = Self {
            _control: control,
            ends,
            taken,
            refused,
            tellers,
            followers,
        };
        load.goes_on().await;
        load
    }

    /// More is taken.
    async fn goes_on(&self) {
        let before = self.taken.load(Ordering::SeqCst);
        reaches(&self.taken, before + 40).await;
    }

    /// Each proxy was refused, or will be in time.
    async fn is_refused(&self) {
        reaches(&self.refused, NAMESPACES.len() * PROXIES).await;
    }

    /// Ends, and looks whether all that was taken is told to those who follow.
    async fn loses_nothing(self) {
        self.ends.store(true, Ordering::SeqCst);
        let mut told = Vec::new();
        for teller in self.tellers {
            told.push(teller.await.unwrap());
        }
        for (place, (namespace, target, follower)) in self.followers.into_iter().enumerate() {
            let of_namespace: usize = told[place * PROXIES..][..PROXIES].iter().sum();
            target.store(of_namespace, Ordering::SeqCst);
            let seen = timeout(BOUND, follower).await.unwrap().unwrap();
            for n in 0..PROXIES {
                for count in 0..told[place * PROXIES + n] {
                    let account = Account::canonical(&format!("{namespace}-{n}-{count}"), None);
                    assert!(seen.contains(&account), "{account} was taken");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_under_load_and_comes_back_loses_nothing_that_was_taken() {
    let Some(mut server) = PostgresServer::start() else {
        return;
    };
    let states = AccountStates::in_postgres(&server.address("postgres")).unwrap();
    let load = Load::begin(states).await;
    server.kill();
    load.is_refused().await;
    server.begin();
    load.goes_on().await;
    load.loses_nothing().await;
}

/// The network between: what was under way hears nothing, new connections neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_falls_silent_or_talks_rubbish_under_load_holds_nobody_up() {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let slow = Conduct::Late(Duration::from_millis(20));
    for conduct in [slow, Conduct::Silent, Conduct::Rubbish] {
        let link = Link::to(([127, 0, 0, 1], server.port()).into()).await;
        let address = server.address_at(link.address().port(), "postgres");
        let load = Load::begin(AccountStates::in_postgres(&address).unwrap()).await;
        link.conduct(conduct);
        if conduct == slow {
            load.goes_on().await;
            assert_eq!(load.refused.load(Ordering::SeqCst), 0, "slow is not away");
        } else {
            load.is_refused().await;
        }
        link.conduct(Conduct::Pass);
        load.goes_on().await;
        load.loses_nothing().await;
    }
}
