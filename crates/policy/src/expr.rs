//! What `match.when` is lowered to: a small expression over facts, bounded in size, with three-valued logic.

use serde::{Deserialize, Serialize};

/// The most nodes that one expression may have.
pub const MAX_NODES: usize = 128;

/// An expression. Evaluating it allocates nothing and takes time linear in its size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expr {
    /// All of them.
    All(Vec<Expr>),
    /// At least one of them.
    Any(Vec<Expr>),
    /// The opposite.
    Not(Box<Expr>),
    /// A comparison of a field with a value.
    Compare(Field, Comparison, Value),
    /// The field is one of these values.
    In(Field, Vec<Value>),
    /// A test of a text field.
    Text(Field, TextTest, String),
    /// A constant.
    Constant(bool),
}

impl Expr {
    /// Whether it looks at `field`.
    pub(crate) fn reads(&self, field: Field) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.reads(field)),
            Self::Not(part) => part.reads(field),
            Self::Compare(own, ..) | Self::In(own, _) | Self::Text(own, ..) => *own == field,
            Self::Constant(_) => false,
        }
    }
}

/// What an expression can look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Field {
    /// `account.name`, text.
    AccountName,
    /// `account.domain`, text.
    AccountDomain,
    /// `account.network`, text: `KnownGood` or `New`.
    AccountNetwork,
    /// `source.address`, text.
    SourceAddress,
    /// `source.country`, text.
    SourceCountry,
    /// `source.asn`, number.
    SourceAsn,
    /// `source.listener`, text.
    SourceListener,
    /// `source.helo`, text.
    SourceHelo,
    /// `source.heloForm`, text: `Unsaid`, `Good`, `Malformed`, `OurName`, `AddressLiteral` or `BareAddress`.
    SourceHeloForm,
    /// `source.beforeGreeting`, text: `Silent` or `Talked`.
    SourceBeforeGreeting,
    /// `source.tls`, text: `On` or `Off`.
    SourceTls,
    /// `message.sender`, text; empty for the null sender.
    MessageSender,
    /// `message.senderDomain`, text.
    MessageSenderDomain,
    /// `message.recipient`, text, at RCPT only.
    MessageRecipient,
    /// `message.recipientDomain`, text, at RCPT only.
    MessageRecipientDomain,
    /// `message.recipients`, number: accepted so far.
    MessageRecipients,
    /// `message.size`, number of octets: as declared, or as read at the end.
    MessageSize,
    /// `message.class`, text.
    MessageClass,
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Value {
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as CEL has them")]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Tests of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "as CEL has them")]
pub enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}
