//! Certificates of listeners and of the control plane: they change under way, and nobody is locked out.

use rcgen::{CertificateParams, KeyPair};
use sekisho_testkit::wait_until;
use serde_json::{Value, json};

use crate::mail::{Mail, gateway, policy};
use crate::site::{SYSTEM, Site};

/// A Secret of type kubernetes.io/tls; the key may be another certificate's.
fn tls_secret(name: &str, certificate: &str, key: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": { "name": name, "namespace": "mail" },
        "stringData": { "tls.crt": certificate, "tls.key": key },
    })
    .to_string()
}

fn pair(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn owned(site: &Site, key: &str) -> Option<Value> {
    let secret = site.find("secret", "mail", "sekisho-outbound")?;
    secret["data"].get(key).cloned()
}

#[test]
fn a_pair_that_does_not_match_is_told_and_the_one_before_stays() {
    let Some(mail) = Mail::set_up(&[]) else {
        return;
    };
    let site = &mail.site;
    let _control = site.control("control-0", &[]);
    let with_tls = gateway(mail.port.number(), mail.sink.address().port()).replace(
        "tls: 'Off' }]\n  authentication",
        "tls: StartTls, certificateRefs: [{ name: mail-tls }] }]\n  authentication",
    );
    site.plane.apply(&with_tls);
    let refs = |status, reason| {
        site.condition(
            "mailgateway",
            "mail/outbound",
            "ResolvedRefs",
            status,
            reason,
        )
    };
    assert!(refs("False", "InvalidCertificateRef").contains("mail-tls"));

    let (first, first_key) = pair("mail.example.jp");
    site.plane
        .apply(&tls_secret("mail-tls", &first, &first_key));
    refs("True", "ResolvedRefs");
    let good = wait_until("the certificate", || owned(site, "mail-tls_tls.crt"));

    let (second, second_key) = pair("mail.example.jp");
    site.plane
        .apply(&tls_secret("mail-tls", &second, &first_key));
    assert!(refs("False", "InvalidCertificateRef").contains("does not belong"));
    assert_eq!(owned(site, "mail-tls_tls.crt"), Some(good.clone()));

    site.plane
        .apply(&tls_secret("mail-tls", &second, &second_key));
    refs("True", "ResolvedRefs");
    wait_until("the new certificate", || {
        owned(site, "mail-tls_tls.crt").filter(|now| *now != good)
    });
}

/// Which authority signs.
fn signer(site: &Site) -> Option<String> {
    use base64::Engine as _;
    let secret = site.find("secret", SYSTEM, "sekisho.authority")?;
    let keyring = secret["data"]["keyring.json"].as_str()?;
    let keyring = base64::engine::general_purpose::STANDARD
        .decode(keyring)
        .ok()?;
    let keyring: Value = serde_json::from_slice(&keyring).ok()?;
    keyring["current"]["name"].as_str().map(str::to_owned)
}

#[test]
fn the_authority_is_replaced_and_no_proxy_is_lost() {
    let Some(mail) = Mail::set_up(&[]) else {
        return;
    };
    let site = &mail.site;
    let short = [
        "--authority-lifetime",
        "30s",
        "--authority-propagation",
        "5s",
        "--certificate-lifetime",
        "5s",
    ];
    let control = site.control("control-0", &short);
    let proxy = site.proxy("mail/outbound", "outbound-0", control.fleet.address());
    site.programmed("mailgateway", "mail/outbound");
    let first = signer(site).unwrap();
    wait_until("another signer", || {
        // As the kubelet does, all the while.
        site.mount("mail/outbound", &proxy.mounts);
        signer(site).filter(|now| *now != first)
    });
    // A new connection: the replica shows what the new authority signed, and the pod has learned of that in time.
    assert!(proxy.process.terminate().success());
    site.mount("mail/outbound", &proxy.mounts);
    let token = site.token_file("mail", "sekisho-outbound", "outbound-0");
    let address = control.fleet.address();
    let _again = site.proxy_process(
        "mail/outbound",
        "outbound-0",
        address,
        &token,
        proxy.mounts.clone(),
    );
    site.plane.apply(&policy(1));
    wait_until("the rule at the proxy", || {
        site.mount("mail/outbound", &proxy.mounts);
        let policy = site.find("submissionpolicy", "mail", "policy")?;
        let conditions = policy["status"]["conditions"].as_array()?;
        conditions
            .iter()
            .any(|each| each["type"] == "Programmed" && each["status"] == "True")
            .then_some(())
    });
}
