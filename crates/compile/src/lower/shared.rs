//! Values that several kinds share.

use std::collections::BTreeMap;

use ipnet::IpNet;
use sekisho_crd::{AccountGlob, AppliesTo as Whom, Cidr, CountryCode, Duration, LimitUnit};
use sekisho_policy::event::Country;
use sekisho_policy::snapshot::{
    AppliesTo, Channel, ClientIdentity, Exempt, HostPort, Limit, Match, OAuth, Relay, SenderCheck,
    Trust, Unit, UpstreamTls,
};
use sekisho_policy::{Account, Millis};

use crate::when;

/// What the lowering of a rule needs to know of its gateway.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context {
    /// The domain of logins that name none.
    pub(crate) default_domain: Option<String>,
    /// The countries that count as home.
    pub(crate) home: Vec<Country>,
    /// The channels of the namespace, by name.
    pub(crate) channels: BTreeMap<String, Channel>,
}

impl Context {
    /// An account as keys and rules name it.
    pub(super) fn account(&self, name: &str) -> String {
        Account::canonical(name, self.default_domain.as_deref())
            .as_str()
            .to_owned()
    }

    /// A glob over accounts. One that is a plain login gets the default domain, as the login does.
    pub(super) fn glob(&self, glob: &AccountGlob) -> String {
        if glob.as_str().contains(['*', '?']) {
            glob.as_str().to_lowercase()
        } else {
            self.account(glob.as_str())
        }
    }

    fn globs(&self, globs: &[AccountGlob]) -> Vec<String> {
        sorted(globs.iter().map(|glob| self.glob(glob)))
    }
}

/// Each once, in order.
pub(super) fn sorted<T: Ord>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// Whom a rule is about, by accounts' own settings.
pub(super) const fn applies_to(spec: Whom) -> AppliesTo {
    match spec {
        Whom::Everyone => AppliesTo::Everyone,
        Whom::OptedIn => AppliesTo::OptedIn,
        Whom::NotOptedOut => AppliesTo::NotOptedOut,
    }
}

/// A match. An expression that is not of the subset has been refused before; it cannot get here.
pub(crate) fn matching(spec: &sekisho_crd::Match, context: &Context) -> Option<Match> {
    let when = match &spec.when {
        Some(text) => Some(when::parse(text).ok()?),
        None => None,
    };
    Some(Match {
        accounts: context.globs(&spec.accounts),
        networks: networks(&spec.networks),
        countries: countries(&spec.countries),
        listeners: sorted(spec.listeners.iter().map(|name| name.as_str().to_owned())),
        when,
    })
}

pub(super) fn exempt(spec: &sekisho_crd::Exempt, context: &Context) -> Exempt {
    let suffix = |name: &str| format!(".{}", name.trim_start_matches('.').to_ascii_lowercase());
    Exempt {
        networks: networks(&spec.networks),
        asns: sorted(spec.asns.iter().copied()),
        reverse_names: sorted(spec.reverse_names.iter().map(|name| suffix(name.as_str()))),
        accounts: context.globs(&spec.accounts),
    }
}

pub(super) fn networks(networks: &[Cidr]) -> Vec<IpNet> {
    sorted(networks.iter().map(|cidr| cidr.network()))
}

pub(super) fn countries(countries: &[CountryCode]) -> Vec<Country> {
    let parse = |code: &CountryCode| {
        code.as_str()
            .as_bytes()
            .try_into()
            .ok()
            .and_then(Country::parse)
    };
    sorted(countries.iter().filter_map(parse))
}

pub(super) fn millis(duration: &Duration) -> Millis {
    Millis(duration.as_millis())
}

/// Limits in order, or nothing if one has a unit that this version does not count.
pub(super) fn limits(limits: &[sekisho_crd::Limit]) -> Option<Vec<Limit>> {
    let lower = |limit: &sekisho_crd::Limit| {
        Some(Limit {
            unit: unit(limit.unit)?,
            count: limit.count,
            per: millis(&limit.per),
        })
    };
    let mut lowered: Vec<Limit> = limits.iter().map(lower).collect::<Option<_>>()?;
    lowered.sort_by_key(|limit| (limit.unit, limit.per));
    Some(lowered)
}

fn unit(unit: LimitUnit) -> Option<Unit> {
    match unit {
        LimitUnit::Messages => Some(Unit::Messages),
        LimitUnit::Recipients => Some(Unit::Recipients),
        LimitUnit::Bytes => Some(Unit::Bytes),
        LimitUnit::Connections => Some(Unit::Connections),
        LimitUnit::Attempts => Some(Unit::Attempts),
        LimitUnit::UnknownRecipients | LimitUnit::FirstTimeRecipients => None,
    }
}

pub(super) fn host_port(address: &sekisho_crd::HostPort) -> HostPort {
    let host = match address.host() {
        sekisho_crd::Host::Name(name) => name.to_ascii_lowercase(),
        sekisho_crd::Host::Address(address) => address.to_string(),
    };
    HostPort {
        host,
        port: address.port(),
    }
}

pub(super) fn tls(tls: sekisho_crd::UpstreamTls) -> UpstreamTls {
    match tls {
        sekisho_crd::UpstreamTls::Off => UpstreamTls::Off,
        sekisho_crd::UpstreamTls::Opportunistic => UpstreamTls::Opportunistic,
        sekisho_crd::UpstreamTls::Required => UpstreamTls::Required,
        sekisho_crd::UpstreamTls::Implicit => UpstreamTls::Implicit,
    }
}

pub(super) fn trust(
    authorities: Option<&sekisho_crd::SecretRef>,
    server_name: Option<&sekisho_crd::DomainName>,
) -> Trust {
    Trust {
        authorities: authorities.map(|secret| secret.name.clone()),
        server_name: server_name.map(|name| name.as_str().to_ascii_lowercase()),
    }
}

pub(super) fn client_identity(passing: sekisho_crd::ClientIdentity) -> ClientIdentity {
    match passing {
        sekisho_crd::ClientIdentity::None => ClientIdentity::None,
        sekisho_crd::ClientIdentity::Xclient => ClientIdentity::Xclient,
        sekisho_crd::ClientIdentity::ProxyV2 => ClientIdentity::ProxyV2,
    }
}

pub(super) fn relay(relay: &sekisho_crd::Relay) -> Relay {
    Relay {
        address: host_port(&relay.address),
        tls: tls(relay.tls),
        trust: trust(relay.ca_ref.as_ref(), relay.server_name.as_ref()),
        credentials: relay
            .credentials_ref
            .as_ref()
            .map(|secret| secret.name.clone()),
        oauth: relay.oauth.as_ref().map(|oauth| OAuth {
            token_url: oauth.token_url.clone(),
            scope: oauth.scope.clone(),
            credentials: oauth.credentials_ref.name.clone(),
        }),
        client_identity: client_identity(relay.client_identity),
        headers: relay.headers.clone(),
    }
}

pub(super) fn sender(check: sekisho_crd::SenderCheck) -> SenderCheck {
    match check {
        sekisho_crd::SenderCheck::Any => SenderCheck::Any,
        sekisho_crd::SenderCheck::MustMatchAccount => SenderCheck::MustMatchAccount,
    }
}
