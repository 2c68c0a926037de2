//! Takes keys apart again, for people, and to prove that no two names share bytes.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use smallvec::SmallVec;

use super::{Subject, Tally};
use crate::event::Country;
use crate::id::DecisionId;
use crate::op::Key;
use crate::snapshot::{Kind, ObjectRef};
use crate::time::Millis;

/// A key taken apart again, for `sekisho explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The object.
    pub object: ObjectRef,
    /// What is counted.
    pub tally: Tally,
    /// The window; zero for locks.
    pub window: Millis,
    /// Whom or what it is about.
    pub subjects: Vec<Subject<'a>>,
}

/// Takes a key apart; `None` if this module did not frame it.
#[must_use]
pub fn read(key: &Key) -> Option<Parts<'_>> {
    let mut rest = Reader(key.as_bytes());
    let kind = read_kind(rest.byte()?)?;
    let namespace = rest.framed_text()?.to_owned();
    let name = rest.framed_text()?.to_owned();
    let tally = Tally::read(rest.byte()?)?;
    let window = Millis(u64::from_be_bytes(rest.take(8)?.try_into().ok()?));
    let mut subjects = Vec::new();
    while !rest.0.is_empty() {
        subjects.push(rest.subject()?);
    }
    Some(Parts {
        object: ObjectRef {
            kind,
            namespace,
            name,
        },
        tally,
        window,
        subjects,
    })
}

/// Whether a key is about what an account that logged in did, as signals count it: nobody else can make more of these.
#[must_use]
pub fn is_signal_of_account(key: &Key) -> bool {
    let tally = || {
        let mut rest = Reader(key.as_bytes());
        // Most keys are told apart by their first octet.
        let kind = read_kind(rest.byte()?)?;
        if !matches!(kind, Kind::AbuseRule | Kind::RateLimit | Kind::MailGateway) {
            return None;
        }
        rest.framed()?;
        rest.framed()?;
        Tally::read(rest.byte()?)
    };
    tally().is_some_and(Tally::is_of_account)
}

/// What keys have in common that one event usually asks together: all about one account, or all about one source network (its /24
/// or /64). A key about neither has its first subject, and one that this module did not frame all of its octets.
///
/// Counters that are spread over several places keep together what has the same affinity.
#[must_use]
pub fn affinity(key: &Key) -> SmallVec<[u8; 64]> {
    let whole = || SmallVec::from_slice(key.as_bytes());
    let Some(subjects) = subjects_of(key) else {
        return whole();
    };
    let mut rest = Reader(subjects);
    let (mut first, mut network) = (None, None);
    while !rest.0.is_empty() {
        let (Some(tag), Some(body)) = (rest.byte(), rest.framed()) else {
            return whole();
        };
        let ip = match tag {
            1 => return tagged(b'a', body),
            2 => body,
            3 => body.get(1..).unwrap_or_default(),
            _ => {
                first.get_or_insert_with(|| tagged(tag, body));
                continue;
            }
        };
        let site = ip.get(..if ip.len() == 4 { 3 } else { 8 }).unwrap_or(ip);
        network.get_or_insert_with(|| tagged(b'n', site));
    }
    network.or(first).unwrap_or_else(whole)
}

fn tagged(tag: u8, body: &[u8]) -> SmallVec<[u8; 64]> {
    let mut tagged = SmallVec::from_slice(&[tag]);
    tagged.extend_from_slice(body);
    tagged
}

/// The framed subjects of a key.
fn subjects_of(key: &Key) -> Option<&[u8]> {
    let mut rest = Reader(key.as_bytes());
    read_kind(rest.byte()?)?;
    rest.framed()?;
    rest.framed()?;
    Tally::read(rest.byte()?)?;
    rest.take(8)?;
    Some(rest.0)
}

impl fmt::Display for Parts<'_> {
    /// `RateLimit/default/by-account Recipients 1h account=a@example.jp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.object, self.tally)?;
        if self.window.0 > 0 {
            write!(f, " {}", self.window)?;
        }
        self.subjects
            .iter()
            .try_for_each(|subject| write!(f, " {subject}"))
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(name) => write!(f, "account={name}"),
            Self::Source(ip) => write!(f, "source={ip}"),
            Self::Prefix(net) => write!(f, "prefix={net}"),
            Self::Asn(Some(asn)) => write!(f, "asn={asn}"),
            Self::Asn(None) => f.write_str("asn=unknown"),
            Self::Country(Some(country)) => write!(f, "country={country:?}"),
            Self::Country(None) => f.write_str("country=unknown"),
            Self::SenderDomain(domain) => write!(f, "senderDomain={domain}"),
            Self::RecipientDomain(domain) => write!(f, "recipientDomain={domain}"),
            Self::Gateway(namespace, name) => write!(f, "gateway={namespace}/{name}"),
            Self::Record(id) => write!(f, "record={id}"),
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn framed(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_be_bytes(self.take(4)?.try_into().ok()?);
        self.take(len as usize)
    }

    fn framed_text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.framed()?).ok()
    }

    fn subject(&mut self) -> Option<Subject<'a>> {
        let tag = self.byte()?;
        let body = self.framed()?;
        let text = || std::str::from_utf8(body).ok();
        Some(match (tag, body) {
            (1, _) => Subject::Account(text()?),
            (2, _) => Subject::Source(read_ip(body)?),
            (3, [bits, ip @ ..]) => Subject::Prefix(IpNet::new(read_ip(ip)?, *bits).ok()?),
            (4, []) => Subject::Asn(None),
            (4, _) => Subject::Asn(Some(u32::from_be_bytes(body.try_into().ok()?))),
            (5, []) => Subject::Country(None),
            (5, _) => Subject::Country(Some(Country::parse(body.try_into().ok()?)?)),
            (6, _) => Subject::SenderDomain(text()?),
            (7, _) => Subject::RecipientDomain(text()?),
            (8, _) => {
                let mut both = Reader(body);
                Subject::Gateway(both.framed_text()?, std::str::from_utf8(both.0).ok()?)
            }
            (9, _) => {
                let bits = u64::from_be_bytes(body.try_into().ok()?);
                Subject::Record(DecisionId::from_random(bits))
            }
            _ => return None,
        })
    }
}

fn read_ip(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}

pub(super) const KINDS: [(Kind, u8); 8] = [
    (Kind::MailGateway, 1),
    (Kind::SubmissionPolicy, 2),
    (Kind::CountryRule, 3),
    (Kind::RateLimit, 4),
    (Kind::LoginGuard, 5),
    (Kind::EgressPool, 6),
    (Kind::AbuseRule, 7),
    (Kind::NotificationChannel, 8),
];

fn read_kind(byte: u8) -> Option<Kind> {
    KINDS
        .into_iter()
        .find_map(|(kind, number)| (number == byte).then_some(kind))
}
