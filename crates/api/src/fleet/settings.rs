//! `GET /v1/settings`: a proxy asks what accounts of its namespace have set, and waits for what changes. It is told nothing of other
//! namespaces, and can change nothing.

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use sekisho_policy::settings::SettingsChanges;
use sekisho_policy::states::Part;
use sekisho_store::{AccountStates, SettingsStore, StoreError};
use tokio::sync::watch;

use super::poll::{Amount, Asked, Followed, poll};
use super::sources::Fleet;
use super::state::states;
use crate::problem::Problem;

/// The most changes of one answer: half a megabyte where accounts have a limit of their own.
const MOST_CHANGES: u32 = 5_000;

pub(super) async fn show(
    State(fleet): State<Fleet>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Json<SettingsChanges>, Problem> {
    poll(&fleet, asked, &headers, |fleet| {
        states(fleet).map(AccountStates::settings)
    })
    .await
}

impl Followed for SettingsStore {
    type Answer = SettingsChanges;

    /// Or a change of many would be told in an answer for each of its batches.
    const GATHER: Option<Duration> = Some(Duration::from_millis(250));

    fn changes(&self, namespace: &str) -> watch::Receiver<u64> {
        self.changes(namespace)
    }

    async fn since(
        &self,
        namespace: &str,
        revision: u64,
        part: Part,
    ) -> Result<SettingsChanges, StoreError> {
        self.since(namespace, revision, part, MOST_CHANGES).await
    }

    fn amount(answer: &SettingsChanges) -> Amount {
        Amount {
            onto: answer.onto,
            rest: answer.rest,
            changes: answer.changes.len(),
        }
    }
}
