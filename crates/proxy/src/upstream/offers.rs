//! What next hops were last seen to offer. We offer no more than all of them do: a message that could go nowhere is refused
//! before it is written, not after.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use sekisho_policy::snapshot::Mechanism;
use sekisho_smtp::Capabilities;
use sekisho_smtp::ehlo::SizeLimit;

use super::NextHops;
use super::group::Group;
use super::lane::Lane;

const SEEN: u8 = 1;
const EIGHT_BIT: u8 = 2;
const SMTPUTF8: u8 = 4;
const DSN: u8 = 8;
const SCRAM: u8 = 16;
const CRAM: u8 = 32;
const XOAUTH2: u8 = 64;
const OAUTHBEARER: u8 = 128;

/// What every next hop that messages can take is known to offer. One that nobody has talked to yet is taken to offer everything:
/// what it then lacks is refused when a message needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Common {
    pub(crate) eight_bit_mime: bool,
    pub(crate) smtputf8: bool,
    pub(crate) dsn: bool,
    /// The smallest size that one of them states.
    pub(crate) size: Option<u64>,
    /// The smallest RCPTMAX.
    pub(crate) recipients: Option<u32>,
}

impl Common {
    const ALL: Self = Self {
        eight_bit_mime: true,
        smtputf8: true,
        dsn: true,
        size: None,
        recipients: None,
    };

    fn and(self, other: Self) -> Self {
        Self {
            eight_bit_mime: self.eight_bit_mime && other.eight_bit_mime,
            smtputf8: self.smtputf8 && other.smtputf8,
            dsn: self.dsn && other.dsn,
            size: least(self.size, other.size),
            recipients: least(self.recipients, other.recipients),
        }
    }
}

/// The smaller of two bounds, each of which may be missing.
pub(crate) fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}

/// What one next hop said last in reply to EHLO. Written by whoever connects, read at each EHLO of a client, without a lock: a
/// reader that sees half of a change sees an offer that was true a moment ago.
#[derive(Debug)]
pub(super) struct Seen {
    flags: AtomicU8,
    /// The largest value for no bound.
    size: AtomicU64,
    recipients: AtomicU32,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            flags: AtomicU8::new(0),
            size: AtomicU64::new(u64::MAX),
            recipients: AtomicU32::new(u32::MAX),
        }
    }
}

impl Seen {
    pub(super) fn note(&self, capabilities: &Capabilities) {
        let size = match capabilities.size {
            Some(SizeLimit::Octets(octets)) => octets,
            Some(SizeLimit::Unstated) | None => u64::MAX,
        };
        let recipients = capabilities.limits.rcpt.unwrap_or(u32::MAX);
        let flags = [
            (true, SEEN),
            (capabilities.eight_bit_mime, EIGHT_BIT),
            (capabilities.smtputf8, SMTPUTF8),
            (capabilities.dsn, DSN),
            (capabilities.offers_auth("SCRAM-SHA-256"), SCRAM),
            (capabilities.offers_auth("CRAM-MD5"), CRAM),
            (capabilities.offers_auth("XOAUTH2"), XOAUTH2),
            (capabilities.offers_auth("OAUTHBEARER"), OAUTHBEARER),
        ];
        let flags = flags
            .into_iter()
            .filter_map(|(on, flag)| on.then_some(flag))
            .sum();
        self.size.store(size, Ordering::Relaxed);
        self.recipients.store(recipients, Ordering::Relaxed);
        self.flags.store(flags, Ordering::Release);
    }

    /// Nothing if nobody has talked to it.
    fn read(&self) -> Option<Common> {
        let flags = self.flags.load(Ordering::Acquire);
        let (size, recipients) = (
            self.size.load(Ordering::Relaxed),
            self.recipients.load(Ordering::Relaxed),
        );
        (flags & SEEN != 0).then_some(Common {
            eight_bit_mime: flags & EIGHT_BIT != 0,
            smtputf8: flags & SMTPUTF8 != 0,
            dsn: flags & DSN != 0,
            size: (size != u64::MAX).then_some(size),
            recipients: (recipients != u32::MAX).then_some(recipients),
        })
    }

    /// Whether it offers a mechanism that is passed on; nothing if nobody has talked to it.
    fn offers_auth(&self, mechanism: Mechanism) -> Option<bool> {
        let flags = self.flags.load(Ordering::Relaxed);
        let flag = match mechanism {
            Mechanism::ScramSha256 => SCRAM,
            Mechanism::CramMd5 => CRAM,
            Mechanism::Xoauth2 => XOAUTH2,
            Mechanism::Oauthbearer => OAUTHBEARER,
            // Spoken here, and asked of it by whichever it has; or not passed on.
            Mechanism::Plain | Mechanism::Login | Mechanism::ScramSha256Plus => return Some(false),
        };
        (flags & SEEN != 0).then_some(flags & flag != 0)
    }

    pub(super) fn is_known(&self) -> bool {
        self.flags.load(Ordering::Relaxed) & SEEN != 0
    }
}

impl NextHops {
    /// Whether the gateway's upstream offered a mechanism that is passed on when it was last greeted; one that was never greeted is
    /// believed to.
    pub(crate) fn upstream_offers(&self, mechanism: Mechanism) -> bool {
        let lanes = self.upstream().lanes();
        let mut known = lanes
            .filter_map(|lane| lane.seen.offers_auth(mechanism))
            .peekable();
        known.peek().is_none() || known.any(|offers| offers)
    }

    /// What all next hops offer that a message can be sent to.
    pub(crate) fn offers(&self) -> Common {
        self.groups()
            .flat_map(Group::lanes)
            .filter_map(|lane| lane.seen.read())
            .fold(Common::ALL, Common::and)
    }
}

impl Group {
    /// Every way out that a message can take; a member without weight takes none.
    pub(super) fn lanes(&self) -> impl Iterator<Item = &Arc<Lane>> {
        let weighs = |at: usize| {
            let member = self
                .pool
                .as_ref()
                .and_then(|(_, pool)| pool.members.get(at));
            member.is_none_or(|member| member.weight > 0)
        };
        let exits = self.exits.iter().enumerate();
        exits
            .filter(move |(at, _)| weighs(*at))
            .flat_map(|(_, exit)| &exit.lanes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_all_is_offered() {
        let (rich, poor, unknown) = (Seen::default(), Seen::default(), Seen::default());
        rich.note(&Capabilities {
            size: Some(SizeLimit::Octets(1000)),
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            ..Capabilities::default()
        });
        poor.note(&Capabilities {
            size: Some(SizeLimit::Unstated),
            eight_bit_mime: true,
            limits: sekisho_smtp::ehlo::Limits {
                rcpt: Some(10),
                ..Default::default()
            },
            ..Capabilities::default()
        });
        let common = |all: &[&Seen]| {
            all.iter()
                .filter_map(|seen| seen.read())
                .fold(Common::ALL, Common::and)
        };
        assert_eq!(common(&[&unknown]), Common::ALL);
        assert!(!unknown.is_known() && poor.is_known());
        let expected = Common {
            eight_bit_mime: true,
            smtputf8: false,
            dsn: false,
            size: Some(1000),
            recipients: Some(10),
        };
        assert_eq!(common(&[&rich, &poor, &unknown]), expected);
        poor.note(&Capabilities::default());
        assert_eq!(poor.read().map(|seen| seen.eight_bit_mime), Some(false));
    }
}
