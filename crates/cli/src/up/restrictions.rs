//! The restrictions of accounts in this process: one set for each namespace, kept in step with the store, and on disk for the time
//! that the store takes to answer.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use sekisho_api::{Configs, letters};
use sekisho_policy::Timestamp;
use sekisho_policy::states::{Imposition, Rest};
use sekisho_proxy::Restrictions;
use sekisho_runtime::{Clock, Metrics, Shutdown};
use sekisho_store::{AccountStates, Imposed, StoreError};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

use crate::service::Trouble;

/// Changes that are taken over at once, and impositions that are stored at once.
const BATCH: u32 = 1_000;
/// A store that failed is asked again after this.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const TROUBLE: Trouble = Trouble::said_as(
    "account states are not in step with the store; what is known here holds",
    "account states are in step with the store again",
);
/// What the audit trail calls this process.
const NAME: &str = "of this process";

/// The restrictions of every namespace that has a gateway here.
#[derive(Debug)]
pub(super) struct Desks {
    tools: Tools,
    by_namespace: Mutex<BTreeMap<String, Desk>>,
    rules_are_known: watch::Sender<bool>,
}

/// What each of them needs.
#[derive(Clone, Debug)]
struct Tools {
    states: AccountStates,
    configs: Configs,
    state: PathBuf,
    clock: Clock,
    metrics: Metrics,
    ending: Shutdown,
    /// Before that nobody knows which channels are to hear of what the last run imposed and could not store.
    rules_are_known: watch::Receiver<bool>,
}

#[derive(Debug)]
struct Desk {
    restrictions: Restrictions,
    following: JoinSet<()>,
    writing: JoinHandle<()>,
}

impl Desks {
    pub(super) fn new(
        states: AccountStates,
        configs: Configs,
        state: PathBuf,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        let (rules_are_known, known) = watch::channel(false);
        Self {
            rules_are_known,
            tools: Tools {
                rules_are_known: known,
                states,
                configs,
                state,
                clock,
                metrics,
                ending: Shutdown::new(),
            },
            by_namespace: Mutex::default(),
        }
    }

    /// Those of a namespace, as the store knows them now, or as the last run kept them if it does not answer.
    pub(super) async fn of(&self, namespace: &str) -> Restrictions {
        let mut by_namespace = self.by_namespace.lock().await;
        if let Some(desk) = by_namespace.get(namespace) {
            return desk.restrictions.clone();
        }
        let desk = Desk::open(&self.tools, namespace).await;
        let restrictions = desk.restrictions.clone();
        by_namespace.insert(namespace.to_owned(), desk);
        restrictions
    }

    /// From now on, what is imposed is stored, with the messages for the channels that the rules name.
    pub(super) fn begin_to_store(&self) {
        self.rules_are_known.send_replace(true);
    }

    /// Stores and writes down the last ones, until `deadline`; the sessions have ended.
    pub(super) async fn close(&self, deadline: Instant) {
        self.tools.ending.begin();
        let mut by_namespace = self.by_namespace.lock().await;
        for (namespace, mut desk) in std::mem::take(&mut *by_namespace) {
            desk.following.shutdown().await;
            // Two must not write the file at once.
            let _ = desk.writing.await;
            let restrictions = &desk.restrictions;
            restrictions.put_all_back();
            let storing = store_all(&self.tools, &namespace, restrictions);
            if !matches!(timeout_at(deadline, storing).await, Ok(Ok(()))) {
                tracing::error!(
                    namespace,
                    "the last restrictions were not stored in time; the next run stores them"
                );
                restrictions.put_all_back();
            }
            restrictions.save(&self.tools.state, &namespace).await;
        }
    }
}

impl Desk {
    async fn open(tools: &Tools, namespace: &str) -> Self {
        let restrictions = Restrictions::new(tools.metrics.clone());
        restrictions.recall(&tools.state, namespace);
        restrictions.ask_for_whole();
        if let Err(error) = take_over(tools, namespace, &restrictions).await {
            tracing::error!(%error, namespace, "the store does not say whom it restricts; what the last run kept holds");
        }
        let mut following = JoinSet::new();
        let (desk, name) = (restrictions.clone(), namespace.to_owned());
        let with = tools.clone();
        following.spawn(async move { follow(&with, &name, &desk).await });
        let (desk, name) = (restrictions.clone(), namespace.to_owned());
        let with = tools.clone();
        following.spawn(async move { bring(&with, &name, &desk).await });
        let writing = restrictions.clone().keep(
            tools.state.clone(),
            namespace.to_owned(),
            tools.clock.clone(),
            tools.ending.clone(),
        );
        Self {
            restrictions,
            following,
            writing: tokio::spawn(writing),
        }
    }
}

/// Takes over what the store says, whenever it says something new.
async fn follow(tools: &Tools, namespace: &str, restrictions: &Restrictions) {
    let mut changes = tools.states.changes(namespace);
    let mut trouble = TROUBLE;
    loop {
        changes.mark_unchanged();
        match take_over(tools, namespace, restrictions).await {
            Ok(()) => trouble.over(),
            Err(error) => {
                trouble.note(&error);
                sleep(RETRY_AFTER).await;
                continue;
            }
        }
        // The sender is among the tools.
        let _ = changes.changed().await;
    }
}

async fn take_over(
    tools: &Tools,
    namespace: &str,
    restrictions: &Restrictions,
) -> Result<(), StoreError> {
    loop {
        let (since, part) = restrictions.question();
        let states = tools.states.since(namespace, since, part, BATCH).await?;
        restrictions.apply(&states);
        if states.rest == Rest::Nothing {
            return Ok(());
        }
    }
}

/// Brings what is imposed here to the store.
async fn bring(tools: &Tools, namespace: &str, restrictions: &Restrictions) {
    let mut trouble = TROUBLE;
    // The sender ends with the process.
    if tools
        .rules_are_known
        .clone()
        .wait_for(|known| *known)
        .await
        .is_err()
    {
        return;
    }
    loop {
        restrictions.queued().await;
        while let Err(error) = store_all(tools, namespace, restrictions).await {
            trouble.note(&error);
            sleep(RETRY_AFTER).await;
        }
        trouble.over();
    }
}

async fn store_all(
    tools: &Tools,
    namespace: &str,
    restrictions: &Restrictions,
) -> Result<(), StoreError> {
    loop {
        let batch = restrictions.next_batch(BATCH as usize);
        if batch.is_empty() {
            return Ok(());
        }
        let now = Timestamp(tools.clock.now_ms());
        let letters =
            |imposition: &Imposition| letters::letters(&tools.configs, namespace, imposition, now);
        let stored = tools.states.impose(namespace, &batch, NAME, now, &letters);
        match stored.await {
            Ok(Imposed { states, posted }) => {
                letters::note(&tools.metrics, namespace, &posted);
                restrictions.stored(&batch, &states);
            }
            Err(error) => {
                restrictions.put_back(batch);
                return Err(error);
            }
        }
    }
}
