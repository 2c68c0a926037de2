//! `MailGateway`.

use ipnet::IpNet;
use sekisho_crd::{self as crd, BackendType, MailGatewaySpec, ProxyProtocolMode};
use sekisho_policy::snapshot::{
    AccountHeader, AuthBackend, Authentication, CounterLeases, CountersKept, DovecotAuth, Endpoint,
    Gateway, Listener, ListenerTls, Mechanism, ObjectRef, OnConfigUnavailable, OnMessageUnexamined,
    OnUnavailable, Privacy, ReceivedPrivacy, RecipientCheck, RecipientPrivacy, RedisCounters,
    RedisTopology, Requirement, ServiceAddress, Upstream, VerdictHeader,
};

use super::login_services;
use super::shared::{client_identity, countries, host_port, millis, networks, sorted, tls, trust};

/// The gateway, or nothing if it asks for what this version does not do.
pub(crate) fn gateway(
    spec: &MailGatewaySpec,
    object: ObjectRef,
    cluster_networks: &[IpNet],
) -> Option<Gateway> {
    let database =
        |database: Option<&crd::GeoDatabase>| database.map(|database| database.path.clone());
    let geo = spec.geo.as_ref();
    Some(Gateway {
        object,
        listeners: spec.listeners.iter().map(listener).collect(),
        authentication: authentication(&spec.authentication)?,
        upstream: upstream(&spec.upstream),
        home: countries(&spec.home),
        after_data: millis(&spec.deadlines.after_data),
        on_unavailable: on_unavailable(&spec.on_unavailable),
        privacy: privacy(spec.privacy),
        verdict_header: match spec.headers.verdict {
            crd::VerdictHeader::Omit => VerdictHeader::Omit,
            crd::VerdictHeader::Include => VerdictHeader::Include,
        },
        account_header: match spec.headers.account {
            crd::AccountHeader::Omit => AccountHeader::Omit,
            crd::AccountHeader::Hashed => AccountHeader::Hashed,
        },
        limits: super::limits::limits(&spec.limits),
        country_database: database(geo.and_then(|geo| geo.country_database.as_ref())),
        asn_database: database(geo.and_then(|geo| geo.asn_database.as_ref())),
        counters: counters(&spec.counters)?,
        cluster_networks: sorted(cluster_networks.iter().map(IpNet::trunc)),
    })
}

/// The schema sees to it that Redis has its Secret.
fn counters(spec: &crd::Counters) -> Option<CountersKept> {
    Some(match spec.type_ {
        crd::CountersType::Memory => CountersKept::Memory,
        crd::CountersType::Redis => CountersKept::Redis(RedisCounters {
            secret: spec.secret_ref.as_ref()?.name.clone(),
            topology: match spec.topology.unwrap_or_default() {
                crd::RedisTopology::Single => RedisTopology::Single,
                crd::RedisTopology::Cluster => RedisTopology::Cluster,
            },
            leases: match spec.leases.unwrap_or_default() {
                crd::CounterLeases::Disabled => CounterLeases::Disabled,
                crd::CounterLeases::Enabled => CounterLeases::Enabled,
            },
        }),
    })
}

fn listener(spec: &crd::Listener) -> Listener {
    Listener {
        name: spec.name.as_str().to_owned(),
        port: spec.port,
        tls: match spec.tls {
            crd::ListenerTls::StartTls => ListenerTls::StartTls,
            crd::ListenerTls::Implicit => ListenerTls::Implicit,
            crd::ListenerTls::Off => ListenerTls::Off,
        },
        certificates: spec
            .certificate_refs
            .iter()
            .map(|secret| secret.name.clone())
            .collect(),
        proxy_from: match spec.proxy_protocol.mode {
            ProxyProtocolMode::Off => None,
            ProxyProtocolMode::Required => Some(networks(&spec.proxy_protocol.from)),
        },
        xclient_from: networks(&spec.xclient_from),
    }
}

fn authentication(spec: &crd::Authentication) -> Option<Authentication> {
    let mechanisms = spec.mechanisms.iter().copied().map(mechanism);
    Some(Authentication {
        requirement: match spec.requirement {
            crd::Requirement::Required => Requirement::Required,
            crd::Requirement::Optional => Requirement::Optional,
        },
        backends: spec.backends.iter().map(backend).collect::<Option<_>>()?,
        mechanisms: sorted(mechanisms),
        default_domain: spec
            .default_domain
            .as_ref()
            .map(|domain| domain.as_str().to_ascii_lowercase()),
        domains: sorted(
            spec.domains
                .iter()
                .map(|domain| domain.as_str().to_ascii_lowercase()),
        ),
    })
}

pub(crate) fn backend(spec: &crd::Backend) -> Option<AuthBackend> {
    match spec.type_ {
        BackendType::Upstream => Some(AuthBackend::Upstream),
        BackendType::AccountsFile => {
            let file = spec.accounts_file.as_ref()?;
            Some(AuthBackend::AccountsFile(file.path.clone()))
        }
        BackendType::DovecotSasl => {
            let service = spec.dovecot_sasl.as_ref()?;
            Some(AuthBackend::DovecotSasl(DovecotAuth {
                address: service_address(&service.address),
                clear_text: login_services::clear_text(service.clear_text),
            }))
        }
        BackendType::Http => spec.http.as_ref().map(login_services::http),
        BackendType::Oidc => spec.oidc.as_ref().map(login_services::oidc),
        BackendType::ServiceAccount => spec
            .service_account
            .as_ref()
            .map(login_services::service_account),
    }
}

pub(crate) fn mechanism(mechanism: crd::Mechanism) -> Mechanism {
    match mechanism {
        crd::Mechanism::Plain => Mechanism::Plain,
        crd::Mechanism::Login => Mechanism::Login,
        crd::Mechanism::ScramSha256 => Mechanism::ScramSha256,
        crd::Mechanism::ScramSha256Plus => Mechanism::ScramSha256Plus,
        crd::Mechanism::CramMd5 => Mechanism::CramMd5,
        crd::Mechanism::Xoauth2 => Mechanism::Xoauth2,
        crd::Mechanism::Oauthbearer => Mechanism::Oauthbearer,
    }
}

fn service_address(address: &crd::ServiceAddress) -> ServiceAddress {
    match address {
        crd::ServiceAddress::Unix(path) => ServiceAddress::Unix(path.clone()),
        crd::ServiceAddress::Tcp(address) => ServiceAddress::Tcp(host_port(address)),
    }
}

fn upstream(spec: &crd::Upstream) -> Upstream {
    Upstream {
        endpoints: spec
            .endpoints
            .iter()
            .map(|endpoint| Endpoint {
                address: host_port(&endpoint.address),
                weight: endpoint.weight,
            })
            .collect(),
        tls: tls(spec.tls),
        trust: trust(spec.ca_ref.as_ref(), spec.server_name.as_ref()),
        client_identity: client_identity(spec.client_identity),
        recipient_check: match spec.recipient_check {
            crd::RecipientCheck::AtRcpt => RecipientCheck::AtRcpt,
            crd::RecipientCheck::AtEnd => RecipientCheck::AtEnd,
        },
    }
}

fn on_unavailable(spec: &crd::OnUnavailable) -> OnUnavailable {
    OnUnavailable {
        config: match spec.config {
            crd::OnConfigUnavailable::Keep => OnConfigUnavailable::Keep,
            crd::OnConfigUnavailable::Shadow => OnConfigUnavailable::Shadow,
            crd::OnConfigUnavailable::Refuse => OnConfigUnavailable::Refuse,
        },
        message: match spec.message {
            crd::OnMessageUnexamined::RouteClean => OnMessageUnexamined::RouteClean,
            crd::OnMessageUnexamined::RouteSuspect => OnMessageUnexamined::RouteSuspect,
            crd::OnMessageUnexamined::RouteSpam => OnMessageUnexamined::RouteSpam,
            crd::OnMessageUnexamined::Defer => OnMessageUnexamined::Defer,
        },
        classifier: match spec.classifier {
            crd::OnClassifierUnavailable::RouteClean => OnMessageUnexamined::RouteClean,
            crd::OnClassifierUnavailable::RouteSuspect => OnMessageUnexamined::RouteSuspect,
            crd::OnClassifierUnavailable::RouteSpam => OnMessageUnexamined::RouteSpam,
            crd::OnClassifierUnavailable::Defer => OnMessageUnexamined::Defer,
        },
    }
}

fn privacy(spec: crd::Privacy) -> Privacy {
    Privacy {
        recipients: match spec.recipients {
            crd::RecipientPrivacy::Hashed => RecipientPrivacy::Hashed,
            crd::RecipientPrivacy::Plain => RecipientPrivacy::Plain,
        },
        client_address_in_received: match spec.client_address_in_received {
            crd::ReceivedPrivacy::Include => ReceivedPrivacy::Include,
            crd::ReceivedPrivacy::Omit => ReceivedPrivacy::Omit,
        },
    }
}
