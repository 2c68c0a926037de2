//! Pools that are not there, that are empty, or that separate nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sekisho_crd::{EgressPoolSpec, Host, HostPort, Route, RouteTo, SubmissionPolicySpec};
use sekisho_policy::snapshot::Member;

use super::names;
use crate::diagnostic::{Code, Diagnostic};
use crate::objects::{ObjectKey, Objects};
use crate::suggest::did_you_mean;
use crate::view::{View, valid};

/// Relays of which many customers share the addresses, so that a pool of one's own separates nothing.
const CLOUD_RELAYS: [&str; 6] = [
    "amazonaws.com",
    "sendgrid.net",
    "mailgun.org",
    "sparkpostmail.com",
    "mandrillapp.com",
    "postmarkapp.com",
];

pub(super) fn check(objects: &Objects, out: &mut Vec<Diagnostic>) {
    valid::<EgressPoolSpec>(objects).for_each(|view| members(view, out));
    for view in valid::<SubmissionPolicySpec>(objects) {
        missing(objects, view, out);
        shared(objects, view, out);
    }
}

fn members(view: View<'_, EgressPoolSpec>, out: &mut Vec<Diagnostic>) {
    let members = &view.spec.members;
    for (index, member) in members.iter().enumerate() {
        let address = member.source_address;
        if let Some(address) = address.filter(|address| !Member::can_leave_from(*address)) {
            let field = format!("members[{index}].sourceAddress");
            let message = format!(
                "{address} is no address that the mail of member {} can leave from",
                member.name
            );
            let remedy = "give one of the proxy's addresses, or leave sourceAddress out";
            out.push(view.error(Code::InvalidValue, &field, message).mend(remedy));
        }
    }
    if members.is_empty() {
        let diagnostic = view.error(
            Code::EmptyPool,
            "members",
            "a pool without members sends nothing",
        );
        out.push(diagnostic.mend("give at least one member"));
    } else if members.iter().all(|member| member.weight == 0) {
        let message = "every member has weight 0, so that mail for this pool is deferred";
        out.push(
            view.warning(Code::EmptyPool, "members", message)
                .mend("give one of them a weight"),
        );
    }
}

/// The routes that are given: class and way.
fn routes(route: &Route) -> impl Iterator<Item = (&'static str, &RouteTo)> {
    let classes = [
        ("unclassified", &route.unclassified),
        ("clean", &route.clean),
        ("suspect", &route.suspect),
        ("spam", &route.spam),
    ];
    classes
        .into_iter()
        .filter_map(|(class, to)| to.as_ref().map(|to| (class, to)))
}

fn missing(objects: &Objects, view: View<'_, SubmissionPolicySpec>, out: &mut Vec<Diagnostic>) {
    let namespace = &view.key.namespace;
    for (class, to) in routes(&view.spec.route) {
        let RouteTo::Pool(pool) = to else { continue };
        if objects
            .egress_pools
            .contains_key(&ObjectKey::new(namespace, pool.as_str()))
        {
            continue;
        }
        let known = names::<EgressPoolSpec>(objects, namespace);
        let remedy = did_you_mean(pool.as_str(), known.clone(), || {
            match known.collect::<Vec<_>>().as_slice() {
                [] => format!("the namespace {namespace} has no pool"),
                names => format!(
                    "the pools of the namespace {namespace} are {}",
                    names.join(", ")
                ),
            }
        });
        let message = format!("there is no EgressPool {pool} in the namespace {namespace}");
        out.push(
            view.error(Code::PoolNotFound, &format!("route.{class}.pool"), message)
                .mend(remedy),
        );
    }
}

/// A blocklisting of what spam leaves from must not reach what clean mail leaves from.
fn shared(objects: &Objects, view: View<'_, SubmissionPolicySpec>, out: &mut Vec<Diagnostic>) {
    let route = &view.spec.route;
    let namespace = &view.key.namespace;
    let Some((spam_name, spam)) = pool(objects, namespace, route.spam.as_ref()) else {
        return;
    };
    let warn = |message: String| {
        let diagnostic = view.warning(Code::SharedEgress, "route.spam.pool", message);
        diagnostic.mend("send spam from other networks and by another relay, so that a blocklisting stays there")
    };
    for (class, to) in [
        ("clean", &route.clean),
        ("unclassified", &route.unclassified),
    ] {
        let Some((name, other)) = pool(objects, namespace, to.as_ref()) else {
            continue;
        };
        if name == spam_name {
            out.push(warn(format!(
                "spam and {class} mail leave by the same pool {name}"
            )));
            continue;
        }
        if let Some(network) = common(networks(spam), networks(other)) {
            out.push(warn(format!(
                "the pools {spam_name} and {name} both leave from {network}"
            )));
        }
        if let Some(relay) = common(relays(spam), relays(other)) {
            let relay = relay.map_or_else(
                || "the gateway's upstream".to_owned(),
                |host| format!("the relay {host}"),
            );
            out.push(warn(format!(
                "the pools {spam_name} and {name} both leave by {relay}"
            )));
        }
    }
    for host in relays(spam).into_iter().flatten() {
        if CLOUD_RELAYS
            .iter()
            .any(|cloud| host.ends_with(&format!(".{cloud}")))
        {
            let message = format!(
                "spam would leave by {host}, a cloud relay, which suspends whoever sends it"
            );
            out.push(warn(message));
        }
    }
}

/// The valid pool that a route leads to.
fn pool<'a>(
    objects: &'a Objects,
    namespace: &str,
    to: Option<&'a RouteTo>,
) -> Option<(&'a str, &'a EgressPoolSpec)> {
    let RouteTo::Pool(name) = to? else {
        return None;
    };
    let pool = objects
        .egress_pools
        .get(&ObjectKey::new(namespace, name.as_str()))?;
    Some((name.as_str(), pool.spec()?))
}

fn common<T: Ord>(one: BTreeSet<T>, other: BTreeSet<T>) -> Option<T> {
    one.into_iter().find(|value| other.contains(value))
}

/// The /24 and /64 networks of a pool's addresses. The loopback network is nobody's reputation.
fn networks(pool: &EgressPoolSpec) -> BTreeSet<IpNet> {
    let site = |address: IpAddr| match address {
        IpAddr::V4(address) => Ipv4Net::new(address, 24).map(|network| IpNet::V4(network.trunc())),
        IpAddr::V6(address) => Ipv6Net::new(address, 64).map(|network| IpNet::V6(network.trunc())),
    };
    let addresses = pool
        .members
        .iter()
        .filter_map(|member| member.source_address);
    addresses
        .filter(|address| !address.is_loopback())
        .filter_map(|address| site(address).ok())
        .collect()
}

/// The next hops of a pool, `None` for the gateway's own. Loopback relays are told apart by their ports.
fn relays(pool: &EgressPoolSpec) -> BTreeSet<Option<String>> {
    let name = |address: &HostPort| match address.host() {
        Host::Name(name) => name.to_ascii_lowercase(),
        Host::Address(host) if host.is_loopback() => address.to_string(),
        Host::Address(host) => host.to_string(),
    };
    let relays = pool
        .members
        .iter()
        .map(|member| member.relay.as_ref().or(pool.relay.as_ref()));
    relays
        .map(|relay| relay.map(|relay| name(&relay.address)))
        .collect()
}
