//! A [`PolicyTest`](super::PolicyTest) as it is written, and what its defaults fill in.

use std::collections::BTreeMap;

use sekisho_policy::Opinion;
use sekisho_policy::event::{BeforeGreeting, DomainStanding, Network};
use sekisho_policy::opinion::{EngineFault, EngineVerdict};
use sekisho_policy::settings::{Filtering, LoginsFromAbroad};
use sekisho_policy::snapshot::Unit;
use serde::Deserialize;

use super::{Domain, Expect, Outage, Password};

#[derive(Debug, Deserialize)]
pub(in crate::files) struct RawTest {
    pub(super) gateway: Option<String>,
    #[serde(default)]
    pub(super) defaults: RawAct,
    pub(super) cases: Vec<RawCase>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawCase {
    pub(super) name: String,
    pub(super) at: Option<String>,
    pub(super) steps: Vec<RawStep>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawStep {
    pub(super) wait: Option<String>,
    pub(super) connect: Option<RawAct>,
    pub(super) login: Option<RawAct>,
    pub(super) send: Option<Box<RawAct>>,
    pub(super) expect: Option<Expect>,
}

/// Every field that an act can have; the schema says which has which.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawAct {
    pub(super) account: Option<String>,
    pub(super) listener: Option<String>,
    pub(super) source: Option<String>,
    pub(super) country: Option<String>,
    pub(super) asn: Option<u32>,
    pub(super) reverse_names: Option<Vec<String>>,
    pub(super) network: Option<Network>,
    pub(super) settings: Option<RawSettings>,
    pub(super) helo: Option<String>,
    pub(super) before_greeting: Option<BeforeGreeting>,
    pub(super) outages: Option<Vec<Outage>>,
    pub(super) repeat: Option<u32>,
    pub(super) every: Option<String>,
    pub(super) password: Password,
    pub(super) sender: Option<String>,
    pub(super) to: Vec<String>,
    pub(super) message: Option<String>,
    pub(super) header: BTreeMap<String, String>,
    pub(super) body: Option<String>,
    pub(super) attachments: Vec<String>,
    pub(super) size: Option<String>,
    pub(super) domains: BTreeMap<String, RawDomain>,
    pub(super) engines: Option<Vec<RawOpinion>>,
}

/// What the account has set; windows are written as in rules.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawSettings {
    pub(super) logins_from_abroad: Option<LoginsFromAbroad>,
    pub(super) classification: Option<Filtering>,
    pub(super) limits: Vec<RawOwnLimit>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct RawOwnLimit {
    pub(super) rule: String,
    pub(super) unit: Unit,
    pub(super) count: u64,
    pub(super) per: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) enum RawDomain {
    Resolves,
    Missing,
    NullMx,
    Unavailable,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct RawOpinion {
    pub(super) score: Option<f64>,
    pub(super) verdict: Option<EngineVerdict>,
    #[serde(default)]
    pub(super) symbols: BTreeMap<String, f64>,
    pub(super) fault: Option<RawFault>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) enum RawFault {
    Timeout,
    Busy,
    Refused,
    Broken,
    BadAnswer,
    Out,
}

impl RawDomain {
    pub(super) fn domain(self) -> Domain {
        match self {
            Self::Resolves => Domain::Standing(DomainStanding::Resolves),
            Self::Missing => Domain::Standing(DomainStanding::Missing),
            Self::NullMx => Domain::Standing(DomainStanding::NullMx),
            Self::Unavailable => Domain::Unavailable,
        }
    }
}

impl RawFault {
    pub(super) fn opinion(self) -> Opinion {
        match self {
            Self::Out => Opinion::Out,
            Self::Timeout => Opinion::Failed(EngineFault::Timeout),
            Self::Busy => Opinion::Failed(EngineFault::Busy),
            Self::Refused => Opinion::Failed(EngineFault::Refused),
            Self::Broken => Opinion::Failed(EngineFault::Broken),
            Self::BadAnswer => Opinion::Failed(EngineFault::BadAnswer),
        }
    }
}
