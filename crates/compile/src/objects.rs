//! Objects as `compile` takes them, from files or from a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use sekisho_crd::{
    AbuseRuleSpec, CountryRuleSpec, EgressPoolSpec, Kind, LoginGuardSpec, MailGatewaySpec,
    NotificationChannelSpec, RateLimitSpec, SubmissionPolicySpec,
};
use serde::Serialize;

use crate::diagnostic::Position;
use crate::files::Node;
use crate::path::FieldPath;

/// What a message calls an object. The kind can be any, so that one that is misspelt can be named too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ObjectName {
    /// `kind`.
    pub kind: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectName {
    /// Names an object.
    pub fn new(
        kind: impl Into<String>,
        namespace: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self {
            kind: kind.into(),
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectName {
    /// `Kind/name`, with the namespace between them where it is not `default`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "default" => write!(f, "{}/{}", self.kind, self.name),
            namespace => write!(f, "{}/{namespace}/{}", self.kind, self.name),
        }
    }
}

/// What names an object within its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectKey {
    /// The key of `namespace/name`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// The file that an object was read from, so that later findings can still say where.
#[derive(Debug, Clone)]
pub struct Origin {
    pub(crate) file: Arc<str>,
    pub(crate) document: Arc<Node>,
}

impl Origin {
    /// Where `field` is, or the nearest thing above it that was written.
    pub fn position(&self, field: &FieldPath) -> Position {
        let mark = self.document.mark_of(field);
        Position {
            file: Arc::clone(&self.file),
            line: mark.line,
            column: mark.column,
        }
    }
}

/// Whether an object can be compiled.
#[derive(Debug, Clone, PartialEq)]
pub enum State<S> {
    /// It passed the checks of the API server.
    Valid(Box<S>),
    /// It did not; it keeps the rules that it had in the last snapshot.
    Invalid,
}

/// One object.
#[derive(Debug, Clone)]
pub struct Object<S> {
    /// `metadata.creationTimestamp` (RFC 3339, UTC), where there is one. The oldest wins where one applies.
    pub created: Option<String>,
    /// What it says.
    pub state: State<S>,
    /// The file that it came from.
    pub origin: Option<Origin>,
}

impl<S> Object<S> {
    /// A valid object that came from no file.
    pub fn valid(spec: S) -> Self {
        Self {
            created: None,
            state: State::Valid(Box::new(spec)),
            origin: None,
        }
    }

    /// What it says, if it is valid.
    pub fn spec(&self) -> Option<&S> {
        match &self.state {
            State::Valid(spec) => Some(spec),
            State::Invalid => None,
        }
    }

    /// Where `field` is in its file.
    pub fn position(&self, field: &FieldPath) -> Option<Position> {
        self.origin.as_ref().map(|origin| origin.position(field))
    }
}

/// The objects of one kind.
pub type Table<S> = BTreeMap<ObjectKey, Object<S>>;

/// Whether every object that exists was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Completeness {
    /// An object that is not here was deleted.
    #[default]
    Complete,
    /// Something could not be read far enough to say which object it is, so an object that is not here keeps its rules.
    Partial,
}

/// What a Secret has, without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretKeys {
    /// The keys whose values are not empty.
    These(BTreeSet<String>),
    /// It exists, and could not be read.
    Unread,
}

impl SecretKeys {
    /// Whether it surely lacks a key.
    pub fn lacks(&self, key: &str) -> bool {
        matches!(self, Self::These(keys) if !keys.contains(key))
    }
}

/// Where the gateways run, as far as it matters to what objects may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Platform {
    /// Not known, as when files are checked before they are put anywhere: what is good on one platform is good.
    #[default]
    Any,
    /// Pods of a Kubernetes cluster, each gateway in its own.
    Cluster,
    /// One process beside the files that it reads.
    Standalone,
}

/// Everything that a snapshot is made from.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// The gateways.
    pub gateways: Table<MailGatewaySpec>,
    /// The policies.
    pub submission_policies: Table<SubmissionPolicySpec>,
    /// The country rules.
    pub country_rules: Table<CountryRuleSpec>,
    /// The limits.
    pub rate_limits: Table<RateLimitSpec>,
    /// The login guards.
    pub login_guards: Table<LoginGuardSpec>,
    /// The abuse rules.
    pub abuse_rules: Table<AbuseRuleSpec>,
    /// The channels.
    pub notification_channels: Table<NotificationChannelSpec>,
    /// The pools.
    pub egress_pools: Table<EgressPoolSpec>,
    /// The Secrets that exist. Their values never come here.
    pub secrets: BTreeMap<ObjectKey, SecretKeys>,
    /// Whether every object that exists was read.
    pub completeness: Completeness,
    /// Where the gateways run.
    pub platform: Platform,
    /// The addresses of the cluster's own nodes and pods, from which no client's own address can be told. They go into
    /// the snapshot of every gateway; empty outside of clusters.
    pub cluster_networks: Vec<IpNet>,
    /// Whether somebody tells channels of restrictions.
    pub messenger: Messenger,
}

/// Whether whoever runs the gateways tells channels of restrictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Messenger {
    /// Yes.
    #[default]
    There,
    /// No: messages wait in the store of account states, and there is none.
    NoStore,
}

/// The spec of one of the kinds.
pub trait Spec: Sized + 'static {
    /// Its kind.
    const KIND: Kind;

    /// The objects of this kind.
    fn table(objects: &Objects) -> &Table<Self>;

    /// The objects of this kind, to be changed.
    fn table_mut(objects: &mut Objects) -> &mut Table<Self>;
}

macro_rules! spec {
    ($($type:ty, $kind:ident, $table:ident;)*) => {$(
        impl Spec for $type {
            const KIND: Kind = Kind::$kind;

            fn table(objects: &Objects) -> &Table<Self> {
                &objects.$table
            }

            fn table_mut(objects: &mut Objects) -> &mut Table<Self> {
                &mut objects.$table
            }
        }
    )*};
}

spec! {
    MailGatewaySpec, MailGateway, gateways;
    SubmissionPolicySpec, SubmissionPolicy, submission_policies;
    CountryRuleSpec, CountryRule, country_rules;
    RateLimitSpec, RateLimit, rate_limits;
    LoginGuardSpec, LoginGuard, login_guards;
    EgressPoolSpec, EgressPool, egress_pools;
    AbuseRuleSpec, AbuseRule, abuse_rules;
    NotificationChannelSpec, NotificationChannel, notification_channels;
}

impl Objects {
    /// Adds an object, in the place of one with the same kind and key.
    pub fn insert<S: Spec>(&mut self, key: ObjectKey, object: Object<S>) {
        S::table_mut(self).insert(key, object);
    }

    /// Removes an object that was deleted. Says whether it was there.
    pub fn remove(&mut self, kind: Kind, key: &ObjectKey) -> bool {
        match kind {
            Kind::MailGateway => self.gateways.remove(key).is_some(),
            Kind::SubmissionPolicy => self.submission_policies.remove(key).is_some(),
            Kind::CountryRule => self.country_rules.remove(key).is_some(),
            Kind::RateLimit => self.rate_limits.remove(key).is_some(),
            Kind::LoginGuard => self.login_guards.remove(key).is_some(),
            Kind::EgressPool => self.egress_pools.remove(key).is_some(),
            Kind::AbuseRule => self.abuse_rules.remove(key).is_some(),
            Kind::NotificationChannel => self.notification_channels.remove(key).is_some(),
        }
    }

    /// Whether there is no object of any kind. Secrets do not count.
    pub fn is_empty(&self) -> bool {
        self.gateways.is_empty()
            && self.submission_policies.is_empty()
            && self.country_rules.is_empty()
            && self.rate_limits.is_empty()
            && self.login_guards.is_empty()
            && self.egress_pools.is_empty()
            && self.abuse_rules.is_empty()
            && self.notification_channels.is_empty()
    }
}

/// What a message calls the object `key` of the kind of `S`.
pub(crate) fn name_of<S: Spec>(key: &ObjectKey) -> ObjectName {
    ObjectName::new(S::KIND.as_str(), &key.namespace, &key.name)
}
