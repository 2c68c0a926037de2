//! Where a session takes place: the listener, the client's address and its country.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use sekisho_policy::event::{Country, Fact, Source, SourceTrust};
use sekisho_policy::snapshot::{Listener, Snapshot};
use sekisho_runtime::country::{CountryLookup, Place};

/// The listener of that name, or the gateway's first.
///
/// # Errors
/// There is none.
pub(crate) fn listener<'a>(snapshot: &'a Snapshot, wanted: Option<&str>) -> Result<&'a Listener> {
    let listeners = &snapshot.gateway.listeners;
    match wanted {
        None => listeners.first().context("the gateway has no listener"),
        Some(name) => listeners
            .iter()
            .find(|listener| listener.name == name)
            .with_context(|| {
                let names: Vec<_> = listeners
                    .iter()
                    .map(|listener| listener.name.as_str())
                    .collect();
                format!("no listener {name}; there is: {}", names.join(", "))
            }),
    }
}

/// The databases that the gateway names, or what is compiled in.
///
/// # Errors
/// A database that cannot be used.
pub(crate) fn lookup(snapshot: &Snapshot) -> Result<CountryLookup> {
    let named = [
        &snapshot.gateway.country_database,
        &snapshot.gateway.asn_database,
    ];
    let paths: Vec<PathBuf> = named.into_iter().flatten().map(PathBuf::from).collect();
    Ok(CountryLookup::open(&paths, &std::env::temp_dir())?)
}

/// An address and what is known of its place.
pub(crate) fn source_of(ip: IpAddr, place: Place) -> Source {
    Source {
        ip: ip.to_canonical(),
        country: place.country.and_then(Country::parse),
        asn: place.asn,
        reverse_names: Fact::Unasked,
        trust: SourceTrust::Trusted,
    }
}
