//! To what a rule applies, and whom it exempts. Nothing here allocates.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::IpAddr;

use crate::address::Account;
use crate::event::{Event, Fact, Source, Stage};
use crate::explain::Skip;
use crate::expr::Expr;
use crate::expr_eval::{Truth, evaluate};
use crate::glob::Globs;
use crate::netset::{Countries, Networks};
use crate::snapshot::{Exempt, Match};

/// The account that an event is about: the one that is claimed while it is being checked, else the authenticated one.
pub(crate) fn account_of(event: &Event) -> Option<&Account> {
    match &event.stage {
        Stage::Login { account } | Stage::LoginFailed { account, .. } => Some(account),
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

/// A [`Match`] made ready.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    accounts: Globs,
    networks: Networks,
    countries: Countries,
    listeners: Vec<Box<str>>,
    when: Option<Expr>,
}

impl Matcher {
    pub(crate) fn new(applies: &Match) -> Self {
        Self {
            accounts: Globs::new(&applies.accounts),
            networks: Networks::new(&applies.networks),
            countries: Countries::new(&applies.countries),
            listeners: applies
                .listeners
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            when: applies.when.clone(),
        }
    }

    /// Whether the rule applies to `event`, and if not, why.
    pub(crate) fn check(&self, event: &Event) -> Result<(), Skip> {
        let session = &event.session;
        if !self.listeners.is_empty() && !self.listeners.contains(&session.listener) {
            return Err(Skip::Listener);
        }
        if !self.countries.is_empty()
            && !session
                .source
                .country
                .is_some_and(|country| self.countries.contains(country))
        {
            return Err(Skip::Country);
        }
        if !self.networks.is_empty() && !self.networks.contains(session.source.ip) {
            return Err(Skip::Network);
        }
        if !self.accounts.is_empty()
            && !account_of(event).is_some_and(|account| self.accounts.contains(account.as_str()))
        {
            return Err(Skip::Account);
        }
        match self.when.as_ref().map(|when| evaluate(when, event)) {
            None | Some(Truth::True) => Ok(()),
            Some(Truth::False) => Err(Skip::When),
            Some(Truth::Unknown) => Err(Skip::WhenUnknown),
        }
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

    /// Which list exempts the event's source or account, if one does. A reverse name that could not be looked up exempts nobody.
    pub(crate) fn exempts(&self, event: &Event) -> Option<&'static str> {
        let source = &event.session.source;
        if self.networks.contains(source.ip) {
            Some("exempt.networks names the source")
        } else if source
            .asn
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
            && event.session.source.reverse_names.is_unasked()
            && self.exempts(event).is_none()
    }

    fn by_reverse_name(&self, source: &Source) -> bool {
        let Fact::Known(names) = &source.reverse_names else {
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
