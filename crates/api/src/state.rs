//! What every resource draws from.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sekisho_policy::watch::Score;
use sekisho_policy::{Account, DecisionId, ObjectRef, Report};
use sekisho_runtime::{Clock, Health, Metrics, Shutdown};
use sekisho_store::{AccountStates, Store};
use serde::Serialize;

use crate::access::Access;
use crate::configs::Configs;
use crate::inbox::Inbox;
use crate::tally::Tally;

/// What the process hands to the server.
pub struct Sources {
    pub clock: Clock,
    pub metrics: Metrics,
    pub health: Health,
    pub shutdown: Shutdown,
    pub configs: Configs,
    /// The ledger; without one there are no records to be read.
    pub store: Option<Store>,
    /// What accounts may not do now, where that is kept.
    pub accounts: Option<AccountStates>,
    pub tally: Tally,
    pub running: Arc<dyn Running>,
    /// The messages at the built-in relays, where there are any.
    pub inbox: Option<Inbox>,
    /// A shell command that sends a first message.
    pub first_message: Option<String>,
}

/// An answer that takes a moment.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the data plane can say of itself.
pub trait Running: Send + Sync {
    /// How each gateway does now.
    fn gateways(&self) -> Answer<'_, Vec<RunningGateway>>;

    /// Puts a rule that its brake holds in shadow back in force; the gateways (`namespace/name`) on which it was held.
    fn reset_brake<'a>(&'a self, rule: &'a ObjectRef) -> Answer<'a, Result<Vec<String>, NotHere>>;

    /// What speaks against an account of a namespace, under each AbuseRule.
    fn scores<'a>(
        &'a self,
        _namespace: &'a str,
        _account: &'a Account,
    ) -> Answer<'a, Result<Vec<Score>, NotHere>> {
        Box::pin(async { Err(NotHere(ELSEWHERE)) })
    }

    /// Recipients of a message, or of messages that nobody names, that came by the gateway `namespace/name` turned out not to exist:
    /// how many of them were not known of yet; `None` if there is no such gateway.
    fn bounced<'a>(
        &'a self,
        _gateway: &'a str,
        _account: &'a Account,
        _count: u64,
        _of: Option<Bounced>,
    ) -> Answer<'a, Result<Option<u64>, NotHere>> {
        Box::pin(async { Err(NotHere(ELSEWHERE)) })
    }
}

/// A message that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounced {
    pub id: DecisionId,
    /// How many it went to: no more of them can turn out not to exist, however often that is reported.
    pub recipients: u64,
}

/// What a control plane says whose proxies are other processes.
const ELSEWHERE: &str = "signals and points are counted by the proxies, which are not in this process; in a cluster this is not available yet";

/// Something that this process cannot do, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotHere(pub &'static str);

/// One gateway as it runs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningGateway {
    /// `namespace/name`.
    pub name: String,
    pub listeners: Vec<RunningListener>,
    /// Rules that the brake holds in shadow.
    pub tripped: Vec<ObjectRef>,
    /// What its proxies said last, by their names; `None` where the gateway runs in this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxies: Option<BTreeMap<String, Arc<Report>>>,
}

/// One listener as it runs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningListener {
    pub name: String,
    /// Where it listens.
    pub address: String,
    pub open_sessions: u64,
}

/// The state behind the routes; cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) sources: Sources,
    pub(crate) access: Access,
}

impl App {
    pub(crate) fn new(sources: Sources, access: Access) -> Self {
        Self(Arc::new(Inner { sources, access }))
    }
}

impl std::ops::Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl std::ops::Deref for Inner {
    type Target = Sources;
    fn deref(&self) -> &Sources {
        &self.sources
    }
}
