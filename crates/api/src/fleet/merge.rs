//! One fleet out of what several replicas know. A proxy that moved is known to two of them for a while; what it said last
//! counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use sekisho_policy::Fleet;

use super::reports::{Name, Said};

pub(super) fn newest<'a>(all: impl Iterator<Item = (&'a Name, &'a Said)>) -> Fleet {
    let mut newest = BTreeMap::<&Name, &Said>::new();
    for (name, said) in all {
        newest
            .entry(name)
            .and_modify(|known| {
                if known.at < said.at {
                    *known = said;
                }
            })
            .or_insert(said);
    }
    let mut fleet = Fleet::new();
    for (name, said) in newest {
        let report = Arc::clone(&said.report);
        match fleet.get_mut(&*name.gateway) {
            Some(proxies) => {
                proxies.insert(name.proxy.to_string(), report);
            }
            None => {
                let proxies = [(name.proxy.to_string(), report)].into();
                fleet.insert(name.gateway.to_string(), proxies);
            }
        }
    }
    fleet
}
