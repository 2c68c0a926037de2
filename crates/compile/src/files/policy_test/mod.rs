//! `PolicyTest`, a kind of files alone: events, and what the rules beside them are expected to make of them. `sekisho test`
//! runs its cases; to everything else it only has a structure. No cluster has it.

mod expand;
mod moment;
mod raw;
mod read;
mod schema;

use std::collections::BTreeMap;
use std::path::PathBuf;

use sekisho_policy::event::{BeforeGreeting, Country, DomainStanding, Network, StageName};
use sekisho_policy::{Class, Millis, Opinion, Settings, Timestamp};
use serde::Deserialize;

pub use expand::numbered;
pub(super) use read::read;
pub(super) use schema::schema;

use crate::diagnostic::Position;
use crate::objects::ObjectKey;

/// Cases for one gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyTest {
    /// Its name; the gateway and all rules that the cases name are of this namespace.
    pub key: ObjectKey,
    /// The gateway's name; where there is one alone it need not be said.
    pub gateway: Option<String>,
    /// The cases. Each begins with counters that are empty.
    pub cases: Vec<TestCase>,
}

/// What happens, one thing after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct TestCase {
    /// What it shows.
    pub name: String,
    /// When it begins.
    pub at: Timestamp,
    /// What happens.
    pub steps: Vec<TestStep>,
    /// Where it was written.
    pub position: Option<Position>,
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq)]
pub struct TestStep {
    /// What it is.
    pub act: Act,
    /// What is to become of it, each time that it happens.
    pub expect: Option<Expect>,
    /// Where it was written.
    pub position: Option<Position>,
}

/// What happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Time passes.
    Wait(Millis),
    /// Somebody connects, and leaves.
    Connect(TestClient),
    /// Somebody connects and logs in.
    Login(TestClient, Password),
    /// Somebody connects, logs in with the right password if it names an account, and sends a message.
    Send(TestClient, Box<TestMessage>),
}

/// Who does it, and what is known of it. Texts may hold `{n}`, which stands for the number of the repetition, from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct TestClient {
    /// The account.
    pub account: Option<String>,
    /// The listener; the gateway's first if not given.
    pub listener: Option<String>,
    /// The client's address.
    pub source: Option<String>,
    /// Where that address is; looked up if not given.
    pub country: Option<Origin>,
    /// The autonomous system; looked up if not given.
    pub asn: Option<u32>,
    /// The address's confirmed names, for rules that ask.
    pub reverse_names: Option<Vec<String>>,
    /// Whether the account is known to log in from there.
    pub network: Network,
    /// What the account has set.
    pub settings: Settings,
    /// What it says in EHLO.
    pub helo: Option<String>,
    /// Whether it speaks before it is greeted.
    pub before_greeting: BeforeGreeting,
    /// What does not answer meanwhile.
    pub outages: Vec<Outage>,
    /// How often it happens.
    pub repeat: u32,
    /// How much time passes from one time to the next.
    pub every: Millis,
}

/// A country, or that none is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This one.
    Country(Country),
    /// None is known.
    Unknown,
}

/// Something that policy depends on and that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Outage {
    /// The source of configuration: the rules in hand may be old.
    Config,
    /// The counters.
    Counters,
    /// DNS.
    Dns,
    /// All content engines.
    Engines,
}

/// Which password somebody comes with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Password {
    /// The right one.
    #[default]
    Right,
    /// A wrong one, and the same each time.
    Wrong,
    /// A wrong one, and another each time.
    Guessed,
}

/// A message that is sent. Texts may hold `{n}`.
#[derive(Debug, Clone, PartialEq)]
pub struct TestMessage {
    /// The envelope sender; the account if not given, the null sender if empty.
    pub sender: Option<String>,
    /// The recipients.
    pub to: Vec<String>,
    /// What it holds.
    pub content: TestContent,
    /// What DNS says of recipients' domains, for rules that ask; `*` stands for all that are not named.
    pub domains: BTreeMap<String, Domain>,
    /// What the policy's content engines say, in their order, for rules that ask.
    pub engines: Vec<Opinion>,
}

/// What a message holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestContent {
    /// What a file holds.
    File(PathBuf),
    /// What is written here.
    Written {
        /// Fields of the header beyond From, To and Subject, or in place of them.
        header: BTreeMap<String, String>,
        /// The text.
        body: Option<String>,
        /// Names of files that are attached.
        attachments: Vec<String>,
        /// Octets of the whole; filled up to that.
        size: Option<u64>,
    },
}

/// What DNS says of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// It answers.
    Standing(DomainStanding),
    /// It does not answer.
    Unavailable,
}

/// What is to become of a step. What is not given is not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expect {
    /// Whether it is let through: for a message, whether it went on for at least one recipient.
    pub verdict: Option<ExpectedVerdict>,
    /// How the reply of the refusal begins, like `450 4.7.1`.
    pub reply: Option<String>,
    /// Where it was refused.
    pub stage: Option<StageName>,
    /// The rule that refused, or that made the class what it is: `RateLimit/per-account`.
    pub rule: Option<String>,
    /// Which part of that rule.
    pub part: Option<String>,
    /// The pool that the message leaves by; `Upstream` for the gateway's own next hop.
    pub pool: Option<String>,
    /// The member of the pool.
    pub member: Option<String>,
    /// The message's class.
    pub class: Option<Class>,
    /// How many recipients are taken.
    pub recipients: Option<u32>,
    /// All rules that would have refused or made the class worse, had they been enforced.
    pub shadow: Option<Vec<String>>,
}

impl Expect {
    /// Whether nothing is compared.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A verdict without its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum ExpectedVerdict {
    /// Let through.
    Allow,
    /// Refused for now.
    Defer,
    /// Refused.
    Reject,
}
