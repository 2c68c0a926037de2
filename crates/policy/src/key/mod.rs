//! Keys of tallies: object, unit, window and subject, typed and length-framed, so that two names never share bytes.
//!
//! The object, unit and window of a limit never change while a ruleset lives; [`Scope`] frames them once.

mod read;

use std::net::IpAddr;

use ipnet::IpNet;
use smallvec::SmallVec;

use crate::event::Country;
use crate::id::DecisionId;
use crate::op::Key;
use crate::snapshot::{Kind, ObjectRef, Unit};
use crate::time::Millis;

pub use read::{Parts, affinity, is_signal_of_account, read};

/// What a key counts or locks. The numbers are part of the stored keys and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tally {
    /// Messages that the next hop took.
    Messages = 1,
    /// Recipients.
    Recipients = 2,
    /// Octets.
    Bytes = 3,
    /// Connections.
    Connections = 4,
    /// Login attempts.
    Attempts = 5,
    /// Distinct wrong passwords of an account.
    WrongPasswords = 16,
    /// Distinct accounts with a wrong password, of a source.
    FailedAccounts = 17,
    /// Distinct pairs of account and wrong password, of a source.
    FailedPairs = 18,
    /// Failed logins of an account from a source.
    Failures = 19,
    /// The lock of an account.
    AccountLock = 20,
    /// The lock of a source.
    SourceLock = 21,
    /// The lock of an account from a source.
    PairLock = 22,
    /// Distinct days on which an account logged in from a network.
    GoodDays = 23,
    /// Recipients of an account that the next hop does not know.
    UnknownRecipients = 32,
    /// Whom an account writes to.
    Correspondents = 33,
    /// Distinct countries of an account's logins.
    Countries = 34,
    /// Distinct source networks of an account's logins.
    Sources = 35,
    /// Distinct autonomous systems of an account's logins.
    Asns = 36,
    /// Messages of an account that content made spam.
    SpamVerdicts = 37,
    /// Distinct wrong passwords of an account, as a signal.
    AuthFailures = 38,
    /// Senders that are not the account's.
    SenderMismatches = 39,
    /// Attempts on decoys, of a source.
    DecoyTouches = 40,
    /// Points of an account.
    Points = 41,
    /// How often an account was watched.
    WatchTerm = 42,
    /// How often an account was limited.
    LimitTerm = 43,
    /// How often an account was quarantined.
    QuarantineTerm = 44,
    /// How often an account was suspended.
    SuspendTerm = 45,
    /// Recipients of one message that turned out not to exist.
    Bounced = 46,
    /// Whether people released an account lately.
    LetOff = 47,
    /// Spans of which no day counts for an account's networks.
    Disowned = 48,
    /// Recipients of an account whose restriction limits them.
    RestrictedRecipients = 64,
}

impl Tally {
    const ALL: [Self; 31] = [
        Self::Messages,
        Self::Recipients,
        Self::Bytes,
        Self::Connections,
        Self::Attempts,
        Self::WrongPasswords,
        Self::FailedAccounts,
        Self::FailedPairs,
        Self::Failures,
        Self::AccountLock,
        Self::SourceLock,
        Self::PairLock,
        Self::GoodDays,
        Self::RestrictedRecipients,
        Self::UnknownRecipients,
        Self::Correspondents,
        Self::Countries,
        Self::Sources,
        Self::Asns,
        Self::SpamVerdicts,
        Self::AuthFailures,
        Self::SenderMismatches,
        Self::DecoyTouches,
        Self::Points,
        Self::WatchTerm,
        Self::LimitTerm,
        Self::QuarantineTerm,
        Self::SuspendTerm,
        Self::Bounced,
        Self::LetOff,
        Self::Disowned,
    ];

    /// Whether it is a signal, what follows from one, or what people said, that nobody can set off who has not logged in to the account.
    const fn is_of_account(self) -> bool {
        matches!(
            self,
            Self::UnknownRecipients
                | Self::Correspondents
                | Self::Countries
                | Self::Sources
                | Self::Asns
                | Self::SpamVerdicts
                | Self::SenderMismatches
                | Self::Points
                | Self::WatchTerm
                | Self::LimitTerm
                | Self::QuarantineTerm
                | Self::SuspendTerm
                | Self::LetOff
                | Self::Disowned
        )
    }

    fn read(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&tally| tally as u8 == byte)
    }
}

impl From<Unit> for Tally {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::Messages => Self::Messages,
            Unit::Recipients => Self::Recipients,
            Unit::Bytes => Self::Bytes,
            Unit::Connections => Self::Connections,
            Unit::Attempts => Self::Attempts,
        }
    }
}

/// One part of whom or what a tally is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// An account's canonical name.
    Account(&'a str),
    /// A source address.
    Source(IpAddr),
    /// A source network.
    Prefix(IpNet),
    /// An autonomous system, or all unknown ones.
    Asn(Option<u32>),
    /// A country, or all unknown ones.
    Country(Option<Country>),
    /// The envelope sender's domain; empty for the null sender.
    SenderDomain(&'a str),
    /// A recipient's domain.
    RecipientDomain(&'a str),
    /// A gateway, by namespace and name.
    Gateway(&'a str, &'a str),
    /// A record.
    Record(DecisionId),
}

/// A framed list of [`Subject`]s.
#[derive(Clone, Debug, Default)]
pub struct Subjects(SmallVec<[u8; 96]>);

impl Subjects {
    /// Frames one more part.
    pub fn push(&mut self, subject: Subject<'_>) {
        match subject {
            Subject::Account(name) => self.tagged(1, &[name.as_bytes()]),
            Subject::Source(IpAddr::V4(ip)) => self.tagged(2, &[&ip.octets()]),
            Subject::Source(IpAddr::V6(ip)) => self.tagged(2, &[&ip.octets()]),
            Subject::Prefix(IpNet::V4(net)) => {
                self.tagged(3, &[&[net.prefix_len()], &net.network().octets()])
            }
            Subject::Prefix(IpNet::V6(net)) => {
                self.tagged(3, &[&[net.prefix_len()], &net.network().octets()])
            }
            Subject::Asn(Some(asn)) => self.tagged(4, &[&asn.to_be_bytes()]),
            Subject::Asn(None) => self.tagged(4, &[]),
            Subject::Country(Some(country)) => self.tagged(5, &[country.as_str().as_bytes()]),
            Subject::Country(None) => self.tagged(5, &[]),
            Subject::SenderDomain(domain) => self.tagged(6, &[domain.as_bytes()]),
            Subject::RecipientDomain(domain) => self.tagged(7, &[domain.as_bytes()]),
            Subject::Record(id) => self.tagged(9, &[&id.bits().to_be_bytes()]),
            Subject::Gateway(namespace, name) => self.tagged(
                8,
                &[&frame_len(namespace), namespace.as_bytes(), name.as_bytes()],
            ),
        }
    }

    /// The subjects of one list.
    #[must_use]
    pub fn of(subjects: &[Subject<'_>]) -> Self {
        let mut framed = Self::default();
        subjects.iter().for_each(|&subject| framed.push(subject));
        framed
    }

    /// The framed bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn tagged(&mut self, tag: u8, parts: &[&[u8]]) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        self.0.push(tag);
        self.0.extend_from_slice(&(len as u32).to_be_bytes());
        parts.iter().for_each(|part| self.0.extend_from_slice(part));
    }
}

/// The part of a key that a rule fixes: its object, what is counted, and the window (zero for locks).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope(Box<[u8]>);

impl Scope {
    /// Frames the fixed part.
    #[must_use]
    pub fn new(object: &ObjectRef, tally: Tally, window: Millis) -> Self {
        let mut framed = vec![kind_byte(object.kind)];
        for text in [&object.namespace, &object.name] {
            framed.extend_from_slice(&frame_len(text));
            framed.extend_from_slice(text.as_bytes());
        }
        framed.push(tally as u8);
        framed.extend_from_slice(&window.0.to_be_bytes());
        Self(framed.into())
    }

    /// The key of `subjects` in this scope.
    #[must_use]
    pub fn key(&self, subjects: &Subjects) -> Key {
        let mut framed: SmallVec<[u8; 256]> = SmallVec::from_slice(&self.0);
        framed.extend_from_slice(&subjects.0);
        Key::new(&framed)
    }
}

/// Lengths are four octets: no text that reaches a key comes near that, and a cast could not overlap two names before it did.
fn frame_len(text: &str) -> [u8; 4] {
    (text.len() as u32).to_be_bytes()
}

const fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::MailGateway => 1,
        Kind::SubmissionPolicy => 2,
        Kind::CountryRule => 3,
        Kind::RateLimit => 4,
        Kind::LoginGuard => 5,
        Kind::EgressPool => 6,
        Kind::AbuseRule => 7,
        Kind::NotificationChannel => 8,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::read::KINDS;
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    enum Owned {
        Account(String),
        Source(IpAddr),
        Prefix(IpNet),
        Asn(Option<u32>),
        Country(Option<Country>),
        SenderDomain(String),
        RecipientDomain(String),
        Gateway(String, String),
        Record(DecisionId),
    }

    impl Owned {
        fn subject(&self) -> Subject<'_> {
            match self {
                Self::Account(name) => Subject::Account(name),
                Self::Source(ip) => Subject::Source(*ip),
                Self::Prefix(net) => Subject::Prefix(*net),
                Self::Asn(asn) => Subject::Asn(*asn),
                Self::Country(country) => Subject::Country(*country),
                Self::SenderDomain(domain) => Subject::SenderDomain(domain),
                Self::RecipientDomain(domain) => Subject::RecipientDomain(domain),
                Self::Gateway(namespace, name) => Subject::Gateway(namespace, name),
                Self::Record(id) => Subject::Record(*id),
            }
        }
    }

    fn subject() -> impl Strategy<Value = Owned> {
        // Few letters, so that two names are often almost alike.
        let text = "[a\\x00.@]{0,3}";
        prop_oneof![
            text.prop_map(Owned::Account),
            any::<IpAddr>().prop_map(Owned::Source),
            (any::<IpAddr>(), 0u8..=32)
                .prop_map(|(ip, bits)| Owned::Prefix(IpNet::new(ip, bits).unwrap().trunc())),
            any::<Option<u32>>().prop_map(Owned::Asn),
            proptest::option::of("[A-Z]{2}")
                .prop_map(|code| Owned::Country(code.map(|code| Country::try_from(code).unwrap()))),
            text.prop_map(Owned::SenderDomain),
            text.prop_map(Owned::RecipientDomain),
            (text, text).prop_map(|(namespace, name)| Owned::Gateway(namespace, name)),
            any::<u64>().prop_map(|bits| Owned::Record(DecisionId::from_random(bits))),
        ]
    }

    proptest! {
        /// Reading a key gives back every part, so that no two names can have the same bytes.
        #[test]
        fn framing_is_injective(
            kind in proptest::sample::select(KINDS.to_vec()), namespace in "[a/]{0,3}", name in "[a/]{0,3}",
            tally in proptest::sample::select(Tally::ALL.to_vec()), window: u64,
            subjects in proptest::collection::vec(subject(), 0..5),
        ) {
            let object = ObjectRef { kind: kind.0, namespace, name };
            let list: Vec<_> = subjects.iter().map(Owned::subject).collect();
            let key = Scope::new(&object, tally, Millis(window)).key(&Subjects::of(&list));
            prop_assert_eq!(read(&key), Some(Parts { object, tally, window: Millis(window), subjects: list }));
        }

        #[test]
        fn reading_foreign_bytes_does_not_panic(bytes: Vec<u8>) {
            let _ = read(&Key::new(&bytes));
            let _ = affinity(&Key::new(&bytes));
        }
    }

    #[test]
    fn reads_as_words() {
        let object = ObjectRef {
            kind: Kind::RateLimit,
            namespace: "mail".into(),
            name: "by-account".into(),
        };
        let subjects = Subjects::of(&[Subject::Account("a@example.jp"), Subject::Asn(None)]);
        let key = Scope::new(&object, Tally::Recipients, Millis::HOUR).key(&subjects);
        assert_eq!(
            read(&key).unwrap().to_string(),
            "RateLimit/mail/by-account Recipients 1h account=a@example.jp asn=unknown"
        );
    }

    #[test]
    fn keys_about_one_account_or_one_network_belong_together() {
        let object = |name: &str| ObjectRef {
            kind: Kind::RateLimit,
            namespace: "mail".into(),
            name: name.into(),
        };
        let of = |name: &str, tally, subjects: &[Subject<'_>]| {
            affinity(&Scope::new(&object(name), tally, Millis::HOUR).key(&Subjects::of(subjects)))
        };
        let account = Subject::Account("a@example.jp");
        let source = |ip: &str| Subject::Source(ip.parse().unwrap());
        let prefix = |net: &str| Subject::Prefix(net.parse().unwrap());
        let by_account = of("one", Tally::Recipients, &[account]);
        assert_eq!(
            by_account,
            of("two", Tally::AccountLock, &[source("192.0.2.1"), account])
        );
        assert_ne!(
            by_account,
            of(
                "one",
                Tally::Recipients,
                &[Subject::Account("b@example.jp")]
            )
        );
        let by_network = of("one", Tally::Connections, &[source("192.0.2.1")]);
        assert_eq!(
            by_network,
            of("two", Tally::SourceLock, &[prefix("192.0.2.0/24")])
        );
        assert_ne!(
            by_network,
            of("one", Tally::Connections, &[source("192.0.3.1")])
        );
        assert_eq!(
            of("one", Tally::Attempts, &[source("2001:db8::1")]),
            of("one", Tally::SourceLock, &[prefix("2001:db8::/64")])
        );
        let country = Subject::Country(None);
        assert_eq!(
            by_network,
            of("one", Tally::Messages, &[country, source("192.0.2.7")])
        );
        assert_ne!(
            of("one", Tally::Messages, &[country]),
            of("one", Tally::Messages, &[])
        );
    }

    #[test]
    fn strangers_make_no_keys_of_signals() {
        let object = ObjectRef {
            kind: Kind::AbuseRule,
            namespace: "mail".into(),
            name: "stolen".into(),
        };
        let subjects = Subjects::of(&[Subject::Account("a@example.jp")]);
        let is_signal =
            |tally| is_signal_of_account(&Scope::new(&object, tally, Millis(0)).key(&subjects));
        assert!(is_signal(Tally::SpamVerdicts) && is_signal(Tally::Points));
        for anybodys in [
            Tally::AuthFailures,
            Tally::DecoyTouches,
            Tally::Recipients,
            // Of each message one: they would push out what is known of accounts.
            Tally::Bounced,
        ] {
            assert!(!is_signal(anybodys), "{anybodys:?}");
        }
        assert!(!is_signal_of_account(&Key::new(b"")));
        let limit = ObjectRef {
            kind: Kind::RateLimit,
            ..object.clone()
        };
        let of_limit = |tally| Scope::new(&limit, tally, Millis(0)).key(&subjects);
        assert!(is_signal_of_account(&of_limit(Tally::SuspendTerm)));
        assert!(!is_signal_of_account(&of_limit(Tally::Recipients)));
    }

    #[test]
    fn kinds_keep_their_numbers() {
        for (kind, number) in KINDS {
            assert_eq!(kind_byte(kind), number);
        }
    }
}
