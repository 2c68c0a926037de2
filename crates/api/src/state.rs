//! What every resource draws from.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sekisho_policy::errand::Bounced;
use sekisho_policy::watch::Score;
use sekisho_policy::{Account, ObjectRef, Report};
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
    fn scores<'a>(&'a self, namespace: &'a str, account: &'a Account) -> Answer<'a, Points>;

    /// Recipients of a message, or of messages that nobody names, that came by the gateway `namespace/name` turned out not to exist:
    /// how many of them were not known of yet; `None` if there is no such gateway.
    fn bounced<'a>(
        &'a self,
        gateway: &'a str,
        account: &'a Account,
        count: u64,
        of: Option<Bounced>,
    ) -> Answer<'a, Result<Option<u64>, Unanswered>>;
}

/// What speaks against an account, as far as that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Points {
    pub known: Vec<Tallied>,
    /// Why there may be more, where there may.
    pub unknown: Option<String>,
}

/// The points of an account under one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tallied {
    /// Where gateways count each for itself: which one (`namespace/name`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    #[serde(flatten)]
    pub score: Score,
}

/// The data plane did not say that it did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    pub why: String,
    /// It may have done it all the same.
    pub may_be_done: bool,
}

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
