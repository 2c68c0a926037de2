//! How long a proxy may wait for an answer, and how it follows what is said of accounts of its namespace, whatever that is: it says what
//! it knows, is answered at once where there is more, and else waits for what changes.

use std::time::Duration;

use axum::Json;
use axum::http::HeaderMap;
use sekisho_policy::states::{Onto, Part, Rest};
use sekisho_runtime::Shutdown;
use sekisho_store::StoreError;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::name::{self, is_name};
use super::random;
use super::sources::Fleet;
use super::state::namespace_of;
use super::turns::Use;
use crate::asked::unavailable;
use crate::configs::preferred_wait;
use crate::problem::Problem;

/// How long somebody waits: until a moment, or until the process drains.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience<'a> {
    until: Instant,
    shutdown: &'a Shutdown,
}

impl<'a> Patience<'a> {
    /// As long as `Prefer: wait=` says, or up to a fifth less, so that those who began together do not go on together.
    pub(super) fn of(headers: &HeaderMap, shutdown: &'a Shutdown) -> Self {
        let wait = preferred_wait(headers);
        Self::within(random::between(wait.mul_f32(0.8), wait), shutdown)
    }

    pub(super) fn within(wait: Duration, shutdown: &'a Shutdown) -> Self {
        Self {
            until: Instant::now() + wait,
            shutdown,
        }
    }

    pub(super) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// What came of it, if that was in time.
    pub(super) async fn outlasts<F: Future>(&self, waited_for: F) -> Option<F::Output> {
        tokio::select! {
            // What is there is not missed, however late it is.
            biased;
            came = waited_for => Some(came),
            () = sleep_until(self.until) => None,
            () = self.shutdown.draining() => None,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    gateway: Option<String>,
    /// The revision of the last answer; all there is is wanted without it.
    since: Option<u64>,
    /// `next` where the last answer was not the last part.
    #[serde(default)]
    part: Part,
}

/// What proxies follow.
pub(super) trait Followed {
    /// Says what changed.
    type Answer;

    /// After a change, others are waited for so long: many are told in few answers.
    const GATHER: Option<Duration> = None;

    fn changes(&self, namespace: &str) -> watch::Receiver<u64>;

    fn since(
        &self,
        namespace: &str,
        revision: u64,
        part: Part,
    ) -> impl Future<Output = Result<Self::Answer, StoreError>> + Send;

    fn amount(answer: &Self::Answer) -> Amount;
}

/// How much an answer says.
pub(super) struct Amount {
    pub(super) onto: Onto,
    pub(super) rest: Rest,
    pub(super) changes: usize,
}

pub(super) async fn poll<F: Followed>(
    fleet: &Fleet,
    asked: Asked,
    headers: &HeaderMap,
    followed: impl FnOnce(&Fleet) -> Result<&F, Problem>,
) -> Result<Json<F::Answer>, Problem> {
    let gateway = asked
        .gateway
        .filter(|name| is_name(name))
        .ok_or_else(name::misnamed)?;
    let proxy = fleet.admission.proxy(headers, &gateway).await?;
    let followed = followed(fleet)?;
    let (namespace, part) = (namespace_of(&gateway), asked.part);
    let since = asked.since.unwrap_or_default();
    let patience = Patience::of(headers, &fleet.shutdown);
    let visit = fleet.turns.visit(namespace, &proxy)?;
    let mut changes = followed.changes(namespace);
    loop {
        changes.mark_unchanged();
        let found = {
            let _turn = visit.turn(Use::Read).await?;
            followed.since(namespace, since, part).await
        };
        let found = found.map_err(unavailable)?;
        let amount = F::amount(&found);
        let is_news =
            amount.onto == Onto::Nothing || amount.rest == Rest::More || amount.changes > 0;
        // The last part of a whole may be empty, and is waited for.
        if is_news || part == Part::Next {
            return Ok(Json(found));
        }
        let Some(Ok(())) = patience.outlasts(changes.changed()).await else {
            return Ok(Json(found));
        };
        if let Some(gather) = F::GATHER {
            tokio::select! {
                () = sleep(gather) => {}
                () = fleet.shutdown.draining() => {}
            }
        }
    }
}
