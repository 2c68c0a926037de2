//! Errands: what people want to know that only proxies can say, and what only they can do, carried to one proxy of the gateway and its
//! answer back. There is one board, in the memory of the replica that holds the lease. Other replicas pass on to it what they are asked,
//! what their proxies wait for, and what those answer.

mod board;
mod door;
mod passing;
mod undone;

use std::sync::Arc;

use sekisho_policy::errand::{Counts, Done, Errand, ErrandId, Work};
use tokio::sync::watch;

use self::board::{Board, Received};
pub(super) use self::door::{hear, show, take};
pub(super) use self::passing::PATH;
use self::passing::{Passed, Standby};
pub(crate) use self::undone::Undone;
use super::poll::Patience;
use super::replicas::{Holder, Replicas};
use super::reports::Reports;
use crate::problem::Problem;

/// Has errands done. Cloning shares it.
#[derive(Clone)]
pub struct Errands(Arc<Inner>);

struct Inner {
    board: Board,
    reports: Reports,
    holder: watch::Receiver<Option<Holder>>,
    /// Where there is one replica, it is the holder for good.
    _alone: Option<watch::Sender<Option<Holder>>>,
    replicas: Option<Replicas>,
    standby: Standby,
}

impl Errands {
    /// Of the only replica.
    pub fn alone(reports: Reports) -> Self {
        let (alone, holder) = watch::channel(Some(Holder::Me));
        Self::new(reports, holder, None, Some(alone))
    }

    /// Of one replica of several.
    pub fn among(
        reports: Reports,
        holder: watch::Receiver<Option<Holder>>,
        replicas: Replicas,
    ) -> Self {
        Self::new(reports, holder, Some(replicas), None)
    }

    fn new(
        reports: Reports,
        holder: watch::Receiver<Option<Holder>>,
        replicas: Option<Replicas>,
        alone: Option<watch::Sender<Option<Holder>>>,
    ) -> Self {
        Self(Arc::new(Inner {
            board: Board::default(),
            reports,
            holder,
            _alone: alone,
            replicas,
            standby: Standby::default(),
        }))
    }

    /// Has one proxy of a gateway (`namespace/name`) do something.
    pub(crate) async fn ask(&self, gateway: &str, work: Work) -> Result<Done, Undone> {
        let holder = *self.0.holder.borrow();
        match holder {
            Some(Holder::Me) => self.ask_here(gateway, work).await,
            Some(Holder::At(address)) => {
                let passed = Passed::Ask {
                    gateway: gateway.to_owned(),
                    work,
                };
                self.0.pass(address, &passed).await?
            }
            None => Err(Undone::NoHolder),
        }
    }

    /// The same at the board of this replica.
    async fn ask_here(&self, gateway: &str, work: Work) -> Result<Done, Undone> {
        let connected = self.0.reports.connected(gateway);
        // Old proxies are connected and wait for nothing; one between two polls may come back.
        if connected == 0 && !self.0.board.is_attended(gateway) {
            return Err(Undone::NobodyConnected);
        }
        match self.0.board.ask(gateway, work).await? {
            Done::Failed(why) => Err(Undone::Failed(why)),
            Done::Scores {
                counts: Counts::Alone,
                ..
            } if connected > 1 => Err(Undone::EachCountsAlone { proxies: connected }),
            done => Ok(done),
        }
    }

    /// The next errand of a gateway, for one of its proxies.
    async fn next(
        &self,
        gateway: &str,
        proxy: &str,
        patience: &Patience<'_>,
    ) -> Result<Option<Errand>, Problem> {
        let mut holder = self.0.holder.clone();
        loop {
            let now = *holder.borrow_and_update();
            let waiting = async {
                match now {
                    Some(Holder::Me) => Ok(Some(self.0.board.next(gateway, proxy).await)),
                    Some(Holder::At(address)) => {
                        let passed = self.0.pass_poll(address, gateway, proxy, patience);
                        passed.await.map_err(unreachable_holder)
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // What was handed out is not dropped.
                biased;
                found = patience.outlasts(waiting) => return found.unwrap_or(Ok(None)),
                changed = holder.changed() => if changed.is_err() {
                    return Ok(None);
                }
            }
        }
    }

    /// What a proxy says came of an errand.
    async fn answer(
        &self,
        gateway: &str,
        proxy: &str,
        id: ErrandId,
        done: Done,
    ) -> Result<Received, Problem> {
        let holder = *self.0.holder.borrow();
        match holder {
            Some(Holder::Me) => Ok(self.answer_here(gateway, proxy, id, done)),
            Some(Holder::At(address)) => {
                let passed = Passed::Answer {
                    gateway: gateway.to_owned(),
                    proxy: proxy.to_owned(),
                    id,
                    done,
                };
                self.0
                    .pass(address, &passed)
                    .await
                    .map_err(unreachable_holder)
            }
            None => Err(unreachable_holder(Undone::NoHolder)),
        }
    }

    /// The same at the board of this replica.
    async fn next_here(
        &self,
        gateway: &str,
        proxy: &str,
        patience: &Patience<'_>,
    ) -> Option<Errand> {
        patience.outlasts(self.0.board.next(gateway, proxy)).await
    }

    /// The same at the board of this replica.
    fn answer_here(&self, gateway: &str, proxy: &str, id: ErrandId, done: Done) -> Received {
        self.0.board.answer(gateway, proxy, id, done)
    }

    fn is_held_here(&self) -> bool {
        *self.0.holder.borrow() == Some(Holder::Me)
    }
}

fn unreachable_holder(_: Undone) -> Problem {
    Problem::unavailable(
        "the replica that holds the lease, where errands are, cannot be reached now",
        5,
    )
}
