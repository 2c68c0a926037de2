//! TLS with an authority of one's own, and users of the access control list.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sekisho_policy::op::Cause;
use sekisho_testkit::{Port, RedisServer, wait_until};

use super::*;

#[test]
fn a_user_with_few_rights_counts_over_tls() {
    let user = RedisUser::documented();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    for (name, text) in [
        ("ca.crt", authority.pem()),
        ("tls.crt", leaf.pem()),
        ("tls.key", key.serialize_pem()),
        ("users.acl", format!("user default off\n{}\n", user.line())),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let tls_port = Port::free();
    let number = tls_port.number().to_string();
    let started = RedisServer::start_with(&[
        "--tls-port",
        &number,
        "--tls-auth-clients",
        "no",
        "--aclfile",
        &path("users.acl"),
        "--tls-cert-file",
        &path("tls.crt"),
        "--tls-key-file",
        &path("tls.key"),
        "--tls-ca-cert-file",
        &path("ca.crt"),
    ]);
    let Some(_server) = started else { return };
    let setup = |host: &str, password: &str, authorities: Option<String>| {
        let mut setup = Setup::single(&format!("rediss://{host}:{number}"), fresh_key());
        setup.username = Some(user.name.clone());
        setup.password = Some(password.into());
        setup.authorities = authorities.map(String::into_bytes);
        setup
    };
    let refused = |setup: Setup| {
        let counters = run(async { of(setup) });
        wait_until("the reason", || {
            let refused = run(apply(&counters, 0, &[read("k", HOUR)])).unwrap_err();
            (refused.cause == Cause::Open).then_some(refused.why)
        })
    };

    run(async {
        let counters = travelling(setup("127.0.0.1", &user.password, Some(authority.pem())));
        let ops = [gate("k", 1, 5, HOUR), distinct("s", 1, HOUR)];
        let (_, receipt) = counters
            .apply(Timestamp(0), &ops)
            .await
            .expect("it is allowed");
        counters.give_back(receipt.unwrap()).await;
        assert_eq!(
            apply(&counters, 0, &[read("k", HOUR)]).await.unwrap(),
            [Outcome::Total(0)]
        );
    });
    let why = refused(setup("127.0.0.1", "wrong", Some(authority.pem())));
    assert!(
        why.contains("WRONGPASS") || why.to_lowercase().contains("auth"),
        "{why}"
    );
    assert!(!why.contains(&user.password), "{why}");
    // Nobody else's word counts, and no other name.
    refused(setup("127.0.0.1", &user.password, None));
    refused(setup("localhost", &user.password, Some(authority.pem())));
}
