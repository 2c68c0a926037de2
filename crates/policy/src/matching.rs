//! To what a rule applies, and whom it exempts. Nothing here allocates.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::IpAddr;

use crate::address::Account;
use crate::event::{Event, Fact, Source, Stage};
use crate::explain::Skip;
use crate::expr::{Expr, Field};
use crate::expr_eval::{Truth, evaluate};
use crate::glob::Globs;
use crate::netset::{Countries, Networks};
use crate::snapshot::{Exempt, Match};

/// The account that an event is about: the one that is claimed while it is being checked, else the authenticated one.
pub(crate) fn account_of(event: &Event) -> Option<&Account> {
    match &event.stage {
        Stage::LoginShown { account, .. } => Some(account),
        Stage::Login { account } | Stage::LoginFailed { account, .. } => account.as_ref(),
        _ => event.account.as_ref().map(|account| &account.name),
    }
}

/// The network of `ip` that has so many bits.
pub(crate) fn prefix(ip: IpAddr, ipv4: u8, ipv6: u8) -> IpNet {
    match ip {
        IpAddr::V4(ip) => Ipv4Net::new_assert(ip, ipv4.min(32)).trunc().into(),
        IpAddr::V6(ip) => Ipv6Net::new_assert(ip, ipv6.min(128)).trunc().into(),
    }
}

/// The /24 or /64, by which networks become known good and `SourcePrefix` counts.
pub(crate) fn site(ip: IpAddr) -> IpNet {
    prefix(ip, 24, 64)
}

/// A [`Match`] made ready: only what it asks, the cheapest first.
#[derive(Clone, Debug)]
pub(crate) struct Matcher(Box<[Test]>);

#[derive(Clone, Debug)]
enum Test {
    Listeners(Vec<Box<str>>),
    Countries(Box<Countries>),
    Networks(Networks),
    Accounts(Globs),
    When(Expr),
}

impl Matcher {
    pub(crate) fn new(applies: &Match) -> Self {
        let Match {
            accounts,
            networks,
            countries,
            listeners,
            when,
        } = applies;
        let listeners =
            || Test::Listeners(listeners.iter().map(|name| name.as_str().into()).collect());
        let tests = [
            (!applies.listeners.is_empty()).then(listeners),
            (!countries.is_empty()).then(|| Test::Countries(Box::new(Countries::new(countries)))),
            (!networks.is_empty()).then(|| Test::Networks(Networks::new(networks))),
            (!accounts.is_empty()).then(|| Test::Accounts(Globs::new(accounts))),
            when.clone().map(Test::When),
        ];
        Self(tests.into_iter().flatten().collect())
    }

    /// Whether its expression looks at `field`.
    pub(crate) fn reads(&self, field: Field) -> bool {
        self.0
            .iter()
            .any(|test| matches!(test, Test::When(when) if when.reads(field)))
    }

    /// The accounts that alone can match, in lower case, if the rule names them one by one.
    pub(crate) fn named_accounts(&self) -> Option<&[Box<str>]> {
        self.0.iter().find_map(|test| match test {
            Test::Accounts(globs) => globs.names_alone(),
            _ => None,
        })
    }

    /// Whether the rule applies to `event`, and if not, why. That the source cannot be trusted is said only where nothing
    /// else speaks against the rule.
    pub(crate) fn check(&self, event: &Event) -> Result<(), Skip> {
        let mut result = Ok(());
        for test in &self.0 {
            match test.check(event) {
                Err(Skip::SourceUntrusted) => result = Err(Skip::SourceUntrusted),
                tested => tested?,
            }
        }
        result
    }
}

impl Test {
    fn check(&self, event: &Event) -> Result<(), Skip> {
        let session = &event.session;
        let by_address = matches!(self, Self::Countries(_) | Self::Networks(_));
        if by_address && !session.source.trust.is_trusted() {
            return Err(Skip::SourceUntrusted);
        }
        let (holds, skip) = match self {
            Self::Listeners(names) => (names.contains(&session.listener), Skip::Listener),
            Self::Countries(list) => (
                session
                    .source
                    .country
                    .is_some_and(|country| list.contains(country)),
                Skip::Country,
            ),
            Self::Networks(list) => (list.contains(session.source.ip), Skip::Network),
            Self::Accounts(globs) => (
                account_of(event).is_some_and(|account| globs.contains(account.as_str())),
                Skip::Account,
            ),
            Self::When(expr) => match evaluate(expr, event) {
                Truth::Unknown => (false, Skip::WhenUnknown),
                truth => (truth == Truth::True, Skip::When),
            },
        };
        if holds { Ok(()) } else { Err(skip) }
    }
}

/// An [`Exempt`] made ready.
#[derive(Clone, Debug)]
pub(crate) struct Exemption {
    networks: Networks,
    /// Sorted.
    asns: Vec<u32>,
    /// Without the leading dot.
    suffixes: Vec<Box<str>>,
    accounts: Globs,
}

impl Exemption {
    pub(crate) fn new(exempt: &Exempt) -> Self {
        let mut asns = exempt.asns.clone();
        asns.sort_unstable();
        Self {
            networks: Networks::new(&exempt.networks),
            asns,
            suffixes: exempt
                .reverse_names
                .iter()
                .map(|name| name.trim_start_matches('.').into())
                .collect(),
            accounts: Globs::new(&exempt.accounts),
        }
    }

    /// Whether the list of accounts names it.
    pub(crate) fn names(&self, account: &Account) -> bool {
        self.accounts.contains(account.as_str())
    }

    /// Which list exempts the event's source or account, if one does. A reverse name that could not be looked up exempts nobody.
    pub(crate) fn exempts(&self, event: &Event) -> Option<&'static str> {
        let source = &event.session.source;
        let ip = source.own_ip();
        if ip.is_some_and(|ip| self.networks.contains(ip)) {
            Some("exempt.networks names the source")
        } else if ip
            .and(source.asn)
            .is_some_and(|asn| self.asns.binary_search(&asn).is_ok())
        {
            Some("exempt.asns names the source")
        } else if account_of(event).is_some_and(|account| self.accounts.contains(account.as_str()))
        {
            Some("exempt.accounts names the account")
        } else if self.by_reverse_name(source) {
            Some("exempt.reverseNames names the source")
        } else {
            None
        }
    }

    /// Whether only a reverse name, not looked up yet, could still exempt.
    pub(crate) fn asks_reverse_names(&self, event: &Event) -> bool {
        !self.suffixes.is_empty()
            && event.session.source.trust.is_trusted()
            && event.session.source.reverse_names.is_unasked()
            && self.exempts(event).is_none()
    }

    fn by_reverse_name(&self, source: &Source) -> bool {
        let (Fact::Known(names), Some(_)) = (&source.reverse_names, source.own_ip()) else {
            return false;
        };
        names.iter().any(|name| {
            self.suffixes
                .iter()
                .any(|suffix| at_label_boundary(name, suffix))
        })
    }
}

/// Whether `name` is `suffix` or lies below it.
fn at_label_boundary(name: &str, suffix: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
    let Some(head) = name.len().checked_sub(suffix.len()) else {
        return false;
    };
    name[head..].eq_ignore_ascii_case(suffix.as_bytes()) && (head == 0 || name[head - 1] == b'.')
}
