//! What goes wrong on the way on: what the client may be told, and what the operator must see.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use sekisho_policy::record::Hop;
use sekisho_runtime::metrics::labels::Label as _;
use sekisho_runtime::metrics::{UpstreamError, UpstreamPhase};
use sekisho_smtp::Reply;
use sekisho_smtp::command::Missing;

use super::oauth::TokenError;
use super::told::{Moment, broken, for_client, nobody};
use crate::dns::DnsFailure;
use crate::gateway::CredentialsPending;

/// The cause, without the place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the host's name cannot be resolved: {0}")]
    Resolve(DnsFailure),
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("this machine does not have the source address {address} ({source})")]
    SourceAddress { address: IpAddr, source: io::Error },
    #[error("the source address {0} has no port left for this next hop")]
    NoPort(IpAddr),
    #[error("the host has no address of the family of the source address {0}")]
    SourceFamily(IpAddr),
    #[error("TLS is required, and it does not offer STARTTLS")]
    TlsNotOffered,
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    #[error("its certificate is not to be trusted: {0}")]
    Certificate(io::Error),
    #[error("whom to trust is not known: {0}")]
    Authorities(sekisho_runtime::Error),
    #[error("there is no token to log in with: {0}")]
    Token(Arc<TokenError>),
    #[error("it did not answer in time")]
    Timeout,
    #[error("the time that the message has is over")]
    Deadline,
    #[error("it closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("it does not serve us: {0}")]
    Unwilling(Reply),
    #[error("it breaks the protocol: {0}")]
    Protocol(#[from] sekisho_smtp::Error),
    #[error("it sent something that nobody asked for")]
    Unsolicited,
    #[error("it answered {0}, which is no answer to what was asked")]
    OutOfPlace(Reply),
    #[error("it does not take the client's identity: {0}")]
    Identity(&'static str),
    #[error("it refuses the client's identity: {0}")]
    IdentityRefused(Reply),
    #[error("the connection that the account had logged in over is gone")]
    LoginLost,
    #[error("it does not offer AUTH PLAIN or LOGIN")]
    AuthNotOffered,
    #[error("it does not offer AUTH {0} any more")]
    MechanismNotOffered(&'static str),
    #[error(
        "it offers no TLS, and a password is not sent in clear text over the network unless `tls` is `Off`"
    )]
    PasswordInClear,
    #[error(transparent)]
    CredentialsPending(#[from] CredentialsPending),
    #[error("it refuses the pool's login: {0}")]
    LoginRefused(Reply),
    #[error("it offers no AUTH mechanism that the pool's credentials are for")]
    RelayOffersNoLogin,
    #[error("credentials cross a network only with `tls: Required` or `Implicit`")]
    LoginInClear,
    #[error("no member is healthy{}", Last(.0.as_deref()))]
    NoHealthyMember(Option<Box<Failure>>),
    #[error("the snapshot has no such pool")]
    NoSuchPool,
    #[error("every connection that the pool may hold is busy")]
    Saturated,
    #[error("the message needs what the next hop does not offer ({0:?})")]
    Missing(Missing),
    #[error("the message needs 8BITMIME, which the next hop does not offer")]
    EightBitMissing,
    #[error("a command with all its parameters is longer than a server needs to take")]
    TooLong,
    #[error("it said {0}")]
    Refused(Reply),
}

struct Last<'a>(Option<&'a Failure>);

impl fmt::Display for Last<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |failure| {
            write!(f, "; the last one tried: {failure}")
        })
    }
}

/// A fault with its place: which hop, in which phase.
#[derive(Debug)]
pub(crate) struct Failure(Box<Inner>);

#[derive(Debug)]
struct Inner {
    fault: Fault,
    phase: Option<UpstreamPhase>,
    pool: Option<Box<str>>,
    hop: Option<Hop>,
}

impl Failure {
    /// A fault before any hop was reached; `pool` is absent for the gateway's upstream.
    pub(super) fn nowhere(pool: Option<&str>, fault: Fault) -> Self {
        Self(Box::new(Inner {
            fault,
            phase: None,
            pool: pool.map(Into::into),
            hop: None,
        }))
    }

    pub(super) fn at(hop: Hop, phase: UpstreamPhase, fault: Fault) -> Self {
        let pool = hop.pool.as_deref().map(Into::into);
        Self(Box::new(Inner {
            fault,
            phase: Some(phase),
            pool,
            hop: Some(hop),
        }))
    }

    /// The cause, for tests: everybody else asks what it means.
    #[cfg(test)]
    pub(crate) fn fault(&self) -> &Fault {
        &self.0.fault
    }

    pub(super) fn cause(&self) -> &Fault {
        &self.0.fault
    }

    /// Whether it failed before the next hop had offered anything.
    pub(super) fn is_early(&self) -> bool {
        use UpstreamPhase::{Connect, Ehlo, Greeting};
        matches!(self.0.phase, Some(Connect | Greeting | Ehlo))
    }

    /// Whether nobody answered at all.
    pub(super) fn is_of_connecting(&self) -> bool {
        matches!(self.0.phase, None | Some(UpstreamPhase::Connect))
    }

    /// The next hop, where one had been chosen.
    pub(crate) fn hop(&self) -> Option<&Hop> {
        self.0.hop.as_ref()
    }

    /// The next hop's own words, if it was the next hop that said no.
    pub(crate) fn refusal(&self) -> Option<&Reply> {
        match &self.0.fault {
            Fault::Refused(reply) => Some(reply),
            _ => None,
        }
    }

    /// What the client may be told, without the decision id. 421 means: say it and close.
    pub(crate) fn reply(&self) -> Reply {
        match &self.0.fault {
            Fault::Refused(reply) => {
                let at = match self.0.phase {
                    Some(UpstreamPhase::Data) => Moment::Data,
                    Some(UpstreamPhase::Final) => Moment::Dot,
                    _ => Moment::Mail,
                };
                for_client(reply, at, self.0.hop.as_ref().and_then(|hop| hop.from))
            }
            Fault::Missing(missing) => missing.refusal().reply,
            Fault::EightBitMissing => Reply::new(
                554,
                (5, 6, 3),
                "The next server takes no 8-bit messages, and they are not converted here",
            ),
            Fault::TooLong => Reply::new(501, (5, 5, 4), "The parameters are too long"),
            Fault::Timeout | Fault::Deadline => {
                Reply::new(451, (4, 4, 7), "The next server did not answer in time")
            }
            Fault::Closed
            | Fault::Broken(_)
            | Fault::Protocol(_)
            | Fault::Unsolicited
            | Fault::OutOfPlace(_) => broken(),
            Fault::Unwilling(_) if self.0.phase != Some(UpstreamPhase::Greeting) => broken(),
            Fault::LoginLost => Reply::new(
                421,
                (4, 4, 2),
                "The connection to the mail server was lost; please log in again",
            ),
            // What a relay says of our own login is nothing for a client, in whose mail program it would look like an
            // opinion of the client's.
            Fault::NoHealthyMember(Some(last))
                if last.is_about_our_login() || last.is_about_tls() =>
            {
                last.reply()
            }
            Fault::TlsNotOffered | Fault::Tls(_) | Fault::Certificate(_) => Reply::new(
                451,
                (4, 7, 5),
                "The connection to the next server could not be secured; please try again later",
            ),
            Fault::Identity(_)
            | Fault::IdentityRefused(_)
            | Fault::AuthNotOffered
            | Fault::MechanismNotOffered(_)
            | Fault::PasswordInClear
            | Fault::LoginRefused(_)
            | Fault::RelayOffersNoLogin
            | Fault::LoginInClear => Reply::new(
                451,
                (4, 3, 5),
                "The mail system is not set up correctly; please try again later",
            ),
            Fault::Saturated => Reply::new(
                451,
                (4, 4, 5),
                "The mail system is busy; please try again later",
            ),
            Fault::Resolve(_)
            | Fault::Connect(_)
            | Fault::SourceAddress { .. }
            | Fault::NoPort(_)
            | Fault::SourceFamily(_)
            | Fault::Unwilling(_)
            | Fault::CredentialsPending(_)
            | Fault::Authorities(_)
            | Fault::Token(_)
            | Fault::NoHealthyMember(_)
            | Fault::NoSuchPool => nobody(),
        }
    }

    fn is_about_our_login(&self) -> bool {
        matches!(
            self.0.fault,
            Fault::LoginRefused(_) | Fault::RelayOffersNoLogin | Fault::LoginInClear
        )
    }

    fn is_about_tls(&self) -> bool {
        matches!(
            self.0.fault,
            Fault::TlsNotOffered | Fault::Tls(_) | Fault::Certificate(_)
        )
    }

    /// How metrics count it; `None` where the next hop did its duty.
    pub(super) fn metric(&self) -> Option<UpstreamError> {
        Some(match &self.0.fault {
            Fault::Refused(_) | Fault::Missing(_) | Fault::EightBitMissing | Fault::TooLong => {
                return None;
            }
            Fault::Resolve(_) => UpstreamError::Resolve,
            Fault::Connect(_)
            | Fault::SourceAddress { .. }
            | Fault::NoPort(_)
            | Fault::SourceFamily(_) => UpstreamError::Connect,
            Fault::TlsNotOffered | Fault::Tls(_) | Fault::PasswordInClear | Fault::LoginInClear => {
                UpstreamError::Tls
            }
            Fault::CredentialsPending(_) | Fault::Authorities(_) => {
                UpstreamError::CredentialsPending
            }
            Fault::Certificate(_) => UpstreamError::Certificate,
            Fault::Token(_) => UpstreamError::Token,
            Fault::LoginRefused(_) | Fault::RelayOffersNoLogin => UpstreamError::Login,
            Fault::Timeout | Fault::Deadline => UpstreamError::Timeout,
            Fault::Closed | Fault::Broken(_) | Fault::LoginLost => UpstreamError::Closed,
            Fault::Unwilling(_) => UpstreamError::Unwilling,
            Fault::Protocol(_)
            | Fault::Unsolicited
            | Fault::OutOfPlace(_)
            | Fault::AuthNotOffered
            | Fault::MechanismNotOffered(_) => UpstreamError::Protocol,
            Fault::Identity(_) | Fault::IdentityRefused(_) => UpstreamError::Identity,
            Fault::NoHealthyMember(_) | Fault::NoSuchPool => UpstreamError::NoHealthyMember,
            Fault::Saturated => UpstreamError::Saturated,
        })
    }
}

impl fmt::Display for Failure {
    /// `pool slow, member a, relay.example:25 from 203.0.113.10, greeting: it does not serve us: 554 ...`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.pool {
            Some(pool) => write!(f, "pool {pool}")?,
            None => f.write_str("upstream")?,
        }
        if let Some(hop) = &self.0.hop {
            if let Some(member) = &hop.member {
                write!(f, ", member {member}")?;
            }
            write!(f, ", {}", hop.address)?;
            if let Some(from) = hop.from {
                write!(f, " from {from}")?;
            }
        }
        if let Some(phase) = self.0.phase {
            write!(f, ", {}", phase.as_str())?;
        }
        write!(f, ": {}", self.0.fault)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_goes_to_the_client_unless_it_is_between_us() {
        let table = [
            (
                Reply::new(550, (5, 1, 1), "No such user"),
                "550 5.1.1 No such user",
            ),
            (Reply::plain(452, "Too many"), "452 4.1.0 Too many"),
            (
                Reply::new(501, (5, 1, 7), "Bad sender"),
                "501 5.1.7 Bad sender",
            ),
            (
                Reply::new(530, (5, 7, 0), "Authentication required"),
                "451 4.3.5",
            ),
            (Reply::new(535, (5, 7, 8), "Bad password"), "451 4.3.5"),
            (Reply::new(503, (5, 5, 1), "Bad sequence"), "451 4.3.0"),
            (Reply::new(421, (4, 3, 2), "Shutting down"), "451 4.4.2"),
        ];
        for (said, told) in table {
            let failure = Failure::nowhere(None, Fault::Refused(said));
            assert!(
                failure.reply().to_string().starts_with(told),
                "{} is not {told}",
                failure.reply()
            );
            assert_eq!(failure.metric(), None);
        }
    }

    #[test]
    fn the_client_hears_nothing_of_our_network() {
        let hop = Hop {
            pool: Some("slow".into()),
            member: Some("a".into()),
            address: "relay.internal:25".into(),
            from: Some("203.0.113.10".parse().unwrap()),
            reply: String::new(),
        };
        let fault = Fault::SourceAddress {
            address: "203.0.113.10".parse().unwrap(),
            source: io::Error::from(io::ErrorKind::AddrNotAvailable),
        };
        let failure = Failure::at(hop, UpstreamPhase::Connect, fault);
        let seen = failure.to_string();
        for part in [
            "pool slow",
            "member a",
            "relay.internal:25",
            "203.0.113.10",
            "connect",
        ] {
            assert!(seen.contains(part), "{seen:?} lacks {part}");
        }
        let told = failure.reply().to_string();
        assert!(
            told.starts_with("451 4.4.1 ") && !told.contains("203.0") && !told.contains("relay"),
            "{told}"
        );
    }
}
