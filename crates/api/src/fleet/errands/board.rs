//! The board: errands that wait for a proxy of their gateway, and those that one of them took. Each is handed to one proxy, once, so that
//! nothing is counted twice; only the answer of that proxy is taken, and only as long as somebody waits for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sekisho_policy::ObjectRef;
use sekisho_policy::errand::{Done, Errand, ErrandId, Work};
use sekisho_policy::signal::MAX_AWARDS;
use sekisho_policy::snapshot::Kind;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::Undone;
use crate::fleet::name::is_part;
use crate::fleet::state::namespace_of;

/// An errand that nobody took by then is taken down.
const TAKEN_WITHIN: Duration = Duration::from_secs(3);
/// One that somebody took is waited for so much longer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// Both together.
pub(super) const DONE_WITHIN: Duration = TAKEN_WITHIN.saturating_add(ANSWERED_WITHIN);
/// Errands of one gateway that wait or are being done, and of all.
const MOST_OF_GATEWAY: usize = 64;
const MOST: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Board(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    gateways: HashMap<String, Lane>,
    handed: HashMap<ErrandId, Handed>,
    open: usize,
}

/// What there is of one gateway. It is forgotten when nobody asks it anything and none of its proxies waits.
#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    news: Arc<Notify>,
    /// Errands that wait or are being done.
    open: usize,
    /// Proxies that wait.
    attending: usize,
}

#[derive(Debug)]
struct Waiting {
    errand: Errand,
    answer: oneshot::Sender<Done>,
}

#[derive(Debug)]
struct Handed {
    gateway: String,
    proxy: String,
    work: Work,
    answer: oneshot::Sender<Done>,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Received {
    Taken,
    /// Nobody waits for one of that name from there.
    Unknown,
    /// It is no answer to what was asked.
    Unfit,
}

impl Board {
    /// Puts up an errand and waits for what comes of it.
    pub(super) async fn ask(&self, gateway: &str, work: Work) -> Result<Done, Undone> {
        let (asked, mut answered) = self.put_up(gateway, work)?;
        if let Ok(answered) = timeout(TAKEN_WITHIN, &mut answered).await {
            return answered.map_err(|_| Undone::NotAnswered);
        }
        if asked.take_down() {
            return Err(Undone::NotTaken);
        }
        match timeout(ANSWERED_WITHIN, &mut answered).await {
            Ok(Ok(done)) => Ok(done),
            _ => Err(Undone::NotAnswered),
        }
    }

    fn put_up(
        &self,
        gateway: &str,
        work: Work,
    ) -> Result<(Asked<'_>, oneshot::Receiver<Done>), Undone> {
        // A system without randomness has other troubles.
        let random = || getrandom::u64().map(u128::from);
        let (Ok(high), Ok(low)) = (random(), random()) else {
            return Err(Undone::TooMany);
        };
        let id = ErrandId::from_random(high << 64 | low);
        let (answer, answered) = oneshot::channel();
        let mut table = self.lock();
        let of_gateway = table.gateways.get(gateway).map_or(0, |lane| lane.open);
        if table.open >= MOST || of_gateway >= MOST_OF_GATEWAY {
            return Err(Undone::TooMany);
        }
        table.open += 1;
        let lane = table.gateways.entry(gateway.to_owned()).or_default();
        lane.open += 1;
        let errand = Errand { id, work };
        lane.waiting.push_back(Waiting { errand, answer });
        lane.news.notify_one();
        let asked = Asked {
            board: self,
            gateway: gateway.to_owned(),
            id,
        };
        Ok((asked, answered))
    }

    /// Waits for something to do at a gateway, and has it then.
    pub(super) async fn next(&self, gateway: &str, proxy: &str) -> Errand {
        let attending = self.attend(gateway);
        loop {
            if let Some(errand) = self.hand_out(gateway, proxy) {
                return errand;
            }
            // Whoever put something up meanwhile has left word.
            attending.news.notified().await;
        }
    }

    fn attend(&self, gateway: &str) -> Attending<'_> {
        let mut table = self.lock();
        let lane = table.gateways.entry(gateway.to_owned()).or_default();
        lane.attending += 1;
        Attending {
            board: self,
            gateway: gateway.to_owned(),
            news: Arc::clone(&lane.news),
        }
    }

    fn hand_out(&self, gateway: &str, proxy: &str) -> Option<Errand> {
        let mut table = self.lock();
        let Waiting { errand, answer } = table.gateways.get_mut(gateway)?.waiting.pop_front()?;
        let handed = Handed {
            gateway: gateway.to_owned(),
            proxy: proxy.to_owned(),
            work: errand.work.clone(),
            answer,
        };
        table.handed.insert(errand.id, handed);
        Some(errand)
    }

    /// Takes an answer, if it is of the proxy that has the errand.
    pub(super) fn answer(&self, gateway: &str, proxy: &str, id: ErrandId, done: Done) -> Received {
        let mut table = self.lock();
        let its = |handed: &&Handed| handed.gateway == gateway && handed.proxy == proxy;
        let Some(handed) = table.handed.get(&id).filter(its) else {
            return Received::Unknown;
        };
        if !answers(&done, &handed.work, namespace_of(gateway)) {
            return Received::Unfit;
        }
        let sent = table
            .handed
            .remove(&id)
            .map(|handed| handed.answer.send(done));
        match sent {
            Some(Ok(())) => Received::Taken,
            Some(Err(_)) | None => Received::Unknown,
        }
    }

    /// Whether a proxy of the gateway waits for something to do.
    pub(super) fn is_attended(&self, gateway: &str) -> bool {
        let table = self.lock();
        let lane = table.gateways.get(gateway);
        lane.is_some_and(|lane| lane.attending > 0)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn forget_if_unused(&mut self, gateway: &str) {
        let unused = |lane: &Lane| lane.open == 0 && lane.attending == 0;
        if self.gateways.get(gateway).is_some_and(unused) {
            self.gateways.remove(gateway);
        }
    }
}

/// Somebody who waits for what comes of an errand. Without them it is not there any more, nor is any answer taken.
struct Asked<'a> {
    board: &'a Board,
    gateway: String,
    id: ErrandId,
}

impl Asked<'_> {
    /// Takes it down, if nobody has it; from now on nobody will.
    fn take_down(&self) -> bool {
        let mut table = self.board.lock();
        let Some(lane) = table.gateways.get_mut(&self.gateway) else {
            return false;
        };
        let before = lane.waiting.len();
        lane.waiting.retain(|waiting| waiting.errand.id != self.id);
        lane.waiting.len() < before
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.take_down();
        let mut table = self.board.lock();
        table.handed.remove(&self.id);
        table.open = table.open.saturating_sub(1);
        if let Some(lane) = table.gateways.get_mut(&self.gateway) {
            lane.open = lane.open.saturating_sub(1);
        }
        table.forget_if_unused(&self.gateway);
    }
}

/// A proxy that waits.
struct Attending<'a> {
    board: &'a Board,
    gateway: String,
    news: Arc<Notify>,
}

impl Drop for Attending<'_> {
    fn drop(&mut self) {
        let mut table = self.board.lock();
        if let Some(lane) = table.gateways.get_mut(&self.gateway) {
            lane.attending = lane.attending.saturating_sub(1);
        }
        table.forget_if_unused(&self.gateway);
    }
}

/// Whether that can be what came of `work`. What a proxy says is its word, and is about rules of its own namespace alone.
fn answers(done: &Done, work: &Work, namespace: &str) -> bool {
    match (done, work) {
        (Done::Failed(_), _) => true,
        (Done::Bounced { counted }, Work::Bounced { count, .. }) => counted <= count,
        (Done::Scores { scores, .. }, Work::Scores { .. }) => scores
            .iter()
            .all(|score| is_own_rule(&score.rule, namespace) && score.awards.len() <= MAX_AWARDS),
        (Done::Bounced { .. } | Done::Scores { .. }, _) => false,
    }
}

/// Whether that can be an AbuseRule of the namespace. Names are those of Kubernetes.
fn is_own_rule(rule: &ObjectRef, namespace: &str) -> bool {
    rule.kind == Kind::AbuseRule && rule.namespace == namespace && is_part(&rule.name)
}

#[cfg(test)]
mod tests;
