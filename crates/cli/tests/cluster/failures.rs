//! What fails, one part after the other: nothing that was in force is lost, and what changes meanwhile arrives.

use rustix::process::Signal;
use sekisho_testkit::{Port, wait_until};
use serde_json::Value;

use crate::mail::{Mail, gateway, one_is_the_most, policy, two_pass};
use crate::site::{Control, SYSTEM, Site};

/// The pod that holds the lease.
fn holder(site: &Site) -> Option<String> {
    let lease = site.find("lease", SYSTEM, "sekisho-control")?;
    let holder = lease["spec"]["holderIdentity"].as_str()?;
    (!holder.is_empty()).then(|| holder.to_owned())
}

const RULE: &str = "
apiVersion: sekisho.dev/v1alpha1
kind: AbuseRule
metadata: { name: stolen, namespace: mail }
spec:
  targetRefs: [{ name: outbound }]
  signals: [{ signal: UnknownRecipients, count: 3, per: 1h, points: 60 }]
  ladder: [{ at: 60, restrict: { level: Suspend } }]
";

/// A replica has a proxy say what speaks against an account, wherever that is connected.
fn knows_points(site: &Site, control: &Control) {
    let path = "/v1/accounts/taro/points?namespace=mail";
    wait_until("points", || {
        let answer: Value = serde_json::from_str(&site.http(control, path)).ok()?;
        let rule = &answer["rules"][0];
        (rule["gateway"] == "mail/outbound" && rule["rule"]["name"] == "stolen").then_some(())
    });
}

#[test]
fn the_holder_of_the_lease_dies_and_the_other_replica_writes() {
    let Some(mail) = Mail::set_up(&[]) else {
        return;
    };
    let (site, port) = (&mail.site, mail.port.number());
    let first = site.control("control-0", &[]);
    wait_until("a holder", || {
        holder(site).filter(|holder| holder == "control-0")
    });
    let second = site.control("control-1", &[]);
    // It asks the replica that does not write, which tells the one that does.
    let _proxy = site.proxy("mail/outbound", "outbound-0", second.fleet.address());
    site.plane.apply(&policy(1));
    site.programmed("submissionpolicy", "mail/policy");
    one_is_the_most(port);
    site.plane.apply(RULE);
    site.programmed("abuserule", "mail/stolen");
    knows_points(site, &first);
    knows_points(site, &second);

    first.process.signal(Signal::KILL);
    site.plane.apply(&policy(5));
    wait_until("another holder", || {
        holder(site).filter(|holder| holder == "control-1")
    });
    site.programmed("submissionpolicy", "mail/policy");
    two_pass(port);
    knows_points(site, &second);

    // One that ends in order gives the lease back, and does not keep the others waiting.
    let third = site.control("control-2", &[]);
    assert!(second.process.terminate().success());
    wait_until("the third holder", || {
        holder(site).filter(|holder| holder == "control-2")
    });
    assert!(third.process.output().contains("writes=true"));
}

#[test]
fn the_api_server_dies_and_comes_back() {
    let Some(mail) = Mail::set_up(&[]) else {
        return;
    };
    let (site, port) = (&mail.site, mail.port.number());
    let mut control = site.control("control-0", &[]);
    let _proxy = site.proxy("mail/outbound", "outbound-0", control.fleet.address());
    site.plane.apply(&policy(1));
    site.programmed("submissionpolicy", "mail/policy");

    site.plane.stop_api_server();
    one_is_the_most(port);
    site.plane.start_api_server();
    site.plane.apply(&policy(5));
    site.programmed("submissionpolicy", "mail/policy");
    two_pass(port);
    assert!(
        control.process.try_wait().is_none(),
        "{}",
        control.process.output()
    );
}

#[test]
fn a_proxy_starts_without_a_control_plane() {
    let Some(mail) = Mail::set_up(&[]) else {
        return;
    };
    let (site, port) = (&mail.site, mail.port.number());
    site.plane.apply(&policy(1));
    let control = site.control("control-0", &[]);
    let proxy = site.proxy("mail/outbound", "outbound-0", control.fleet.address());
    site.programmed("submissionpolicy", "mail/policy");
    let address = control.fleet.address();
    drop(control);
    assert!(proxy.process.terminate().success());

    // A new pod has nothing but what is mounted.
    let mut cold = site.proxy("mail/outbound", "outbound-1", address);
    cold.process.wait_for_port(mail.port.address());
    one_is_the_most(port);
}

#[test]
fn the_cluster_is_restored_from_an_older_backup() {
    let Some(mail) = Mail::set_up(&[]) else {
        return;
    };
    let (site, port) = (&mail.site, mail.port.number());
    site.plane.apply(&policy(5));
    let control = site.control("control-0", &[]);
    let mut proxy = site.proxy("mail/outbound", "outbound-0", control.fleet.address());
    site.programmed("submissionpolicy", "mail/policy");
    let backup = site.plane.back_up();
    site.plane.apply(&policy(1));
    site.programmed("submissionpolicy", "mail/policy");
    one_is_the_most(port);

    site.plane.restore(&backup);
    wait_until("the rules of the backup at the proxy", || {
        let (passed, said) = crate::mail::send(port, 2);
        (passed && !said.contains("<** ")).then_some(())
    });
    site.programmed("submissionpolicy", "mail/policy");
    two_pass(port);
    assert!(proxy.process.try_wait().is_none());
}

#[test]
fn a_proxy_that_does_not_take_a_snapshot_says_why() {
    let Some(mail) = Mail::set_up(&[]) else {
        return;
    };
    let (site, port) = (&mail.site, mail.port.number());
    let control = site.control("control-0", &[]);
    let _proxy = site.proxy("mail/outbound", "outbound-0", control.fleet.address());
    site.programmed("mailgateway", "mail/outbound");

    // Somebody else has the port that the new listener wants.
    let taken = Port::free();
    let _listener = std::net::TcpListener::bind(taken.address()).unwrap();
    let upstream = mail.sink.address().port();
    let two = gateway(port, upstream).replace(
        "listeners: [",
        &format!(
            "listeners: [{{ name: second, port: {}, tls: 'Off' }}, ",
            taken.number()
        ),
    );
    site.plane.apply(&two);
    let told = site.condition(
        "mailgateway",
        "mail/outbound",
        "Programmed",
        "False",
        "Rejected",
    );
    assert!(
        told.contains("outbound-0") && told.contains(&taken.number().to_string()),
        "{told}"
    );
    two_pass(port);

    site.plane.apply(&gateway(port, upstream));
    site.programmed("mailgateway", "mail/outbound");
}
