//! Who sends: the demo's accounts at home, the one that was stolen, and the addresses that the attacker comes from.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context as _, Result, ensure};
use sekisho_compile::files::{Demo, DemoAccount};
use sekisho_policy::event::Country;
use sekisho_policy::snapshot::Gateway;
use sekisho_runtime::country::CountryLookup;

use super::random::Random;

/// Addresses that the attacker comes from.
const BOTS: usize = 120;
/// Draws until an address of the right country is found. One in thirty or so is Japanese.
const MOST_DRAWS: usize = 1_000_000;

/// Who sends.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) honest: Vec<Sender>,
    /// One of the honest ones, who goes on sending while the attacker does.
    pub(super) stolen: DemoAccount,
    pub(super) bots: Vec<IpAddr>,
    pub(super) countries: BTreeSet<String>,
    /// For everything else that is left to chance.
    pub(super) random: Random,
}

/// An honest account, and where it is at home.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    pub(super) account: DemoAccount,
    pub(super) from: IpAddr,
}

impl Scenario {
    /// The accounts of the `Demo` objects. The last one is the stolen one.
    ///
    /// # Errors
    /// There are too few accounts, or no country is home.
    pub(super) fn gather(demos: &[Demo], gateway: &Gateway, seed: u64) -> Result<Self> {
        let accounts: Vec<DemoAccount> = demos
            .iter()
            .flat_map(|demo| demo.accounts.iter().cloned())
            .collect();
        ensure!(
            accounts.len() >= 2,
            "an attack needs a Demo object with two accounts or more, whose passwords it can use"
        );
        let home = &gateway.home;
        ensure!(
            !home.is_empty(),
            "the gateway's `home` names no country for the honest senders to be in"
        );
        let mut random = Random::seeded(seed);
        let places = CountryLookup::embedded();
        let country = |ip: IpAddr| places.lookup(ip).country.and_then(Country::parse);
        let mut honest = Vec::new();
        for account in &accounts {
            let from = draw(&mut random, |ip| {
                country(ip).is_some_and(|country| home.contains(&country))
            })?;
            honest.push(Sender {
                account: account.clone(),
                from,
            });
        }
        let abroad = |ip| country(ip).filter(|country| !home.contains(country));
        let (mut bots, mut countries) = (Vec::new(), BTreeSet::new());
        while bots.len() < BOTS {
            let ip = draw(&mut random, |ip| abroad(ip).is_some())?;
            countries.extend(abroad(ip).map(String::from));
            bots.push(ip);
        }
        Ok(Self {
            stolen: accounts[accounts.len() - 1].clone(),
            honest,
            bots,
            countries,
            random,
        })
    }
}

fn draw(random: &mut Random, fits: impl Fn(IpAddr) -> bool) -> Result<IpAddr> {
    let mut draws = (0..MOST_DRAWS).map(|_| {
        let bits = u32::try_from(random.next() >> 32).unwrap_or_default();
        IpAddr::V4(Ipv4Addr::from(bits))
    });
    draws
        .find(|ip| fits(*ip))
        .context("no address of the countries that are home was found")
}
