//! Mail addresses (RFC 5321 4.1.2, RFC 6531): parsed, kept as they were written, re-emitted exactly.
//!
//! Two kindnesses go beyond the grammar. Dots may stand anywhere in an unquoted local part, because Japanese mobile
//! carriers issued such addresses for years (`a..b.@docomo.ne.jp`). An underscore may stand in a domain. A source
//! route before the mailbox is checked and dropped, as RFC 5321 appendix C asks.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::Error;

mod domain;

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
        let local = self.local();
        let Some(inner) = local.strip_prefix('"').and_then(|l| l.strip_suffix('"')) else {
            return Cow::Borrowed(local);
        };
        if !inner.contains('\\') {
            return Cow::Borrowed(inner);
        }
        let mut text = String::with_capacity(inner.len());
        let mut characters = inner.chars();
        while let Some(c) = characters.next() {
            text.extend(if c == '\\' {
                characters.next()
            } else {
                Some(c)
            });
        }
        Cow::Owned(text)
    }

    /// The domain in lower case and in A-labels, for comparison.
    pub fn ascii_domain(&self) -> Cow<'_, str> {
        domain::to_ascii(self.domain())
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

    /// Parses the mailbox that `text` begins with, and returns the rest.
    pub(crate) fn parse_prefix(text: &str) -> Result<(Self, &str), Error> {
        let at = local_length(text)?;
        if at > MAX_LOCAL {
            return Err(Error::LocalPartTooLong);
        }
        let after = text[at..].strip_prefix('@').ok_or(Error::AddressSyntax)?;
        let length = domain::prefix_length(after)?;
        let (mailbox, rest) = text.split_at(at + 1 + length);
        Ok((
            Self {
                text: mailbox.to_owned(),
                at,
            },
            rest,
        ))
    }
}

/// Octets of the local part that `text` begins with.
fn local_length(text: &str) -> Result<usize, Error> {
    if text.starts_with('"') {
        return quoted_length(text);
    }
    let end = text
        .find(|c| !(c == '.' || is_atext(c)))
        .unwrap_or(text.len());
    let named = text[..end].bytes().any(|b| b != b'.');
    if named {
        Ok(end)
    } else {
        Err(Error::AddressSyntax)
    }
}

/// Octets of the quoted string that `text` begins with, quotes included.
fn quoted_length(text: &str) -> Result<usize, Error> {
    let mut characters = text.char_indices().skip(1);
    while let Some((index, c)) = characters.next() {
        match c {
            '"' => return Ok(index + 1),
            '\\' => match characters.next() {
                Some((_, ' '..='~')) => {}
                _ => return Err(Error::AddressSyntax),
            },
            ' '..='~' => {}
            _ if is_international(c) => {}
            _ => return Err(Error::AddressSyntax),
        }
    }
    Err(Error::AddressSyntax)
}

/// atext of RFC 5322 3.2.3, widened by RFC 6531 3.3.
pub(crate) fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_international(c)
}

fn is_international(c: char) -> bool {
    !c.is_ascii() && !c.is_control() && !c.is_whitespace()
}

/// Parses what `<` begins: an optional source route, which is dropped, then what `inner` reads, then `>`.
fn parse_path<T>(
    text: &str,
    inner: impl FnOnce(&str) -> Result<(T, &str), Error>,
) -> Result<(T, &str), Error> {
    let mut rest = text.strip_prefix('<').ok_or(Error::AddressSyntax)?;
    if rest.starts_with('@') {
        rest = skip_route(rest)?;
    }
    let (value, rest) = inner(rest)?;
    let rest = rest.strip_prefix('>').ok_or(Error::AddressSyntax)?;
    if text.len() - rest.len() > MAX_PATH {
        return Err(Error::PathTooLong);
    }
    Ok((value, rest))
}

/// Skips `@one,@two:`.
fn skip_route(text: &str) -> Result<&str, Error> {
    let mut rest = text;
    loop {
        let domain = rest.strip_prefix('@').ok_or(Error::AddressSyntax)?;
        rest = &domain[domain::prefix_length(domain)?..];
        if let Some(after) = rest.strip_prefix(':') {
            return Ok(after);
        }
        rest = rest.strip_prefix(',').ok_or(Error::AddressSyntax)?;
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
    /// Parses the path that `text` begins with, in brackets, and returns the rest.
    pub(crate) fn parse_prefix(text: &str) -> Result<(Self, &str), Error> {
        if let Some(rest) = text.strip_prefix("<>") {
            return Ok((Self::Null, rest));
        }
        let (mailbox, rest) = parse_path(text, Mailbox::parse_prefix)?;
        Ok((Self::Mailbox(mailbox), rest))
    }

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
    /// Parses the path that `text` begins with, in brackets, and returns the rest.
    pub(crate) fn parse_prefix(text: &str) -> Result<(Self, &str), Error> {
        const POSTMASTER: &str = "<postmaster>";
        if let Some(path) = text.get(..POSTMASTER.len())
            && path.eq_ignore_ascii_case(POSTMASTER)
        {
            return Ok((Self::Postmaster, &text[POSTMASTER.len()..]));
        }
        let (mailbox, rest) = parse_path(text, Mailbox::parse_prefix)?;
        Ok((Self::Mailbox(mailbox), rest))
    }

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

#[cfg(test)]
mod tests;
