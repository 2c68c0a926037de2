//! Seam 2, the question: one thing that happened in a mail session, with every fact that rules may ask for, as values.
//!
//! An event holds no content: headers and bodies are read by the scanners ([`crate::content`]) and enter as what was found.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::{Account, Address};
use crate::decision::Class;
pub use crate::helo::HeloForm;
use crate::id::DecisionId;
use crate::op::Item;
use crate::opinion::Opinion;
pub use crate::report::SourceTrust;
use crate::restriction::Standing;
pub use crate::settings::Settings;
use crate::snapshot::ObjectRef;
use crate::time::Timestamp;

/// One step of a session, ready to be judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Names the decision that this event leads to.
    pub id: DecisionId,
    /// When it happened.
    pub at: Timestamp,
    /// What is known since the connection began.
    pub session: Arc<SessionFacts>,
    /// The authenticated account, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Arc<AccountFacts>>,
    /// The settings of the account that it is about: the one that is claimed while it is being checked, else the authenticated one.
    #[serde(default, skip_serializing_if = "Settings::is_none")]
    pub settings: Settings,
    /// Of a login: who looks at the password.
    #[serde(default, skip_serializing_if = "Checked::is_here")]
    pub checked: Checked,
    /// The transaction so far, from MAIL on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<TransactionFacts>,
    /// What just happened.
    pub stage: Stage,
    /// Rules whose brake has tripped: they are judged as `Shadow`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tripped: Vec<ObjectRef>,
    /// Whether the gateway's configuration may still be acted on.
    #[serde(default, skip_serializing_if = "ConfigState::is_current")]
    pub config: ConfigState,
}

impl Event {
    /// Whether it may be judged again: a login once it is known whose it is, a connection once its client talks before its turn.
    /// What was added is given back before, so that it is counted once; where it does not come to that, it stays.
    #[must_use]
    pub fn may_be_asked_again(&self) -> bool {
        match self.stage {
            Stage::Login { ref account } => account.is_none(),
            Stage::Connect => self.session.before_greeting == BeforeGreeting::Silent,
            _ => false,
        }
    }
}

/// Who looks at the password of a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Checked {
    /// We do, or a backend that we ask.
    #[default]
    Here,
    /// A trusted peer did, before it told of the login (XCLIENT).
    ByPeer,
}

impl Checked {
    pub(crate) const fn is_here(&self) -> bool {
        matches!(self, Self::Here)
    }
}

/// How far the rules in hand can be trusted to be the ones that the operator wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfigState {
    /// They are.
    #[default]
    Current,
    /// The source of configuration cannot be read; `onUnavailable.config` says what that means.
    Unavailable,
}

impl ConfigState {
    /// Whether the configuration is up to date.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        matches!(self, Self::Current)
    }
}

/// What a connection is known to be, before anybody logs in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionFacts {
    /// The listener's name.
    pub listener: Box<str>,
    /// The client.
    pub source: Source,
    /// Whether the session is under TLS now.
    pub tls: Tls,
    /// What the client said in EHLO or HELO, cut to 255 octets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helo: Option<Box<str>>,
    /// The form of that name.
    #[serde(default, skip_serializing_if = "HeloForm::is_unsaid")]
    pub helo_form: HeloForm,
    /// Whether the client spoke before it was greeted.
    #[serde(default, skip_serializing_if = "BeforeGreeting::is_silent")]
    pub before_greeting: BeforeGreeting,
}

/// Whether a client waits for the greeting, as mail programs do (RFC 5321 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BeforeGreeting {
    /// It waited.
    #[default]
    Silent,
    /// It spoke first.
    Talked,
}

impl BeforeGreeting {
    const fn is_silent(&self) -> bool {
        matches!(self, Self::Silent)
    }
}

/// Whether a session is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tls {
    /// Plain text.
    Off,
    /// TLS by STARTTLS or from the first byte.
    On,
}

/// The client's address and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The address; IPv4 in IPv4 form, never mapped into IPv6.
    pub ip: IpAddr,
    /// Where registry or database data place it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// The autonomous system that announces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// Forward-confirmed reverse names, in lower case.
    #[serde(default, skip_serializing_if = "Fact::is_unasked")]
    pub reverse_names: Fact<Vec<Box<str>>>,
    /// Whether the address is the client's own. Where it is not, no rule goes by it, nor by what follows from it.
    #[serde(default, skip_serializing_if = "SourceTrust::is_trusted")]
    pub trust: SourceTrust,
}

impl Source {
    /// The address, if it is the client's own. Rules ask here, and never for [`Self::ip`].
    #[must_use]
    pub fn own_ip(&self) -> Option<IpAddr> {
        self.trust.is_trusted().then_some(self.ip)
    }
}

/// An ISO 3166-1 alpha-2 country code in upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

impl Country {
    /// Reads two ASCII letters, in any case.
    #[must_use]
    pub const fn parse(code: [u8; 2]) -> Option<Self> {
        if code[0].is_ascii_alphabetic() && code[1].is_ascii_alphabetic() {
            Some(Self([
                code[0].to_ascii_uppercase(),
                code[1].to_ascii_uppercase(),
            ]))
        } else {
            None
        }
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

impl std::fmt::Debug for Country {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.as_str().to_owned()
    }
}

impl TryFrom<String> for Country {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        <[u8; 2]>::try_from(text.as_bytes())
            .ok()
            .and_then(Self::parse)
            .ok_or_else(|| format!("a country is two letters, got {text:?}"))
    }
}

/// A fact that costs a lookup: asked for only when a rule needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact<T> {
    /// Nobody asked.
    #[default]
    Unasked,
    /// The lookup failed: nothing is known, and that exempts and condemns nobody.
    Unavailable,
    /// The answer.
    Known(T),
}

impl<T> Fact<T> {
    /// Whether the lookup is still to be made.
    pub const fn is_unasked(&self) -> bool {
        matches!(self, Self::Unasked)
    }
}

/// The authenticated account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountFacts {
    /// Its canonical name.
    pub name: Account,
    /// Whether the source's network is one that this account logs in from regularly.
    pub network: Network,
    /// What restricts it at this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Box<Standing>>,
}

impl AccountFacts {
    /// An account that nothing restricts.
    #[must_use]
    pub const fn new(name: Account, network: Network) -> Self {
        Self {
            name,
            network,
            standing: None,
        }
    }
}

/// What past logins say of an account's network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// Not enough good logins yet.
    #[default]
    New,
    /// Good logins on enough different days.
    KnownGood,
}

impl Network {
    pub(crate) const fn is_new(&self) -> bool {
        matches!(self, Self::New)
    }
}

/// The transaction so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransactionFacts {
    /// The envelope sender; `None` is the null reverse-path `<>`.
    pub sender: Option<Address>,
    /// SIZE as the client declared it, in octets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_size: Option<u64>,
    /// How many recipients were accepted before this event.
    pub recipients: u32,
    /// The worst class so far.
    pub class: Class,
    /// The worst that content was found to be so far, enforced or not: what the account or the source made of the class is not in it.
    #[serde(default, skip_serializing_if = "Class::is_unclassified")]
    pub content: Class,
}

/// What just happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// A connection was made (the PROXY header, if any, has been read).
    Connect,
    /// Somebody asks to log in; the password has not been looked at.
    Login {
        /// The canonical account that is claimed; `None` while nobody has said who it is, as with tokens that name nobody:
        /// then only the source is judged, and nothing that an account is spared spares it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<Account>,
    },
    /// Rules let the login in, and a backend is about to be asked. What is counted here is counted as a failure until the backend
    /// said yes, so that guesses that are under way at once are as many as those that come one after another.
    LoginShown {
        /// The canonical account that is claimed, existing or not.
        account: Account,
        /// A keyed hash of the password; `None` where the mechanism hides it, and for tokens.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password: Option<Item>,
    },
    /// The backend said no. The decision is always the 535 of a wrong password; what it records may lock.
    LoginFailed {
        /// The canonical account that was claimed, existing or not; `None` where a token names nobody and was not
        /// accepted, so that only the source is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<Account>,
        /// A keyed hash of the wrong password; `None` where the mechanism hides it, and for tokens.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password: Option<Item>,
    },
    /// The backend said yes; `Event::account` is set.
    LoginSucceeded,
    /// MAIL: `Event::transaction` holds the sender.
    Mail,
    /// RCPT.
    Rcpt {
        /// The recipient.
        recipient: Address,
        /// What DNS says of its domain.
        #[serde(default, skip_serializing_if = "Fact::is_unasked")]
        domain: Fact<DomainStanding>,
    },
    /// The header section has been read, nothing has been sent on.
    Headers(HeaderFacts),
    /// The message has been read to its end; the next hop has not seen the final dot.
    End(EndFacts),
    /// Its class, and with it its pool, are settled: the pool's own rate is asked. Only where the pool has one.
    Route {
        /// Octets of the message.
        bytes: u64,
    },
}

impl Stage {
    /// The stage's name for metrics and records.
    #[must_use]
    pub const fn name(&self) -> StageName {
        match self {
            Self::Connect => StageName::Connect,
            Self::Login { .. }
            | Self::LoginShown { .. }
            | Self::LoginFailed { .. }
            | Self::LoginSucceeded => StageName::Auth,
            Self::Mail => StageName::Mail,
            Self::Rcpt { .. } => StageName::Rcpt,
            Self::Headers(_) => StageName::Headers,
            Self::End(_) => StageName::End,
            Self::Route { .. } => StageName::Route,
        }
    }

    /// Whether what gates of this stage added comes back when the message is not sent: recipients, messages and octets do,
    /// connections and login attempts never.
    #[must_use]
    pub const fn gives_back(&self) -> bool {
        matches!(
            self,
            Self::Mail | Self::Rcpt { .. } | Self::Headers(_) | Self::End(_) | Self::Route { .. }
        )
    }
}

/// The closed list of stages, as metrics name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StageName {
    /// Connection made.
    Connect,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// Header section read.
    Headers,
    /// End of the message.
    End,
    /// The pool is settled.
    Route,
}

/// Whether mail can be delivered to a domain at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DomainStanding {
    /// It has an MX, A or AAAA record.
    Resolves,
    /// It does not exist, or has none of them.
    Missing,
    /// It says that it takes no mail (RFC 7505).
    NullMx,
}

/// What the header section says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderFacts {
    /// The author.
    pub from: FromHeader,
    /// Addresses in To and Cc together.
    pub visible_recipients: u32,
    /// Names of the classification rules whose pattern matched a field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matched: Vec<Box<str>>,
    /// Whether the whole header section could be read.
    pub scan: Scan,
}

/// The author according to the From field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromHeader {
    /// One field with one mailbox.
    One(Address),
    /// No From field.
    Missing,
    /// More than one field or mailbox.
    Several,
    /// Not an address: encoded words in it, NUL, broken quoting.
    Malformed,
}

/// Whether content could be examined as the rules ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scan {
    /// Everything was read.
    #[default]
    Complete,
    /// Over the scanner's limits; `onUnavailable.message` says what that means.
    OverLimits,
}

/// How much of a message's text was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TextScan {
    /// All of it, if any rule asks.
    #[default]
    Complete,
    /// Its beginning: the rest is beyond what is looked at. `onUnavailable.message` says what that means, except that it
    /// defers nothing: the message will be as long the next time.
    Cut,
}

impl TextScan {
    const fn is_complete(&self) -> bool {
        matches!(self, Self::Complete)
    }
}

/// What is known once the message has been read to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndFacts {
    /// Octets as the next hop would get them, without dot-stuffing.
    pub bytes: u64,
    /// File-name extensions in lower case, each once: those that a policy refuses, of attachments and of what archives
    /// list, and up to 16 plain ones of attachments. Other pieces of names are content, and stay out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<Box<str>>,
    /// Names of the classification rules whose pattern matched a field or the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matched: Vec<Box<str>>,
    /// What each of the policy's content engines says, in the policy's order.
    #[serde(default, skip_serializing_if = "Fact::is_unasked")]
    pub opinions: Fact<Vec<Opinion>>,
    /// Whether all parts could be examined.
    pub scan: Scan,
    /// How much of the text patterns were looked for in.
    #[serde(default, skip_serializing_if = "TextScan::is_complete")]
    pub text: TextScan,
    /// Whether a bare CR or LF was in the message.
    pub newlines: Newlines,
}

/// How clean a message's line ends were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Newlines {
    /// CRLF throughout.
    #[default]
    Clean,
    /// At least one bare CR or LF.
    Bare,
}
