//! RCPT (RFC 5321 4.1.1.3) with the parameters of DSN (RFC 3461).

use super::params::{self, Param, set_once};
use super::{after_keyword, syntax, write_line};
use crate::address::ForwardPath;
use crate::ehlo::Capabilities;
use crate::reply::Refusal;
use crate::{Error, xtext};

/// `RCPT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RcptCommand {
    /// The recipient.
    pub path: ForwardPath,
    /// The extensions asked for.
    pub params: RcptParams,
}

/// Parameters of RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RcptParams {
    /// `NOTIFY=` (RFC 3461 4.1).
    pub notify: Option<Notify>,
    /// `ORCPT=` (RFC 3461 4.2).
    pub orcpt: Option<OriginalRecipient>,
}

/// `NOTIFY=`: which reports the sender asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notify {
    /// None at all.
    Never,
    /// Those named, at least one.
    On {
        /// On delivery.
        success: bool,
        /// On failure.
        failure: bool,
        /// On delay.
        delay: bool,
    },
}

/// `ORCPT=`: whom the sender wrote to at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalRecipient {
    /// The kind of address, such as `rfc822` or `utf-8`.
    address_type: String,
    encoded: String,
}

impl OriginalRecipient {
    /// The kind of address, such as `rfc822` or `utf-8`.
    pub fn address_type(&self) -> &str {
        &self.address_type
    }

    /// The address as it was encoded: xtext, or the forms of RFC 6533 for `utf-8`. Re-emitted exactly.
    pub fn encoded(&self) -> &str {
        &self.encoded
    }

    /// At most 500 octets (RFC 3461 4.2), the address not empty.
    fn parse(value: &str) -> Option<Self> {
        let (address_type, encoded) = value.split_once(';')?;
        let atom = !address_type.is_empty()
            && address_type
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let spelled = if address_type.eq_ignore_ascii_case("utf-8") {
            encoded
                .chars()
                .all(|c| c.is_ascii_graphic() || (!c.is_ascii() && !c.is_control()))
        } else {
            xtext::decode(encoded).is_ok()
        };
        let valid = atom && spelled && !encoded.is_empty() && value.len() <= 500;
        valid.then(|| Self {
            address_type: address_type.to_owned(),
            encoded: encoded.to_owned(),
        })
    }
}

impl RcptCommand {
    pub(super) fn parse(argument: &str) -> Result<Self, Refusal> {
        let path =
            after_keyword(argument, "TO:").ok_or_else(|| syntax("Syntax: RCPT TO:<address>"))?;
        let (path, rest) = ForwardPath::parse_prefix(path).map_err(bad_recipient)?;
        let mut params = RcptParams::default();
        for param in params::split(rest)? {
            params.take(&param?)?;
        }
        Ok(Self { path, params })
    }

    /// Appends `RCPT TO:<path> ...` with CRLF.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut line = format!("RCPT TO:{}", self.path);
        if let Some(notify) = self.params.notify {
            line.push_str(" NOTIFY=");
            line.push_str(&notify.names().join(","));
        }
        if let Some(orcpt) = &self.params.orcpt {
            line.extend([" ORCPT=", orcpt.address_type(), ";", orcpt.encoded()]);
        }
        write_line(out, &[&line]);
    }

    /// The command as `next` can take it: without DSN parameters if it does not offer DSN.
    pub fn for_next_hop(&self, next: &Capabilities) -> Self {
        let params = if next.dsn {
            self.params.clone()
        } else {
            RcptParams::default()
        };
        Self {
            path: self.path.clone(),
            params,
        }
    }

    /// Whether the command can travel without SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.path.is_ascii()
            && self
                .params
                .orcpt
                .as_ref()
                .is_none_or(|o| o.encoded.is_ascii())
    }
}

impl RcptParams {
    /// Whether any extension is asked for, which needs EHLO.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn take(&mut self, param: &Param<'_>) -> Result<(), Refusal> {
        if param.is("NOTIFY") {
            let notify = Notify::parse(param.value()?).ok_or_else(|| syntax("Malformed NOTIFY"))?;
            set_once(&mut self.notify, notify)
        } else if param.is("ORCPT") {
            let orcpt = OriginalRecipient::parse(param.value()?)
                .ok_or_else(|| syntax("Malformed ORCPT"))?;
            set_once(&mut self.orcpt, orcpt)
        } else {
            Err(params::unknown())
        }
    }
}

impl Notify {
    fn parse(value: &str) -> Option<Self> {
        if value.eq_ignore_ascii_case("NEVER") {
            return Some(Self::Never);
        }
        let (mut success, mut failure, mut delay) = (false, false, false);
        for name in value.split(',') {
            let flag = match name.to_ascii_uppercase().as_str() {
                "SUCCESS" => &mut success,
                "FAILURE" => &mut failure,
                "DELAY" => &mut delay,
                _ => return None,
            };
            if std::mem::replace(flag, true) {
                return None;
            }
        }
        Some(Self::On {
            success,
            failure,
            delay,
        })
    }

    fn names(self) -> Vec<&'static str> {
        let Self::On {
            success,
            failure,
            delay,
        } = self
        else {
            return vec!["NEVER"];
        };
        let named = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
        named
            .into_iter()
            .filter_map(|(on, name)| on.then_some(name))
            .collect()
    }
}

fn bad_recipient(error: Error) -> Refusal {
    let text = match error {
        Error::LocalPartTooLong | Error::DomainTooLong | Error::PathTooLong => {
            "Recipient address is too long"
        }
        Error::DomainSyntax => "Malformed domain in the recipient address",
        _ => "Malformed recipient address",
    };
    Refusal::new(501, (5, 1, 3), text)
}
