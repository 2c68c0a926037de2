//! The ways out among which one is chosen for a message: the members of a pool, or the gateway's upstream.

use std::sync::Arc;

use sekisho_policy::Account;
use sekisho_policy::record::Hop;
use sekisho_policy::snapshot::Pool;
use sekisho_runtime::metrics::{MemberState, PoolMetrics, UpstreamPhase};
use tokio::time::{Instant, timeout_at};

use super::Environment;
use super::choice::{is_of_crowds, is_of_endpoint};
use super::connection::{Bond, Connection};
use super::endpoint::Endpoint;
use super::failure::{Failure, Fault};
use super::handshake::Attempt;
use super::identity::{Caller, ClientIdentity, Own};
use super::idle::Idle;
use super::lane::{Admission, Blame, Lane};
use super::oauth::Origin;
use super::outlier::Outcome;
use super::slots::{Slot, Slots};

/// Ways that are tried for one message.
const MAX_TRIES: usize = 6;

/// Ways out that are alike to the policy.
#[derive(Debug)]
pub(super) struct Group {
    /// The pool; absent for the gateway's upstream.
    pub(super) pool: Option<(Arc<str>, Pool)>,
    pub(super) exits: Vec<Exit>,
    /// Those of all exits, each once.
    pub(super) endpoints: Vec<Arc<Endpoint>>,
    pub(super) shared: GroupState,
    /// Connections at once.
    pub(super) limit: usize,
    /// Messages over one connection.
    pub(super) most_messages: u32,
    pub(super) most_idle: usize,
    pub(super) metrics: PoolMetrics,
}

/// What a group keeps when its snapshot is replaced.
#[derive(Clone, Debug)]
pub(super) struct GroupState {
    pub(super) idle: Arc<Idle>,
    pub(super) slots: Arc<Slots>,
}

/// One member, or the gateway's upstream.
#[derive(Debug)]
pub(super) struct Exit {
    pub(super) member: Option<Arc<str>>,
    /// One for each endpoint; at least one.
    pub(super) lanes: Vec<Arc<Lane>>,
    /// The share of each.
    pub(super) weights: Vec<u32>,
    /// Header fields that the relay wants, ready to send.
    pub(super) headers: Arc<[u8]>,
}

/// What a message wants of a group.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) seed: u64,
    pub(super) account: Option<Account>,
    pub(super) recipient_domain: Option<Box<str>>,
    pub(super) identity: Arc<ClientIdentity>,
    pub(super) own: Arc<Own>,
    pub(super) purpose: Purpose,
}

impl Wish {
    /// What a login of a client wants, whose name nobody has proven yet.
    pub(super) fn to_log_in(caller: &Caller) -> Self {
        Self {
            seed: caller.seed(),
            account: None,
            recipient_domain: None,
            identity: caller.identity(),
            own: Arc::clone(caller.own()),
            purpose: Purpose::Login,
        }
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Message,
    /// To ask for somebody who may be anybody.
    Login,
}

/// Whether a connection that was used before will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    Any,
    New,
}

/// A connection that may take the message.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) headers: Arc<[u8]>,
    /// It was used before, and its peer may have gone since.
    pub(super) reused: bool,
}

impl Group {
    pub(super) fn name(&self) -> Option<&str> {
        self.pool.as_ref().map(|(name, _)| &**name)
    }

    /// Whether a lane is one of this group's.
    pub(super) fn uses(&self, lane: &Arc<Lane>) -> bool {
        self.exits
            .iter()
            .flat_map(|exit| &exit.lanes)
            .any(|ours| Arc::ptr_eq(ours, lane))
    }

    /// Opens a way for a message: never one outside the group.
    ///
    /// # Errors
    /// [`Fault::NoHealthyMember`] where the pool has nobody left to try; [`Fault::Saturated`] where no connection
    /// became free in time; the last failure where the ways that were tried failed.
    pub(super) async fn open(
        &self,
        environment: &Arc<Environment>,
        wish: &Wish,
        freshness: Freshness,
        deadline: Instant,
    ) -> Result<Opened, Failure> {
        if self.pool.is_none() && wish.own.needs_login() {
            return self.open_own(environment, wish, freshness);
        }
        let mut slot = Some(self.slot(deadline).await?);
        let (mut tried, mut attempts) = (Vec::new(), 0);
        let mut last = None;
        while attempts < MAX_TRIES
            && let Some((exit, lane)) = self.next(environment, wish, &tried)
        {
            tried.push((exit, lane));
            let started = Instant::now();
            match self
                .open_lane(environment, wish, (exit, lane), freshness, deadline)
                .await
            {
                Ok(mut opened) => {
                    opened.connection.slot = slot.take();
                    return Ok(opened);
                }
                Err((failure, blame)) => {
                    let lane = &self.exits[exit].lanes[lane];
                    let excused = wish.purpose == Purpose::Login && is_of_crowds(&failure);
                    if !excused {
                        lane.failed(blame, started);
                    }
                    if !excused && is_of_endpoint(&failure, blame, started.elapsed()) {
                        self.note(lane, Outcome::Failed, Instant::now());
                    }
                    if blame == Blame::Nobody {
                        return Err(self.counted(failure));
                    }
                    if blame != Blame::Credentials {
                        attempts += 1;
                        tracing::warn!(%failure, "a next hop failed");
                    }
                    last = Some(self.counted(failure));
                }
            }
        }
        Err(match (last, &self.pool) {
            (Some(last), None) => last,
            (last, _) => self.fail(Fault::NoHealthyMember(last.map(Box::new))),
        })
    }

    /// The connection that the account logged in over: no other will do.
    fn open_own(
        &self,
        environment: &Environment,
        wish: &Wish,
        freshness: Freshness,
    ) -> Result<Opened, Failure> {
        let own = match freshness {
            Freshness::Any => wish.own.take(),
            Freshness::New => None,
        };
        own.filter(|connection| self.uses(&connection.lane))
            .and_then(|mut connection| {
                connection
                    .is_fit(u32::MAX, &environment.deadlines, Instant::now())
                    .then_some(connection)
            })
            .map(|connection| Opened {
                connection,
                headers: Arc::clone(&self.exits[0].headers),
                reused: true,
            })
            .ok_or_else(|| self.fail(Fault::LoginLost))
    }

    async fn open_lane(
        &self,
        environment: &Environment,
        wish: &Wish,
        (exit, lane): (usize, usize),
        freshness: Freshness,
        deadline: Instant,
    ) -> Result<Opened, (Failure, Blame)> {
        let exit = &self.exits[exit];
        let lane = &exit.lanes[lane];
        let hop = Hop {
            pool: self.pool.as_ref().map(|(name, _)| Arc::clone(name)),
            member: exit.member.clone(),
            address: lane.key.address.to_string(),
            from: lane.key.source,
            reply: String::new(),
        };
        let busy = lane.endpoint.occupy();
        let login = lane.login(environment, deadline).await;
        let login = login.map_err(|fault| not_admitted(&hop, fault))?;
        let attempt = Attempt {
            environment,
            metrics: &self.metrics,
            lane,
            identity: Some(&wish.identity),
            login: login.as_ref().map(|(login, _)| login),
            deadline,
            seed: wish.seed,
        };
        let idle = match freshness {
            Freshness::Any => self.reuse(environment, wish, attempt).await,
            Freshness::New => None,
        };
        let reused = idle.is_some();
        let mut connection = match idle {
            Some(connection) => connection,
            None => {
                let origin = login.as_ref().map(|(_, origin)| *origin);
                self.connect(attempt, origin, hop).await?
            }
        };
        connection.busy = Some(busy);
        Ok(Opened {
            connection,
            headers: Arc::clone(&exit.headers),
            reused,
        })
    }

    /// Makes a connection.
    async fn connect(
        &self,
        attempt: Attempt<'_>,
        origin: Option<Origin>,
        hop: Hop,
    ) -> Result<Connection, (Failure, Blame)> {
        let idle = &self.shared.idle;
        idle.make_room(|idle| self.shared.slots.have_room_for(idle));
        let lane = attempt.lane;
        let started = Instant::now();
        let mut connected = attempt.connect(hop.clone()).await;
        if let Err((failure, _)) = &connected
            && matches!(failure.cause(), Fault::LoginRefused(_))
            && let (Admission::OAuth(oauth), Some(refused)) = (&lane.key.admission, attempt.login)
            && origin == Some(Origin::Kept)
        {
            // The token may have been withdrawn before its time.
            attempt.environment.tokens.refused(oauth, refused).await;
            let login = lane.login(attempt.environment, attempt.deadline).await;
            let login = login.map_err(|fault| not_admitted(&hop, fault))?;
            let again = Attempt {
                login: login.as_ref().map(|(login, _)| login),
                ..attempt
            };
            connected = again.connect(hop).await;
        }
        let connection = connected?;
        lane.endpoint.took(started.elapsed());
        lane.succeeded();
        self.note(lane, Outcome::Served, Instant::now());
        Ok(connection)
    }

    /// A connection of this lane that is still good: the session's own, else one from the idle ones.
    async fn reuse(
        &self,
        environment: &Environment,
        wish: &Wish,
        attempt: Attempt<'_>,
    ) -> Option<Connection> {
        let deadlines = &environment.deadlines;
        if let Some(mut own) = wish.own.take_on(attempt.lane)
            && own.is_fit(self.most_messages, deadlines, Instant::now())
        {
            return Some(own);
        }
        while let Some(mut connection) = self.shared.idle.take(attempt.lane) {
            if connection.login.as_ref() == attempt.login
                && connection.is_fit(self.most_messages, deadlines, Instant::now())
                && attempt.introduce_again(&mut connection).await.is_ok()
            {
                connection.hop.reply.clear();
                return Some(connection);
            }
        }
        None
    }

    /// How each of the pool's members is at `now`; of the gateway's upstream, each endpoint.
    pub(super) fn members(
        &self,
        environment: &Environment,
        now: Instant,
        note: &mut dyn FnMut(MemberState),
    ) {
        let credentials = &*environment.credentials;
        let state = |lanes: &[Arc<Lane>]| {
            if lanes.iter().all(|lane| lane.lacks_secret(credentials)) {
                MemberState::CredentialsPending
            } else if lanes.iter().any(|lane| lane.is_good(now, credentials)) {
                MemberState::Healthy
            } else if lanes.iter().any(|lane| lane.is_ejected(now)) {
                MemberState::Ejected
            } else {
                MemberState::Resting
            }
        };
        match &self.pool {
            None => {
                let lanes = self.exits.iter().flat_map(|exit| &exit.lanes);
                lanes.for_each(|lane| note(state(std::slice::from_ref(lane))));
            }
            Some((_, pool)) => {
                for (member, exit) in pool.members.iter().zip(&self.exits) {
                    note(match member.weight {
                        0 => MemberState::Unused,
                        _ => state(&exit.lanes),
                    });
                }
            }
        }
    }

    async fn slot(&self, deadline: Instant) -> Result<Slot, Failure> {
        timeout_at(deadline, self.shared.slots.take())
            .await
            .map_err(|_| self.fail(Fault::Saturated))
    }

    /// Takes a connection back when its message is over.
    pub(super) fn give_back(
        &self,
        environment: &Environment,
        own: &Own,
        mut connection: Connection,
    ) {
        connection.wire.rest();
        connection.busy = None;
        match connection.bond {
            Bond::OneMessage => connection.wire.say_goodbye(),
            Bond::OneCaller => own.keep(connection),
            Bond::Anyone if connection.messages >= self.most_messages => {
                connection.wire.say_goodbye()
            }
            Bond::Anyone => {
                // In this order: whoever waits for the slot finds the connection.
                let slot = connection.slot.take();
                self.shared
                    .idle
                    .put(connection, self.most_idle, environment.deadlines.idle);
                drop(slot);
            }
        }
    }

    /// A failure of the group as a whole, counted.
    pub(super) fn fail(&self, fault: Fault) -> Failure {
        self.counted(Failure::nowhere(self.name(), fault))
    }

    pub(super) fn counted(&self, failure: Failure) -> Failure {
        if let Some(error) = failure.metric() {
            self.metrics.failed(error);
        }
        failure
    }
}

fn not_admitted(hop: &Hop, fault: Fault) -> (Failure, Blame) {
    let blame = match fault {
        Fault::Deadline => Blame::Nobody,
        _ => Blame::Credentials,
    };
    (Failure::at(hop.clone(), UpstreamPhase::Auth, fault), blame)
}
