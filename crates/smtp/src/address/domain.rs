//! Domains and address literals.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::MAX_DOMAIN;
use crate::Error;

const MAX_LABEL: usize = 63;

/// Octets of the domain or address literal that `text` begins with.
pub(super) fn prefix_length(text: &str) -> Result<usize, Error> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or(Error::DomainSyntax)? + 1;
        parse_literal(&text[..end]).ok_or(Error::DomainSyntax)?;
        return Ok(end);
    }
    let end = text
        .find(|c: char| !is_domain_character(c))
        .unwrap_or(text.len());
    check_name(&text[..end])?;
    Ok(end)
}

/// The form for comparison of a domain that was checked: lower case, A-labels, shortest addresses.
pub(super) fn to_ascii(domain: &str) -> Cow<'_, str> {
    if let Some(literal) = parse_literal(domain) {
        return Cow::Owned(literal.canonical());
    }
    if domain.is_ascii() {
        return if domain.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(domain.to_ascii_lowercase())
        } else {
            Cow::Borrowed(domain)
        };
    }
    idna::domain_to_ascii(domain).map_or(Cow::Borrowed(domain), Cow::Owned)
}

fn is_domain_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') || super::is_international(c)
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.len() > MAX_DOMAIN {
        return Err(Error::DomainTooLong);
    }
    if name.is_ascii() {
        return check_labels(name);
    }
    check_labels(&idna::domain_to_ascii(name).map_err(|_| Error::DomainSyntax)?)
}

fn check_labels(name: &str) -> Result<(), Error> {
    if name.len() > MAX_DOMAIN {
        return Err(Error::DomainTooLong);
    }
    for label in name.split('.') {
        if label.len() > MAX_LABEL {
            return Err(Error::DomainTooLong);
        }
        let spelled = !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !spelled || label.starts_with('-') || label.ends_with('-') {
            return Err(Error::DomainSyntax);
        }
    }
    Ok(())
}

enum Literal {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Literal {
    fn canonical(&self) -> String {
        match self {
            Self::V4(address) => format!("[{address}]"),
            Self::V6(address) => format!("[ipv6:{address}]"),
        }
    }
}

/// `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 4.1.3). Other tags are not registered.
fn parse_literal(text: &str) -> Option<Literal> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inner[5..].parse().ok().map(Literal::V6),
        _ => inner.parse().ok().map(Literal::V4),
    }
}
