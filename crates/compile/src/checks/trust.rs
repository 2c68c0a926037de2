//! Gateways that believe, or let in, more than their owner may mean.

use ipnet::IpNet;
use sekisho_crd::{
    BackendType, Cidr, Enforcement, KeyPart, LoginGuardSpec, MailGatewaySpec, RateLimitSpec,
    Requirement, SenderCheck, SubmissionPolicySpec,
};

use crate::diagnostic::{Code, Diagnostic};
use crate::index::Index;
use crate::view::{View, valid};

/// Networks with fewer bits than that are no load balancer's and no webmail's: more than 10.0.0.0/8, or than a registry gives a
/// provider.
const WIDE: (u8, u8) = (8, 19);

pub(super) fn check(index: &Index<'_>, out: &mut Vec<Diagnostic>) {
    for gateway in valid::<MailGatewaySpec>(index.objects) {
        everybody_believed(gateway, out);
        names_without_end(index, gateway, out);
        anybody_sends(index, gateway, out);
    }
}

/// Whoever may send a PROXY header or XCLIENT can be anybody, from anywhere.
fn everybody_believed(gateway: View<'_, MailGatewaySpec>, out: &mut Vec<Diagnostic>) {
    let is_wide = |network: &&Cidr| match network.network() {
        IpNet::V4(net) => net.prefix_len() < WIDE.0,
        IpNet::V6(net) => net.prefix_len() < WIDE.1,
    };
    for (at, listener) in gateway.spec.listeners.iter().enumerate() {
        let lists = [
            (
                &listener.proxy_protocol.from,
                "proxyProtocol.from",
                "can claim any address",
                "name the load balancer's own addresses",
            ),
            (
                &listener.xclient_from,
                "xclientFrom",
                "can claim any address and any login",
                "name the addresses of the hosts that speak for others",
            ),
        ];
        for (list, name, claims, remedy) in lists {
            let Some(wide) = list.iter().position(|network| is_wide(&network)) else {
                continue;
            };
            let field = format!("listeners[{at}].{name}[{wide}]");
            let message = format!("whoever connects from {} {claims}", list[wide]);
            let diagnostic = gateway.warning(Code::EverybodyBelieved, &field, message);
            out.push(diagnostic.mend(remedy));
        }
    }
}

/// An upstream that does not look at the domain makes one password fit as many accounts as its owner can spell, each with tallies of
/// its own.
fn names_without_end(
    index: &Index<'_>,
    gateway: View<'_, MailGatewaySpec>,
    out: &mut Vec<Diagnostic>,
) {
    let spec = &gateway.spec.authentication;
    let asked = spec
        .backends
        .iter()
        .any(|backend| backend.type_ == BackendType::Upstream);
    if !asked || spec.default_domain.is_some() || !spec.domains.is_empty() {
        return;
    }
    let mut limits = index.attached::<RateLimitSpec>(gateway.key).iter();
    let mut guards = index.attached::<LoginGuardSpec>(gateway.key).iter();
    let counts = limits.any(|view| view.spec.key.contains(&KeyPart::Account))
        || guards.any(|view| view.spec.per_account.is_some());
    if counts {
        let message = "rules count by account, and the upstream is asked about names of any domain: \
                       one that does not look at the domain makes one password fit accounts without end";
        let diagnostic = gateway.warning(Code::AnyDomain, "authentication", message);
        out.push(diagnostic.mend("set defaultDomain, or name the domains"));
    }
}

/// Without a login and without a check of senders it is an open relay to whoever reaches it.
fn anybody_sends(index: &Index<'_>, gateway: View<'_, MailGatewaySpec>, out: &mut Vec<Diagnostic>) {
    if gateway.spec.authentication.requirement == Requirement::Required {
        return;
    }
    let mut policies = index.attached::<SubmissionPolicySpec>(gateway.key).iter();
    let checks = policies.any(|view| {
        view.spec.enforcement == Enforcement::Enforce
            && view.spec.matching.is_none()
            && view.spec.sender.envelope == SenderCheck::MustMatchAccount
    });
    if !checks {
        let message = "whoever reaches a listener can send as anybody without a login, and no SubmissionPolicy that is \
                       enforced for all checks the envelope sender";
        let diagnostic = gateway.warning(Code::AnybodySends, "authentication.requirement", message);
        out.push(diagnostic.mend(
            "Required, or spec.sender.envelope: MustMatchAccount; else let a network policy say who reaches it",
        ));
    }
}
