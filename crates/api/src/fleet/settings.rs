//! `GET /v1/settings`: a proxy asks what accounts of its namespace have set, and waits for what changes. It is told nothing of other
//! namespaces, and can change nothing.

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use sekisho_policy::settings::SettingsChanges;
use sekisho_policy::states::{Onto, Part, Rest};
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout_at};

use super::config::jittered;
use super::name::{self, is_name};
use super::sources::Fleet;
use super::state::{namespace_of, states};
use super::turns::Use;
use crate::accounts::unavailable;
use crate::configs::preferred_wait;
use crate::problem::Problem;

/// The most changes of one answer: half a megabyte where accounts have a limit of their own.
const MOST_CHANGES: u32 = 5_000;
/// After a change, others are waited for so long: a change of many is told in few answers, not in one for each batch.
const GATHER: Duration = Duration::from_millis(250);

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    gateway: Option<String>,
    /// The revision of the last answer; all that is set is wanted without it.
    since: Option<u64>,
    /// `next` where the last answer was not the last part.
    #[serde(default)]
    part: Part,
}

pub(super) async fn show(
    State(fleet): State<Fleet>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Json<SettingsChanges>, Problem> {
    let gateway = asked
        .gateway
        .filter(|name| is_name(name))
        .ok_or_else(name::misnamed)?;
    let proxy = fleet.admission.proxy(&headers, &gateway).await?;
    let store = states(&fleet)?.settings();
    let (namespace, part) = (namespace_of(&gateway), asked.part);
    let since = asked.since.unwrap_or_default();
    let deadline = Instant::now() + jittered(preferred_wait(&headers));
    let visit = fleet.turns.visit(namespace, &proxy)?;
    let mut changes = store.changes(namespace);
    loop {
        changes.mark_unchanged();
        let found = {
            let _turn = visit.turn(Use::Read).await?;
            store.since(namespace, since, part, MOST_CHANGES).await
        };
        let found = found.map_err(unavailable)?;
        let is_news =
            found.onto == Onto::Nothing || found.rest == Rest::More || !found.changes.is_empty();
        // The last part of a whole may be empty, and is waited for.
        if is_news || part == Part::Next {
            return Ok(Json(found));
        }
        let changed = tokio::select! {
            changed = timeout_at(deadline, changes.changed()) => matches!(changed, Ok(Ok(()))),
            () = fleet.shutdown.draining() => false,
        };
        if !changed {
            return Ok(Json(found));
        }
        tokio::select! {
            () = sleep(GATHER) => {}
            () = fleet.shutdown.draining() => {}
        }
    }
}
