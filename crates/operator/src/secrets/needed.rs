//! What a gateway needs of Secrets, as its snapshot names it.

use std::collections::BTreeSet;

use sekisho_policy::Snapshot;
use sekisho_policy::snapshot::AuthBackend;

use super::checks::Use;
use crate::cluster_keys::Known;

/// What a gateway needs of Secrets, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needed {
    pub(crate) certificates: BTreeSet<String>,
    pub(crate) logins: BTreeSet<String>,
    /// What tokens for relays are asked for with.
    pub(crate) oauth: BTreeSet<String>,
    /// Whom certificates of next hops and login services must be issued by.
    pub(crate) authorities: BTreeSet<String>,
    /// What login services are shown.
    pub(crate) headers: BTreeSet<String>,
    /// Where counters are shared.
    pub(crate) counters: Option<String>,
    /// Where service accounts log in: the cluster's keys.
    pub(crate) cluster_keys: Option<Known>,
}

impl Needed {
    pub(crate) fn by(snapshot: &Snapshot) -> Self {
        let listeners = snapshot.gateway.listeners.iter();
        let members = snapshot.pools.values().flat_map(|pool| &pool.members);
        let relays = members.filter_map(|member| member.relay.as_ref());
        let of_relays = relays.clone().map(|relay| &relay.trust);
        let trusts = of_relays.chain([&snapshot.gateway.upstream.trust]);
        let backends = &snapshot.gateway.authentication.backends;
        let of_backends = backends.iter().filter_map(AuthBackend::authorities);
        let clients = backends.iter().filter_map(AuthBackend::credentials);
        Self {
            certificates: listeners
                .flat_map(|listener| listener.certificates.clone())
                .collect(),
            logins: relays
                .clone()
                .filter_map(|relay| relay.credentials.clone())
                .chain(clients.map(str::to_owned))
                .collect(),
            oauth: relays
                .filter_map(|relay| Some(relay.oauth.as_ref()?.credentials.clone()))
                .collect(),
            authorities: trusts
                .filter_map(|trust| trust.authorities.clone())
                .chain(of_backends.map(str::to_owned))
                .collect(),
            headers: backends
                .iter()
                .filter_map(AuthBackend::header)
                .map(str::to_owned)
                .collect(),
            counters: snapshot.gateway.counters.secret().map(str::to_owned),
            cluster_keys: None,
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.sources().map(|(name, _)| name)
    }

    /// The Secrets by name, and what each is for.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&String, Use)> {
        let with = |used: Use| move |name| (name, used);
        let certificates = self.certificates.iter().map(with(Use::Certificate));
        certificates
            .chain(self.logins.iter().map(with(Use::Login)))
            .chain(self.oauth.iter().map(with(Use::OAuth)))
            .chain(self.authorities.iter().map(with(Use::Authorities)))
            .chain(self.headers.iter().map(with(Use::Header)))
            .chain(self.counters.iter().map(with(Use::Counters)))
    }
}
