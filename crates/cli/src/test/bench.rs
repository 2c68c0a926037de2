//! One gateway's rules, and what a case needs beside them: places, listeners, names.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result, bail, ensure};
use sekisho_compile::files::{Domain, Expect, Origin, Outage, TestClient, TestMessage, numbered};
use sekisho_policy::event::{ConfigState, Fact, Source};
use sekisho_policy::{Account, Envelope, ObjectRef, Opinion, Ruleset, Timestamp};
use sekisho_runtime::country::CountryLookup;

use crate::simulate::{Client, Given, listener, lookup, source_of};

/// Where a client is if nobody says: an address of documentation (RFC 5737).
const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// What a case calls the gateway's own next hop. No pool has a capital in its name.
pub(super) const UPSTREAM: &str = "Upstream";

/// A gateway whose rules are tried.
pub(super) struct Bench {
    envelope: Envelope,
    pub(super) rules: Ruleset,
    places: CountryLookup,
}

impl Bench {
    pub(super) fn new(envelope: Envelope) -> Result<Self> {
        let rules = Ruleset::load(&envelope)?;
        let places = lookup(&envelope.snapshot)?;
        Ok(Self {
            envelope,
            rules,
            places,
        })
    }

    /// The client as it comes for this repetition.
    pub(super) fn client<'a>(
        &'a self,
        test: &'a TestClient,
        repetition: u32,
        at: Timestamp,
    ) -> Result<Client<'a>> {
        Ok(Client {
            listener: listener(&self.envelope.snapshot, test.listener.as_deref())?,
            source: self.source(test, repetition)?,
            helo: test.helo.as_deref().unwrap_or("client.invalid"),
            before_greeting: test.before_greeting,
            at,
        })
    }

    fn source(&self, test: &TestClient, repetition: u32) -> Result<Source> {
        let ip = match &test.source {
            Some(source) => numbered(source, repetition)
                .parse()
                .context("the source is no address")?,
            None => SOMEWHERE,
        };
        let found = source_of(ip, self.places.lookup(ip));
        let country = match (test.country, &test.source) {
            (Some(Origin::Country(country)), _) => Some(country),
            (Some(Origin::Unknown), _) => None,
            (None, Some(_)) => found.country,
            // Who is not said to be anywhere is at home.
            (None, None) => self.rules.gateway().home.first().copied(),
        };
        Ok(Source {
            country,
            asn: test.asn.or(found.asn),
            ..found
        })
    }

    /// The account in the form that rules see.
    pub(super) fn account(&self, test: &TestClient, repetition: u32) -> Option<Account> {
        let domain = self
            .rules
            .gateway()
            .authentication
            .default_domain
            .as_deref();
        let account = test.account.as_deref()?;
        Some(Account::canonical(&numbered(account, repetition), domain))
    }

    /// What DNS and engines say.
    pub(super) fn given(&self, test: &TestClient, message: Option<&TestMessage>) -> Result<Given> {
        let names = test.reverse_names.as_ref();
        let names = names.map(|names| {
            names
                .iter()
                .map(|name| name.to_ascii_lowercase().into())
                .collect()
        });
        let domains = message
            .map(|message| message.domains.iter())
            .into_iter()
            .flatten();
        let mut given = Given {
            reverse_names: names.map_or(Fact::Unasked, Fact::Known),
            domains: domains
                .map(|(name, domain)| (name.clone(), standing(*domain)))
                .collect(),
            opinions: self.opinions(message.map_or(&[], |message| &message.engines))?,
        };
        if test.outages.contains(&Outage::Dns) {
            given.reverse_names = Fact::Unavailable;
            given.domains = [("*".to_owned(), Fact::Unavailable)].into();
        }
        if test.outages.contains(&Outage::Engines) {
            given.opinions = Fact::Known(vec![Opinion::Out; self.rules.engines().len()]);
        }
        Ok(given)
    }

    fn opinions(&self, said: &[Opinion]) -> Result<Fact<Vec<Opinion>>> {
        let engines = self.rules.engines().len();
        if said.is_empty() {
            return Ok(Fact::Unasked);
        }
        ensure!(
            said.len() == engines,
            "the case says what {} content engines say, and the policy has {engines}",
            said.len()
        );
        Ok(Fact::Known(said.to_vec()))
    }

    pub(super) fn config(test: &TestClient) -> ConfigState {
        if test.outages.contains(&Outage::Config) {
            ConfigState::Unavailable
        } else {
            ConfigState::Current
        }
    }

    /// Whether there is everything that is expected by name: a name that is misspelt is no expectation.
    ///
    /// # Errors
    /// The first that is not there.
    pub(super) fn knows(&self, expect: &Expect) -> Result<()> {
        let named = expect.rule.iter().chain(expect.shadow.iter().flatten());
        let known: Vec<String> = self.objects().map(short).collect();
        for name in named {
            if !known.contains(name) {
                bail!(
                    "there is no {name} at this gateway; there is: {}",
                    known.join(", ")
                );
            }
        }
        let Some(pool) = expect.pool.as_deref().filter(|pool| *pool != UPSTREAM) else {
            return Ok(());
        };
        let pools: Vec<&str> = self.rules.pools().map(|(name, _)| &**name).collect();
        ensure!(
            pools.contains(&pool),
            "there is no pool {pool}; there is: {UPSTREAM}, {}",
            pools.join(", ")
        );
        Ok(())
    }

    fn objects(&self) -> impl Iterator<Item = &ObjectRef> {
        let rules = self.rules.objects().map(|object| &**object);
        let pools = self.rules.pools().map(|(_, pool)| &pool.object);
        std::iter::once(&**self.rules.gateway_ref())
            .chain(rules)
            .chain(pools)
    }
}

/// An object as cases name it: `RateLimit/per-account`.
pub(super) fn short(object: &ObjectRef) -> String {
    format!("{}/{}", object.kind, object.name)
}

fn standing(domain: Domain) -> Fact<sekisho_policy::event::DomainStanding> {
    match domain {
        Domain::Standing(standing) => Fact::Known(standing),
        Domain::Unavailable => Fact::Unavailable,
    }
}
