//! Seam 1: the only thing that crosses from control to data plane.
//!
//! Canonical JSON: integers only, keys sorted, lists in a defined order; equal objects give equal bytes and one digest.
//! No limiter, cache, clock or secret value inside; secrets are named. A rule of an unknown kind is refused
//! by [`crate::Ruleset::load`]; an unknown field is a description and is ignored.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::decision::Class;
use crate::event::Country;
use crate::expr::Expr;
use crate::time::Millis;

/// The schema of the body that this version writes. Control serves it and the one before.
pub const SCHEMA: u32 = 1;

/// A snapshot on its way: the body and what names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Grows with each change: the larger of last + 1 and the time in milliseconds.
    pub generation: u64,
    /// SHA-256 of the canonical body, in lower-case hex.
    pub digest: String,
    /// The body.
    pub snapshot: Snapshot,
}

/// One gateway's complete configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// The checkpoint itself.
    pub gateway: Gateway,
    /// The rules in evaluation order.
    pub rules: Vec<Rule>,
    /// The pools that routes name, by name.
    pub pools: BTreeMap<String, Pool>,
}

/// The object that a rule, a finding or a counter came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectRef {
    /// `RateLimit/default/per-account`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

/// The kinds of objects that can be at work in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the kind of that name")]
pub enum Kind {
    MailGateway,
    SubmissionPolicy,
    CountryRule,
    RateLimit,
    LoginGuard,
    EgressPool,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a rule's opinion does.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Enforcement {
    /// It acts.
    #[default]
    Enforce,
    /// It is decided and recorded, and lets pass.
    Shadow,
    /// It is not looked at.
    Off,
}

/// Whether a rule that refuses too many known-good sessions falls back to `Shadow`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum Brake {
    #[default]
    Default,
    Off,
}

/// One rule and the object it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Where it came from.
    pub object: ObjectRef,
    /// What its opinion does.
    pub enforcement: Enforcement,
    /// Whether the brake watches it.
    pub brake: Brake,
    /// To what it applies.
    #[serde(
        rename = "match",
        default,
        skip_serializing_if = "Match::is_everything"
    )]
    pub applies: Match,
    /// What it asks.
    #[serde(flatten)]
    pub spec: RuleSpec,
}

/// To what a rule applies: all that is given must hold; an empty list asks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Match {
    /// Globs over canonical account names: `*` any run of characters, `?` one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<String>,
    /// The source lies in one of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<IpNet>,
    /// The source's country is one of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<Country>,
    /// The listener is one of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
    /// The lowered CEL expression is true. Something not known at a stage is neither true nor false: the rule does not apply there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
}

impl Match {
    /// Whether it asks nothing.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// The kinds of rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", content = "spec")]
pub enum RuleSpec {
    /// What every message must keep to.
    SubmissionPolicy(SubmissionPolicy),
    /// What a source country changes.
    CountryRule(CountryRule),
    /// Never more than N in W.
    RateLimit(RateLimit),
    /// Password errors.
    LoginGuard(LoginGuard),
}

// ---- SubmissionPolicy ----

/// What every message must keep to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionPolicy {
    /// Largest message in octets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    /// Most recipients of one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_recipients: Option<u32>,
    /// Most addresses in To and Cc together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_visible_recipients: Option<u32>,
    /// What happens to a bare CR or LF in a message.
    pub bare_newlines: BareNewlines,
    /// Whether the envelope sender must be the account's.
    pub envelope_sender: SenderCheck,
    /// Whether the header From must be the account's.
    pub header_sender: SenderCheck,
    /// Further addresses of accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Alias>,
    /// What DNS must say of recipients' domains.
    pub recipient_domains: RecipientDomains,
    /// Extensions of attachments that are refused, in lower case without the dot, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked_extensions: Vec<String>,
    /// How messages are classified; absent means `Unclassified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classify: Option<Classify>,
    /// Where each class goes; a class without an entry goes to the gateway's upstream.
    #[serde(default)]
    pub route: BTreeMap<Class, RouteTo>,
}

/// What happens to a bare CR or LF in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum BareNewlines {
    #[default]
    Normalize,
    Reject,
}

/// Whether a sender address must belong to the account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum SenderCheck {
    #[default]
    Any,
    MustMatchAccount,
}

/// Addresses that an account may use beside its own name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// The account, or a glob over accounts.
    pub account: String,
    /// Addresses; `*@domain` is any local part there.
    pub addresses: Vec<String>,
}

/// What DNS must say of recipients' domains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum RecipientDomains {
    #[default]
    Any,
    MustResolve,
}

/// The policy's own classification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Classify {
    /// Patterns over header fields.
    pub rules: Vec<ContentRule>,
    /// The score from which a message is `Suspect`, in thousandths.
    pub suspect_at: i64,
    /// The score from which a message is `Spam`, in thousandths.
    pub spam_at: i64,
}

/// One pattern over one header field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentRule {
    /// Its name within the policy.
    pub name: String,
    /// The header field.
    pub header: String,
    /// The regular expression.
    pub matches: String,
    /// What a match adds, in thousandths.
    pub score: i64,
}

/// Where a class goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteTo {
    /// A pool of this snapshot.
    Pool(String),
    /// Refused.
    Reject,
}

// ---- CountryRule ----

/// What a source country changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CountryRule {
    /// Which sources it is about; `abroad` is already lowered to `Except(home)`.
    pub from: From,
    /// Whom it does not refuse (limits and signals still count them).
    #[serde(default)]
    pub exempt: Exempt,
    /// Whether logins from there are refused.
    pub login: LoginFrom,
    /// Whether envelope and header senders must be the account's.
    pub sender: SenderCheck,
    /// Most recipients of one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients_per_message: Option<u32>,
    /// Limits by account, for what comes from there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// The best class that a message from there can have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_at_least: Option<Class>,
}

/// A set of source countries. An unknown country is in `Unknown` only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum From {
    /// One of these.
    Countries(Vec<Country>),
    /// A known country that is none of these.
    Except(Vec<Country>),
    /// No country is known.
    Unknown,
}

/// Whom a rule does not refuse.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Exempt {
    /// Source networks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<IpNet>,
    /// Autonomous systems.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asns: Vec<u32>,
    /// Suffixes of forward-confirmed reverse names, matched at a label boundary, in lower case with a leading dot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reverse_names: Vec<String>,
    /// Globs over accounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<String>,
}

/// Whether logins are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum LoginFrom {
    #[default]
    Allow,
    Refuse,
}

// ---- RateLimit ----

/// Never more than `count` in any `per`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// What is counted apart; several make a tuple.
    pub key: Vec<KeyPart>,
    /// The limits.
    pub limits: Vec<Limit>,
    /// Other limits for some; the first whose match holds replaces `limits`. They share the rule's tallies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// What being over a limit means.
    pub on_exceed: OnExceed,
    /// What it means that counters do not answer.
    pub on_unavailable: OnCountersUnavailable,
}

/// One part of a limit's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KeyPart {
    /// The authenticated account; without one the rule does not apply.
    Account,
    /// The source address.
    Source,
    /// Its /24 or /64.
    SourcePrefix,
    /// Its autonomous system; unknown ones share one tally.
    Asn,
    /// Its country; unknown ones share one tally.
    Country,
    /// The envelope sender's domain.
    SenderDomain,
    /// The recipient's domain (unit Recipients only).
    RecipientDomain,
    /// One tally for the gateway.
    Gateway,
}

/// `count` units in any `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What is counted.
    pub unit: Unit,
    /// The most that any window may hold.
    pub count: u64,
    /// The window.
    pub per: Millis,
}

/// What limits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// Messages that the next hop took.
    Messages,
    /// Recipients, charged at RCPT.
    Recipients,
    /// Octets of messages that the next hop took.
    Bytes,
    /// Connections.
    Connections,
    /// Login attempts; they never come back.
    Attempts,
}

/// Other limits for some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Its name within the rule.
    pub name: String,
    /// For whom.
    #[serde(rename = "match")]
    pub applies: Match,
    /// The limits instead.
    pub limits: Vec<Limit>,
}

/// What being over a limit means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum OnExceed {
    #[default]
    Defer,
    Reject,
    RouteSuspect,
    RouteSpam,
}

/// What it means that counters do not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnCountersUnavailable {
    /// This proxy's own counters decide; where they are the ones that fail, as `Allow`.
    #[default]
    LocalOnly,
    /// 451 4.3.0.
    Defer,
    /// Let pass.
    Allow,
}

// ---- LoginGuard ----

/// Password errors by account, by source and by both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginGuard {
    /// Distinct wrong passwords of one account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_account: Option<PerAccount>,
    /// Distinct accounts and pairs of one source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_source: Option<PerSource>,
    /// Failures of one account from one source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_account_and_source: Option<PerPair>,
    /// Each further lock lasts so many times longer.
    pub lock_growth: u32,
    /// No lock is longer.
    pub max_lock: Millis,
    /// When a network becomes known good, and for how long.
    pub known_good: KnownGood,
    /// Accounts that nobody honest uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoys: Option<Decoys>,
}

/// Distinct wrong passwords of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PerAccount {
    /// So many distinct passwords lock.
    pub distinct_passwords: u64,
    /// Within this time.
    pub per: Millis,
    /// For so long.
    pub lock: Millis,
}

/// Distinct accounts and (account, password) pairs of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PerSource {
    /// So many distinct accounts with a wrong password lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distinct_accounts: Option<u64>,
    /// So many distinct (account, wrong password) pairs lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_pairs: Option<u64>,
    /// Within this time.
    pub per: Millis,
    /// For so long.
    pub lock: Millis,
    /// How much of an IPv4 address makes a source, in bits.
    pub ipv4_prefix: u8,
    /// How much of an IPv6 address makes a source, in bits.
    pub ipv6_prefix: u8,
}

/// Failures of one account from one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerPair {
    /// So many failures lock.
    pub failures: u64,
    /// Within this time.
    pub per: Millis,
    /// For so long.
    pub lock: Millis,
}

/// When a network becomes known good for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownGood {
    /// Good logins on so many different days.
    pub after_days: u64,
    /// A day counts for so long.
    pub keep: Millis,
}

impl Default for KnownGood {
    /// Three days, kept for thirty; what the brake uses where no `LoginGuard` applies.
    fn default() -> Self {
        Self {
            after_days: 3,
            keep: Millis(30 * Millis::DAY.0),
        }
    }
}

/// Accounts that nobody honest uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoys {
    /// Canonical names.
    pub accounts: Vec<String>,
    /// What touching one does.
    pub action: DecoyAction,
}

/// What touching a decoy does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecoyAction {
    /// It is recorded as a signal.
    #[default]
    Points,
    /// It locks the source, as `perSource.lock` says.
    LockSource,
}

// ---- EgressPool ----

/// Addresses that mail leaves from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// Where it came from.
    pub object: ObjectRef,
    /// At least one.
    pub members: Vec<Member>,
    /// Connections at once from this proxy.
    pub max_connections: u32,
    /// Messages over one connection before it is closed.
    pub messages_per_connection: u32,
    /// Most messages in any window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Limit>,
    /// How a member is chosen.
    pub selection: Selection,
}

/// One way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Its name within the pool.
    pub name: String,
    /// The local address that connections leave from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_address: Option<IpAddr>,
    /// What it says in EHLO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helo_name: Option<String>,
    /// Its share of the pool's messages; zero takes none.
    pub weight: u32,
    /// The relay; absent is the gateway's upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<Relay>,
}

/// A next hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// Where it listens.
    pub address: HostPort,
    /// Whether TLS is used.
    pub tls: UpstreamTls,
    /// Header fields added to each message.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// How a pool's member is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum Selection {
    #[default]
    Weighted,
    StickyByAccount,
    StickyByRecipientDomain,
}

/// A host name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostPort {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

// ---- MailGateway ----

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// Where it came from.
    pub object: ObjectRef,
    /// Where clients come in.
    pub listeners: Vec<Listener>,
    /// Who may.
    pub authentication: Authentication,
    /// The default next hop.
    pub upstream: Upstream,
    /// Which countries are home.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub home: Vec<Country>,
    /// Everything from the end of the client's data to the final dot at the next hop.
    pub after_data: Millis,
    /// What failures of dependencies mean.
    pub on_unavailable: OnUnavailable,
    /// What records and headers show of people.
    pub privacy: Privacy,
    /// Path of a MaxMind-format country database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country_database: Option<String>,
    /// Path of a MaxMind-format ASN database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn_database: Option<String>,
}

/// Where clients come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Its name within the gateway.
    pub name: String,
    /// TCP port.
    pub port: u16,
    /// How TLS begins.
    pub tls: ListenerTls,
    /// Secrets that hold certificates, by name; none means a self-signed one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
    /// Networks that must, and alone may, begin with a PROXY header; absent means that none may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_from: Option<Vec<IpNet>>,
    /// Networks that may use XCLIENT.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xclient_from: Vec<IpNet>,
}

/// How TLS begins on a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum ListenerTls {
    #[default]
    StartTls,
    Implicit,
    Off,
}

/// Who may send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Authentication {
    /// Whether MAIL needs a login.
    pub requirement: Requirement,
    /// Asked in order.
    pub backends: Vec<AuthBackend>,
    /// Offered mechanisms.
    pub mechanisms: Vec<Mechanism>,
    /// Added to logins without a domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_domain: Option<String>,
}

/// Whether MAIL needs a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum Requirement {
    #[default]
    Required,
    Optional,
}

/// Where passwords are checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AuthBackend {
    /// The upstream MTA is asked.
    Upstream,
    /// A file of `account:hash` lines at this path.
    AccountsFile(String),
}

/// SASL mechanisms of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the mechanisms' names")]
#[serde(rename_all = "UPPERCASE")]
pub enum Mechanism {
    Plain,
    Login,
}

/// The default next hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upstream {
    /// At least one, tried in order of health.
    pub endpoints: Vec<HostPort>,
    /// Whether TLS is used.
    pub tls: UpstreamTls,
    /// How the client's identity is passed on.
    pub client_identity: ClientIdentity,
    /// When recipients are asked of the next hop.
    pub recipient_check: RecipientCheck,
}

/// Whether TLS is used towards a next hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpstreamTls {
    /// Never.
    Off,
    /// Where offered, without verification (RFC 7435).
    #[default]
    Opportunistic,
    /// Always, verified by name.
    Required,
}

/// How the client's identity is passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum ClientIdentity {
    #[default]
    None,
    Xclient,
    ProxyV2,
}

/// When recipients are asked of the next hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecipientCheck {
    /// At RCPT, of an open transaction.
    #[default]
    AtRcpt,
    /// At the end of the message; RCPT is answered by the proxy.
    AtEnd,
}

/// What failures of dependencies mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnUnavailable {
    /// Configuration that can no longer be read.
    pub config: OnConfigUnavailable,
    /// A message that could not be examined.
    pub message: OnMessageUnexamined,
}

/// What it means that configuration can no longer be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnConfigUnavailable {
    /// The last rules stay in force.
    #[default]
    Keep,
    /// They only observe.
    Shadow,
    /// New transactions get 451.
    Refuse,
}

/// What becomes of a message that could not be examined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnMessageUnexamined {
    /// Its class stays.
    RouteClean,
    /// It is at least suspect.
    #[default]
    RouteSuspect,
    /// It is spam.
    RouteSpam,
    /// 451 4.3.0.
    Defer,
}

/// What records and headers show of people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Privacy {
    /// Recipients in records.
    pub recipients: RecipientPrivacy,
    /// The client's address in the Received field.
    pub client_address_in_received: ReceivedPrivacy,
}

/// Recipients in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecipientPrivacy {
    /// The local part as a keyed hash.
    #[default]
    Hashed,
    /// As they are.
    Plain,
}

/// The client's address in the Received field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum ReceivedPrivacy {
    #[default]
    Include,
    Omit,
}
