//! From the pools of a snapshot to ways out, and why some are refused.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use sekisho_policy::snapshot::{HostPort, Member, Pool, Relay, Upstream, UpstreamTls};
use sekisho_runtime::metrics::NO_NAME;
use sekisho_smtp::command::ClientName;

use super::endpoint::Endpoint;
use super::group::{Exit, Group, GroupState};
use super::hops::Environment;
use super::idle::Idle;
use super::lane::{Admission, Lane, LaneKey};
use super::slots::{Slots, UNLIMITED};
use super::source;

/// Messages over one connection to the gateway's own upstream.
const UPSTREAM_MESSAGES: u32 = 100;
/// Idle connections to the gateway's own upstream.
const UPSTREAM_IDLE: usize = 128;

/// A snapshot whose next hops cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("the gateway's upstream has no endpoints")]
    NoEndpoints,
    #[error("pool {0}: it has no members")]
    NoMembers(String),
    #[error("pool {pool}, member {member}: {helo:?} is no name for EHLO")]
    HeloName {
        pool: String,
        member: String,
        helo: String,
    },
    #[error("pool {pool}, member {member}: {name:?} cannot be sent as a header field")]
    Header {
        pool: String,
        member: String,
        name: String,
    },
    #[error(
        "pool {pool}, member {member}: nothing can leave from {address} ({why}); give that address to this machine, or \
         another sourceAddress to the member"
    )]
    SourceAddress {
        pool: String,
        member: String,
        address: IpAddr,
        why: String,
    },
    #[error(
        "pool {pool}, member {member}: {address} is no address that mail can leave from; give the member one of this \
         machine's addresses, or leave sourceAddress out"
    )]
    NoSourceAddress {
        pool: String,
        member: String,
        address: IpAddr,
    },
    #[error(
        "pool {pool}, member {member}: {relay} cannot be reached from {address}, which is of the other IP version; give the \
         member a sourceAddress or a relay of the same"
    )]
    SourceFamily {
        pool: String,
        member: String,
        address: IpAddr,
        relay: HostPort,
    },
    #[error(
        "pool {pool}, member {member}: credentials cross a network only with tls: Required or Implicit; set it, or \
         leave credentialsRef and oauth out"
    )]
    LoginInClear { pool: String, member: String },
    #[error("pool {pool}: it allows no {what}")]
    Nothing { pool: String, what: &'static str },
}

/// What the next snapshot takes over.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) endpoints: HashMap<(HostPort, UpstreamTls), Arc<Endpoint>>,
    pub(super) lanes: HashMap<LaneKey, Arc<Lane>>,
    pub(super) groups: HashMap<Option<Arc<str>>, GroupState>,
}

/// Makes the next hops of one snapshot.
pub(super) struct Loader<'a> {
    pub(super) environment: &'a Environment,
    pub(super) upstream: &'a Upstream,
}

impl Loader<'_> {
    /// The gateway's own upstream.
    pub(super) fn upstream(&self, before: &mut Kept, kept: &mut Kept) -> Result<Group, LoadError> {
        let lanes = self.upstream_lanes(None, &self.environment.host_name, before, kept);
        if lanes.is_empty() {
            return Err(LoadError::NoEndpoints);
        }
        let exits = vec![Exit {
            member: None,
            lanes,
            weights: self.upstream_weights(),
            headers: Arc::default(),
        }];
        Ok(Group {
            pool: None,
            endpoints: endpoints(&exits),
            exits,
            shared: state(None, UNLIMITED, before, kept),
            limit: UNLIMITED,
            most_messages: UPSTREAM_MESSAGES,
            most_idle: UPSTREAM_IDLE,
            metrics: self.environment.metrics.pool(NO_NAME),
        })
    }

    /// A pool.
    pub(super) fn pool(
        &self,
        name: &Arc<str>,
        pool: &Pool,
        before: &mut Kept,
        kept: &mut Kept,
    ) -> Result<Group, LoadError> {
        let nothing = |what| LoadError::Nothing {
            pool: name.to_string(),
            what,
        };
        if pool.members.is_empty() {
            return Err(LoadError::NoMembers(name.to_string()));
        }
        if pool.max_connections == 0 {
            return Err(nothing("connections"));
        }
        if pool.messages_per_connection == 0 {
            return Err(nothing("messages on a connection"));
        }
        let exits: Vec<Exit> = pool
            .members
            .iter()
            .map(|member| self.exit(name, member, before, kept))
            .collect::<Result<_, _>>()?;
        let limit = usize::try_from(pool.max_connections)
            .unwrap_or(UNLIMITED)
            .min(UNLIMITED);
        let object = &pool.object;
        Ok(Group {
            pool: Some((Arc::clone(name), pool.clone())),
            endpoints: endpoints(&exits),
            exits,
            shared: state(Some(name), limit, before, kept),
            limit,
            most_messages: pool.messages_per_connection,
            most_idle: limit,
            metrics: self
                .environment
                .metrics
                .pool(&format!("{}/{}", object.namespace, object.name)),
        })
    }

    fn exit(
        &self,
        pool: &str,
        member: &Member,
        before: &mut Kept,
        kept: &mut Kept,
    ) -> Result<Exit, LoadError> {
        let helo = match &member.helo_name {
            None => self.environment.host_name.clone(),
            Some(helo) => ClientName::new(helo).ok_or_else(|| LoadError::HeloName {
                pool: pool.to_owned(),
                member: member.name.clone(),
                helo: helo.clone(),
            })?,
        };
        self.check_source(pool, member, before)?;
        let (lanes, weights, headers) = match &member.relay {
            None => (
                self.upstream_lanes(member.source_address, &helo, before, kept),
                self.upstream_weights(),
                Arc::default(),
            ),
            Some(relay) => {
                let key = LaneKey {
                    address: relay.address.clone(),
                    tls: relay.tls,
                    trust: relay.trust.clone(),
                    source: member.source_address,
                    helo,
                    passing: relay.client_identity,
                    admission: match (&relay.credentials, &relay.oauth) {
                        (_, Some(oauth)) => Admission::OAuth(Arc::new(oauth.clone())),
                        (Some(secret), None) => Admission::Secret(secret.as_str().into()),
                        (None, None) => Admission::Open,
                    },
                };
                if key.admission != Admission::Open && !may_be_logged_in_to(relay) {
                    return Err(LoadError::LoginInClear {
                        pool: pool.to_owned(),
                        member: member.name.clone(),
                    });
                }
                let headers = header_fields(relay).map_err(|name| LoadError::Header {
                    pool: pool.to_owned(),
                    member: member.name.clone(),
                    name,
                })?;
                (vec![lane(key, before, kept)], vec![1], headers)
            }
        };
        Ok(Exit {
            member: Some(member.name.as_str().into()),
            lanes,
            weights,
            headers,
        })
    }

    /// A member whose address is not ours would only defer mail. An address that was in use already is left to the health
    /// of its member: that it went away is no reason to refuse other changes.
    fn check_source(&self, pool: &str, member: &Member, before: &Kept) -> Result<(), LoadError> {
        let Some(address) = member.source_address else {
            return Ok(());
        };
        if !Member::can_leave_from(address) {
            return Err(LoadError::NoSourceAddress {
                pool: pool.to_owned(),
                member: member.name.clone(),
                address,
            });
        }
        let next_hops: Vec<&HostPort> = match &member.relay {
            Some(relay) => vec![&relay.address],
            None => {
                let endpoints = self.upstream.endpoints.iter();
                endpoints.map(|endpoint| &endpoint.address).collect()
            }
        };
        let is_of_other_family = |hop: &HostPort| {
            hop.host
                .parse::<IpAddr>()
                .is_ok_and(|to| to.is_ipv4() != address.is_ipv4())
        };
        if let Some(relay) = next_hops.first()
            && next_hops.iter().all(|hop| is_of_other_family(hop))
        {
            return Err(LoadError::SourceFamily {
                pool: pool.to_owned(),
                member: member.name.clone(),
                address,
                relay: (*relay).clone(),
            });
        }
        if before.lanes.keys().any(|key| key.source == Some(address)) {
            return Ok(());
        }
        source::check(address).map_err(|error| LoadError::SourceAddress {
            pool: pool.to_owned(),
            member: member.name.clone(),
            address,
            why: error.to_string(),
        })
    }

    fn upstream_lanes(
        &self,
        source: Option<IpAddr>,
        helo: &ClientName,
        before: &mut Kept,
        kept: &mut Kept,
    ) -> Vec<Arc<Lane>> {
        let key = |address: &HostPort| LaneKey {
            address: address.clone(),
            tls: self.upstream.tls,
            trust: self.upstream.trust.clone(),
            source,
            helo: helo.clone(),
            passing: self.upstream.client_identity,
            admission: Admission::Open,
        };
        self.upstream
            .endpoints
            .iter()
            .map(|endpoint| lane(key(&endpoint.address), before, kept))
            .collect()
    }

    fn upstream_weights(&self) -> Vec<u32> {
        let endpoints = self.upstream.endpoints.iter();
        endpoints.map(|endpoint| endpoint.weight).collect()
    }
}

fn may_be_logged_in_to(relay: &Relay) -> bool {
    relay.tls.is_verified()
        || relay
            .address
            .host
            .parse::<IpAddr>()
            .is_ok_and(|host| host.to_canonical().is_loopback())
}

fn endpoints(exits: &[Exit]) -> Vec<Arc<Endpoint>> {
    let mut endpoints: Vec<Arc<Endpoint>> = Vec::new();
    for lane in exits.iter().flat_map(|exit| &exit.lanes) {
        let is_lanes = |known: &Arc<Endpoint>| Arc::ptr_eq(known, &lane.endpoint);
        if !endpoints.iter().any(is_lanes) {
            endpoints.push(Arc::clone(&lane.endpoint));
        }
    }
    endpoints
}

fn lane(key: LaneKey, before: &mut Kept, kept: &mut Kept) -> Arc<Lane> {
    let target = (key.address.clone(), key.tls);
    let endpoint = before
        .endpoints
        .entry(target.clone())
        .or_insert_with(|| Arc::new(Endpoint::new()));
    kept.endpoints.insert(target, Arc::clone(endpoint));
    let lane = before
        .lanes
        .entry(key.clone())
        .or_insert_with(|| Arc::new(Lane::new(key.clone(), Arc::clone(endpoint))));
    kept.lanes.insert(key, Arc::clone(lane));
    Arc::clone(lane)
}

fn state(name: Option<&Arc<str>>, limit: usize, before: &mut Kept, kept: &mut Kept) -> GroupState {
    let state = before
        .groups
        .remove(&name.cloned())
        .unwrap_or_else(|| GroupState {
            idle: Arc::new(Idle::default()),
            slots: Arc::new(Slots::new(limit)),
        });
    kept.groups.insert(name.cloned(), state.clone());
    state
}

/// The relay's header fields, one line each; an error names the field that cannot be sent.
fn header_fields(relay: &Relay) -> Result<Arc<[u8]>, String> {
    let mut fields = Vec::new();
    for (name, value) in &relay.headers {
        let name_is_good =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        let value_is_good = value.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'));
        if !name_is_good || !value_is_good || name.len() + value.len() > 996 {
            return Err(name.clone());
        }
        fields.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    Ok(fields.into())
}
