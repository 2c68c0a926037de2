//! Names of keys in Redis: no account and no address can be read from them.
//!
//! `sekisho:1:{GROUP}tNAME`, where `1` is the version of what is stored, GROUP and NAME are keyed hashes (64 and 128 bits), and the
//! letter says what is stored: `t` a tally, `s` a set, `l` a lock, `p` points, `c` correspondents, `d` what is disowned, `h` who holds leases, `g` that
//! something was given back. What events usually ask
//! together (all about one account; all about one source network) has one GROUP, and with it one slot of a Cluster.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sekisho_policy::{Key, key};
use sha2::Sha256;

use super::setup::NamingKey;

pub(super) const PREFIX: &str = "sekisho:1:";

/// What is stored under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Tally,
    Set,
    Lock,
    Purse,
    Circle,
    Spans,
    Holders,
}

impl Sort {
    const fn letter(self) -> char {
        match self {
            Self::Tally => 't',
            Self::Set => 's',
            Self::Lock => 'l',
            Self::Purse => 'p',
            Self::Circle => 'c',
            Self::Spans => 'd',
            Self::Holders => 'h',
        }
    }
}

/// Names keys of policy. Cloned for each name, it never changes.
pub(super) struct Names(Hmac<Sha256>);

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names(..)")
    }
}

/// The name of one key of policy, before it is said what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    group: String,
    own: String,
}

impl Name {
    pub(super) fn of(&self, sort: Sort) -> String {
        let (group, letter, own) = (&self.group, sort.letter(), &self.own);
        format!("{PREFIX}{{{group}}}{letter}{own}")
    }

    pub(super) fn slot(&self) -> u16 {
        slot_of(&self.group)
    }
}

/// The slot of every key whose braces hold `group`.
pub(super) fn slot_of(group: &str) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(group.as_bytes()) % SLOTS
}

/// Slots of a Cluster.
pub(super) const SLOTS: u16 = 16_384;

impl Names {
    pub(super) fn new(key: &NamingKey) -> Self {
        Self(Hmac::new_from_slice(key.expose()).expect("HMAC takes any length"))
    }

    pub(super) fn name(&self, of: &Key) -> Name {
        let group = self.digest(b'g', &key::affinity(of));
        let own = self.digest(b'k', of.as_bytes());
        Name {
            group: URL_SAFE_NO_PAD.encode(&group[..8]),
            own: URL_SAFE_NO_PAD.encode(&own[..16]),
        }
    }

    pub(super) fn digest(&self, purpose: u8, octets: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(&[purpose]);
        mac.update(octets);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use sekisho_policy::Millis;
    use sekisho_policy::key::{Scope, Subject, Subjects, Tally};
    use sekisho_policy::snapshot::{Kind, ObjectRef};

    use super::*;

    fn named(names: &Names, tally: Tally, subjects: &[Subject<'_>]) -> Name {
        let object = ObjectRef {
            kind: Kind::RateLimit,
            namespace: "mail".into(),
            name: "by-account".into(),
        };
        names.name(&Scope::new(&object, tally, Millis::HOUR).key(&Subjects::of(subjects)))
    }

    #[test]
    fn what_is_asked_together_is_in_one_slot() {
        let names = Names::new(&NamingKey::new([7; 32]));
        let account = Subject::Account("a@example.jp");
        let ip = Subject::Source("192.0.2.9".parse().unwrap());
        let net = Subject::Prefix("192.0.2.0/24".parse().unwrap());
        let by_account = named(&names, Tally::Recipients, &[account]);
        for subjects in [&[account, ip][..], &[net, account], &[account]] {
            let other = named(&names, Tally::AccountLock, subjects);
            assert_eq!(other.slot(), by_account.slot());
            assert_ne!(other, by_account);
        }
        let by_source = named(&names, Tally::Connections, &[ip]);
        assert_eq!(
            by_source.slot(),
            named(&names, Tally::SourceLock, &[net]).slot()
        );
        assert_ne!(by_source.slot(), by_account.slot());
    }

    #[test]
    fn a_name_tells_nothing_and_is_the_keys_own() {
        let names = Names::new(&NamingKey::new([7; 32]));
        let name = named(
            &names,
            Tally::Recipients,
            &[Subject::Account("office@example.jp")],
        );
        let text = name.of(Sort::Tally);
        assert!(
            text.starts_with("sekisho:1:{") && text.len() == 46,
            "{text}"
        );
        assert!(!text.contains("office") && !text.contains("mail"), "{text}");
        assert_ne!(text, name.of(Sort::Set));
        let others = Names::new(&NamingKey::new([8; 32]));
        let other = named(
            &others,
            Tally::Recipients,
            &[Subject::Account("office@example.jp")],
        );
        assert_ne!(other.of(Sort::Tally), text);
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot_of("123456789"), 12_739);
        assert_eq!(slot_of(""), 0);
    }
}
