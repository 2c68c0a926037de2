//! The country databases that the snapshot names: opened when it names others, then followed as their files change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sekisho_policy::snapshot;
use sekisho_runtime::country::{self, CountryLookup};
use sekisho_runtime::health::Component;
use sekisho_runtime::metrics::Load;
use tokio::task::JoinHandle;

use crate::shared::Shared;

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Which databases are in use, and who follows them.
#[derive(Debug)]
pub(super) struct Country {
    paths: Option<Vec<PathBuf>>,
    scratch: PathBuf,
    component: Component,
    follower: Option<JoinHandle<()>>,
}

impl Country {
    pub(super) fn new(scratch: PathBuf, component: Component) -> Self {
        Self {
            paths: None,
            scratch,
            component,
            follower: None,
        }
    }

    /// Uses the databases that `gateway` names. One that does not serve leaves those in use that were: rules should not wait
    /// for a file to be mended.
    pub(super) async fn follow(&mut self, gateway: &snapshot::Gateway, shared: &Arc<Shared>) {
        let named = [&gateway.country_database, &gateway.asn_database];
        let paths: Vec<PathBuf> = named.into_iter().flatten().map(PathBuf::from).collect();
        if self.paths.as_ref() == Some(&paths) {
            return;
        }
        let (to_open, scratch) = (paths.clone(), self.scratch.clone());
        let opening = tokio::task::spawn_blocking(move || CountryLookup::open(&to_open, &scratch));
        let metrics = shared.metrics.process();
        match opening.await {
            Ok(Ok(lookup)) => {
                if !paths.is_empty() {
                    metrics.country_load(Load::Loaded);
                }
                self.paths = Some(paths);
                self.use_from_now_on(lookup, shared);
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "a country database cannot be used; what was in use stays");
                metrics.country_load(Load::Failed);
                self.component.degraded(error.to_string());
            }
            Err(panicked) => {
                tracing::error!(%panicked, "opening a country database ended in a panic")
            }
        }
    }

    fn use_from_now_on(&mut self, lookup: CountryLookup, shared: &Arc<Shared>) {
        if let Some(follower) = self.follower.take() {
            follower.abort();
        }
        shared.country.store(Arc::new(lookup.clone()));
        let metrics = shared.metrics.process().clone();
        let following = country::follow(
            lookup,
            LOOK_EVERY,
            metrics,
            self.component.clone(),
            shared.shutdown.clone(),
        );
        self.follower = Some(shared.shutdown.spawn(following));
    }
}
