//! Mail addresses (RFC 5321 4.1.2, RFC 6531): parsed, kept as they were written, re-emitted exactly.
//!
//! Two kindnesses go beyond the grammar. Dots may stand anywhere in an unquoted local part, because Japanese mobile
//! carriers issued such addresses for years (`a..b.@docomo.ne.jp`). An underscore may stand in a domain. A source
//! route before the mailbox is checked and dropped, as RFC 5321 appendix C asks.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::Error;

/// Octets of a local part, quotes included.
pub const MAX_LOCAL: usize = 64;
/// Octets of a domain.
pub const MAX_DOMAIN: usize = 255;
/// Octets of a path, brackets included.
pub const MAX_PATH: usize = 256;

/// `local@domain`, valid by construction.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    text: String,
    /// Where the `@` before the domain stands.
    at: usize,
}

impl Mailbox {
    /// Parses a whole string as a mailbox, without brackets.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (mailbox, rest) = Self::parse_prefix(text)?;
        if rest.is_empty() {
            Ok(mailbox)
        } else {
            Err(Error::AddressSyntax)
        }
    }

    /// The mailbox as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The local part as it was written, quotes included.
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// The domain or address literal as it was written.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The local part without quotes and escapes: `"a\.b"` and `a.b` are the same mailbox.
    pub fn unquoted_local(&self) -> Cow<'_, str> {
        unimplemented!()
    }

    /// The domain in lower case and in A-labels, for comparison.
    pub fn ascii_domain(&self) -> Cow<'_, str> {
        unimplemented!()
    }

    /// Unquoted local part (its case kept), `@`, domain in lower case and A-labels: equal for equal mailboxes. The
    /// last `@` separates the two.
    pub fn canonical(&self) -> String {
        format!("{}@{}", self.unquoted_local(), self.ascii_domain())
    }

    /// Whether the mailbox can travel without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }

    pub(crate) fn parse_prefix(text: &str) -> Result<(Self, &str), Error> {
        let _ = text;
        unimplemented!()
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({})", self.text)
    }
}

impl FromStr for Mailbox {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

/// Who a message is from on the envelope. `Display` writes it in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: reports and receipts, which must not be answered.
    Null,
    /// `<local@domain>`.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// The mailbox, unless the path is null.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }

    /// Whether the path can travel without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.mailbox().is_none_or(Mailbox::is_ascii)
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

/// Whom a message is for. `Display` writes it in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<Postmaster>` without a domain, in any case of letters (RFC 5321 4.1.1.3).
    Postmaster,
    /// `<local@domain>`.
    Mailbox(Mailbox),
}

impl ForwardPath {
    /// The mailbox, unless the path is the local postmaster.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Postmaster => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }

    /// Whether the path can travel without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.mailbox().is_none_or(Mailbox::is_ascii)
    }
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("<Postmaster>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}
