//! What the form of a name in EHLO or HELO says of a client. It is a sign, and never proof.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// How a client names itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeloForm {
    /// It has not said EHLO or HELO.
    #[default]
    Unsaid,
    /// A host name.
    Good,
    /// Neither a host name nor an address (RFC 5321 2.3.5).
    Malformed,
    /// The name of the gateway itself: nobody else has it.
    OurName,
    /// An address in brackets, as hosts without a name give it (RFC 5321 4.1.3).
    AddressLiteral,
    /// An address without brackets.
    BareAddress,
}

impl HeloForm {
    /// The form of `name`, said to a gateway that is called `ours`.
    #[must_use]
    pub fn of(name: &str, ours: Option<&str>) -> Self {
        let bare = name.strip_suffix('.').unwrap_or(name);
        if ours.is_some_and(|ours| ours.eq_ignore_ascii_case(bare)) {
            return Self::OurName;
        }
        if name.parse::<IpAddr>().is_ok() {
            return Self::BareAddress;
        }
        if let Some(inner) = name
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            return if is_literal(inner) {
                Self::AddressLiteral
            } else {
                Self::Malformed
            };
        }
        if bare.len() <= 253 && bare.split('.').all(is_label) {
            Self::Good
        } else {
            Self::Malformed
        }
    }

    /// The word that expressions know it by.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsaid => "Unsaid",
            Self::Good => "Good",
            Self::Malformed => "Malformed",
            Self::OurName => "OurName",
            Self::AddressLiteral => "AddressLiteral",
            Self::BareAddress => "BareAddress",
        }
    }

    /// Whether honest mail programs hardly ever name themselves so.
    #[must_use]
    pub const fn is_odd(self) -> bool {
        matches!(self, Self::Malformed | Self::OurName | Self::BareAddress)
    }

    pub(crate) const fn is_unsaid(&self) -> bool {
        matches!(self, Self::Unsaid)
    }
}

fn is_literal(inner: &str) -> bool {
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => {
            inner[5..].parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6())
        }
        _ => inner.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()),
    }
}

/// A label as hosts have it; the underscore is no letter of a host name, and many have it.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_forms() {
        for (name, form) in [
            ("pc.example.jp", HeloForm::Good),
            ("pc.example.jp.", HeloForm::Good),
            ("WORKSTATION_7", HeloForm::Good),
            ("mail.example.jp", HeloForm::OurName),
            ("MAIL.Example.JP.", HeloForm::OurName),
            ("192.0.2.7", HeloForm::BareAddress),
            ("2001:db8::1", HeloForm::BareAddress),
            ("[192.0.2.7]", HeloForm::AddressLiteral),
            ("[IPv6:2001:db8::1]", HeloForm::AddressLiteral),
            ("[2001:db8::1]", HeloForm::Malformed),
            ("[192.0.2.777]", HeloForm::Malformed),
            ("[", HeloForm::Malformed),
            ("a..b", HeloForm::Malformed),
            (".", HeloForm::Malformed),
            ("-a.example", HeloForm::Malformed),
            ("user@example.jp", HeloForm::Malformed),
            ("a/b", HeloForm::Malformed),
        ] {
            assert_eq!(HeloForm::of(name, Some("mail.example.jp")), form, "{name}");
        }
        assert_eq!(
            HeloForm::of(&format!("{}.example", "x".repeat(64)), None),
            HeloForm::Malformed
        );
    }
}
