//! What accounts have set, in this process: one copy for each namespace, kept in step with the store and on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sekisho_policy::states::Rest;
use sekisho_proxy::KnownSettings;
use sekisho_runtime::{Metrics, Shutdown};
use sekisho_store::{SettingsStore, StoreError};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::service::Trouble;

/// Changes that are taken over at once.
const BATCH: u32 = 5_000;
/// A store that failed is asked again after this.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const TROUBLE: Trouble = Trouble::said_as(
    "settings of accounts cannot be read or written; what is known here holds",
    "settings of accounts can be read and written again",
);

/// The settings of every namespace that has a gateway here.
#[derive(Debug)]
pub(super) struct SettingsBooks {
    store: SettingsStore,
    state: PathBuf,
    metrics: Metrics,
    ending: Shutdown,
    by_namespace: Mutex<BTreeMap<String, Book>>,
}

#[derive(Debug)]
struct Book {
    known: KnownSettings,
    following: JoinHandle<()>,
    writing: JoinHandle<()>,
}

impl SettingsBooks {
    pub(super) fn new(store: SettingsStore, state: PathBuf, metrics: Metrics) -> Self {
        Self {
            store,
            state,
            metrics,
            ending: Shutdown::new(),
            by_namespace: Mutex::default(),
        }
    }

    /// Those of a namespace, as the store knows them now, or as the last run kept them if it does not answer.
    pub(super) async fn of(&self, namespace: &str) -> Result<KnownSettings> {
        let mut by_namespace = self.by_namespace.lock().await;
        if let Some(book) = by_namespace.get(namespace) {
            return Ok(book.known.clone());
        }
        let known = KnownSettings::new(self.metrics.clone());
        let known = known.context("the system has no randomness to give")?;
        tokio::task::block_in_place(|| known.recall(&self.state, namespace));
        if let Err(error) = take_over(&self.store, namespace, &known).await {
            tracing::error!(%error, namespace, "the store does not say what accounts have set; what the last run kept holds");
        }
        let following = follow(self.store.clone(), namespace.to_owned(), known.clone());
        let keeping = known.clone();
        let writing = keeping.keep(
            self.state.clone(),
            namespace.to_owned(),
            self.ending.clone(),
        );
        let book = Book {
            known: known.clone(),
            following: tokio::spawn(following),
            writing: tokio::spawn(writing),
        };
        by_namespace.insert(namespace.to_owned(), book);
        Ok(known)
    }

    /// Writes down what changed last; the sessions have ended.
    pub(super) async fn close(&self) {
        self.ending.begin();
        for (_, book) in std::mem::take(&mut *self.by_namespace.lock().await) {
            book.following.abort();
            // What it could not write, the store knows.
            let _ = book.writing.await;
        }
    }
}

/// Takes over what the store says, whenever it says something new.
async fn follow(store: SettingsStore, namespace: String, known: KnownSettings) {
    let mut changes = store.changes(&namespace);
    let mut trouble = TROUBLE;
    loop {
        changes.mark_unchanged();
        match take_over(&store, &namespace, &known).await {
            Ok(()) => trouble.over(),
            Err(error) => {
                trouble.note(&error);
                sleep(RETRY_AFTER).await;
                continue;
            }
        }
        // The sender is in the store.
        let _ = changes.changed().await;
    }
}

async fn take_over(
    store: &SettingsStore,
    namespace: &str,
    known: &KnownSettings,
) -> Result<(), StoreError> {
    loop {
        let (since, part) = known.question();
        let said = store.since(namespace, since, part, BATCH).await?;
        known.apply(&said);
        if said.rest == Rest::Nothing {
            return Ok(());
        }
    }
}
