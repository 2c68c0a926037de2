//! Keeps the databases in use as new as their files.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{CountryLookup, Refreshed};
use crate::health::Component;
use crate::metrics::{CountryData, Label as _, Load};
use crate::{Error, Metrics, Shutdown};

/// Refreshes `lookup` every `every` until the process drains, and tells the metrics, the log and `component` of it.
pub async fn follow(
    lookup: CountryLookup,
    every: Duration,
    metrics: Metrics,
    component: Component,
    shutdown: Shutdown,
) {
    publish_age(&lookup, &metrics);
    component.ok();
    if !lookup.has_files() {
        return;
    }
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.draining() => return,
        }
        let blocking = lookup.clone();
        // A panic in there was logged by the runtime; the next tick tries again.
        let Ok(outcome) = tokio::task::spawn_blocking(move || blocking.refresh()).await else {
            continue;
        };
        report(outcome, &lookup, &metrics, &component);
    }
}

fn report(
    outcome: Result<Refreshed, Error>,
    lookup: &CountryLookup,
    metrics: &Metrics,
    component: &Component,
) {
    match outcome {
        Ok(Refreshed::Unchanged) => {}
        Ok(Refreshed::Swapped) => {
            tracing::info!("country database replaced");
            metrics.country_load(Load::Loaded);
            publish_age(lookup, metrics);
            component.ok();
        }
        Err(error) => {
            tracing::error!(%error, "country database not replaced; the last good one stays in use");
            metrics.country_load(Load::Failed);
            component.degraded(format!("{error}; the last good one stays in use"));
        }
    }
}

fn publish_age(lookup: &CountryLookup, metrics: &Metrics) {
    for data in CountryData::ALL {
        metrics.country_built(*data, lookup.built_ms(*data));
    }
}
