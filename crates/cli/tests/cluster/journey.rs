//! What a platform team does on its first day: a gateway, proxies, a rule, a mistake, and its mending.

use sekisho_testkit::wait_until;

use crate::files::lint;
use crate::mail::{Mail, gateway, one_is_the_most, policy, two_pass};
use crate::site::Site;

#[test]
fn a_gateway_enforces_what_is_applied_and_says_what_is_wrong() {
    let Some(mail) = Mail::set_up(&[]) else {
        return;
    };
    let (site, port) = (&mail.site, mail.port.number());
    let control = site.control("control-0", &[]);
    for kind in [
        "configmap",
        "secret",
        "deployment",
        "service",
        "serviceaccount",
        "networkpolicy",
        "poddisruptionbudget",
    ] {
        wait_until(kind, || site.find(kind, "mail", "sekisho-outbound"));
    }
    let outbound = "mail/outbound";
    site.condition(
        "mailgateway",
        outbound,
        "Programmed",
        "Unknown",
        "NoProxies",
    );
    let _proxy = site.proxy(outbound, "outbound-0", control.fleet.address());
    site.programmed("mailgateway", outbound);
    two_pass(port);

    site.plane.apply(&policy(1));
    site.programmed("submissionpolicy", "mail/policy");
    one_is_the_most(port);
    a_mistake_is_told_and_mended(site, port);
}

/// The schema admits it, the compiler does not: the author is told, and the last good rules stay.
fn a_mistake_is_told_and_mended(site: &Site, port: u16) {
    let says = |type_, status, reason| {
        site.condition("submissionpolicy", "mail/policy", type_, status, reason)
    };
    let broken = policy(5).replace("spec:", "spec:\n  match: { when: 'account.shoe == 42' }");
    site.plane.apply(&broken);
    let told = says("Accepted", "False", "InvalidExpression");
    let (accepted, linted) = lint(&format!("{}\n---\n{}", gateway(2525, 2526), broken));
    assert!(
        !accepted && linted.contains(&told),
        "lint says {linted}\nthe status says {told}"
    );
    says("Programmed", "False", "KeptPrevious");
    says("Stalled", "True", "InvalidExpression");
    one_is_the_most(port);
    wait_until("an Event", || {
        let events = site.list("events.events.k8s.io", "mail");
        let told = |event: &serde_json::Value| {
            event["reason"] == "InvalidExpression" && event["type"] == "Warning"
        };
        events.iter().any(told).then_some(())
    });
    site.plane.apply(&policy(5));
    site.programmed("submissionpolicy", "mail/policy");
    two_pass(port);
}
