//! The folder of secrets: certificates and logins that come late or are replaced.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use sekisho_policy::Envelope;
use sekisho_runtime::tls::{Verification, client_config};
use sekisho_testkit::{Peer, Sink, SinkSetup};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::authority::Authority;
use crate::control::Offer;
use crate::world::{World, send};

/// As the kubelet writes a volume: a folder of its own for each state, and one symlink that says which.
fn publish(folder: &Path, state: &str, files: &[(&str, &str)]) {
    let data = folder.join(state);
    fs::create_dir(&data).unwrap();
    fs::write(data.join("_fleet.key"), [7; 32]).unwrap();
    for (name, value) in files {
        fs::write(data.join(name), value).unwrap();
    }
    symlink(state, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

fn with_tls(world: &World, generation: u64) -> Envelope {
    let mut listener = world.listener("smtps", world.second.number());
    listener["tls"] = "Implicit".into();
    listener["certificates"] = json!(["mail-tls"]);
    world.snapshot(generation, |body| {
        body["gateway"]["listeners"]
            .as_array_mut()
            .unwrap()
            .push(listener);
    })
}

async fn secure(world: &World) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(world.second.address()).await.unwrap();
    let config = client_config(Verification::Opportunistic).unwrap();
    let name = ServerName::try_from("mail.example.jp").unwrap();
    TlsConnector::from(config)
        .connect(name, stream)
        .await
        .unwrap()
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    chain[0].clone().into_owned()
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_listener_waits_for_its_certificate_and_shows_each_that_comes() {
    let (world, control) =
        World::with_control(|world| Offer::Snapshot(Box::new(with_tls(world, 1)))).await;
    let secrets = world.path("secrets");
    let mut proxy = world.start();
    // The others serve meanwhile, and no certificate of our own making is shown.
    proxy.wait_for_port(world.smtp.address());
    let report = control.wait_for_report("pending", |report| !report.pending.is_empty());
    assert_eq!(report.pending, ["mail-tls"]);
    world.wait_for_ready(
        200,
        "closed until there is a certificate: listener smtps: Secret mail/mail-tls",
    );
    assert!(!World::is_open(&world.second));

    let authority = Authority::new();
    let first = authority.issue("mail.example.jp");
    publish(
        &secrets,
        "..1",
        &[
            ("mail-tls_tls.crt", &first.0),
            ("mail-tls_tls.key", &first.1),
        ],
    );
    proxy.wait_for_port(world.second.address());
    control.wait_for_report("nothing pending", |report| {
        report.in_force.is_some() && report.pending.is_empty()
    });
    let stream = secure(&world).await;
    assert_eq!(shown(&stream), certificate(&first.0));
    let mut open = Peer::over(stream);
    open.expect_prefix("220 ").await;

    let second = authority.issue("mail.example.jp");
    publish(
        &secrets,
        "..2",
        &[
            ("mail-tls_tls.crt", &second.0),
            ("mail-tls_tls.key", &second.1),
        ],
    );
    let expected = certificate(&second.0);
    let mut seen = shown(&secure(&world).await);
    while seen != expected {
        proxy_is_alive(&mut proxy);
        seen = shown(&secure(&world).await);
    }
    open.say("NOOP").await;
    open.expect_prefix("250 ").await;

    // A pair that does not fit leaves the last good one.
    publish(
        &secrets,
        "..3",
        &[
            ("mail-tls_tls.crt", &first.0),
            ("mail-tls_tls.key", &second.1),
        ],
    );
    world.wait_for_ready(200, "the private key does not belong to the certificate");
    assert_eq!(shown(&secure(&world).await), expected);
}

fn proxy_is_alive(proxy: &mut sekisho_testkit::Process) {
    assert!(proxy.try_wait().is_none(), "{}", proxy.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_fleets_key_nobody_is_let_in_until_it_comes() {
    let world = World::new().await;
    let secrets = world.path("secrets");
    fs::remove_file(secrets.join("_fleet.key")).unwrap();
    world.mount(&world.plain(1));
    let mut proxy = world.start();
    world.wait_for_ready(503, "waits for the fleet's key");
    assert!(!World::is_open(&world.smtp));
    publish(&secrets, "..1", &[]);
    proxy.wait_for_port(world.smtp.address());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_relays_login_that_comes_late_is_used_without_a_restart() {
    let (mut world, control) = World::with_control(|_| Offer::Status(404)).await;
    let setup = SinkSetup {
        tls: Some(Authority::new().server("relay.example")),
        accounts: [("gate".to_owned(), "sesame".to_owned())].into(),
        ..SinkSetup::default()
    };
    world.sink = Sink::start_with(setup).await;
    let sink = world.sink.address();
    let snapshot = world.snapshot(1, |body| {
        body["pools"]["relay"] = json!({
            "object": { "kind": "EgressPool", "namespace": "mail", "name": "relay" },
            "members": [{
                "name": "ses", "weight": 1,
                "relay": {
                    "address": { "host": sink.ip().to_string(), "port": sink.port() },
                    "tls": "Opportunistic", "credentials": "ses"
                }
            }],
            "maxConnections": 10, "messagesPerConnection": 100, "selection": "Weighted"
        });
        body["rules"] = json!([{
            "object": { "kind": "SubmissionPolicy", "namespace": "mail", "name": "all" },
            "enforcement": "Enforce", "brake": "Default", "rule": "SubmissionPolicy",
            "spec": {
                "bareNewlines": "Normalize", "envelopeSender": "Any", "headerSender": "Any",
                "recipientDomains": "Any", "route": { "Unclassified": { "pool": "relay" } }
            }
        }]);
    });
    control.offer(Offer::Snapshot(Box::new(snapshot)));
    let mut proxy = world.start();
    proxy.wait_for_port(world.smtp.address());
    let report = control.wait_for_report("pending", |report| !report.pending.is_empty());
    assert_eq!(report.pending, ["ses"]);
    publish(
        &world.path("secrets"),
        "..1",
        &[("ses_username", "gate"), ("ses_password", "sesame")],
    );
    control.wait_for_report("the login", |report| {
        report.in_force.is_some() && report.pending.is_empty()
    });
    let reply = send(&mut world.session().await, "x@example.org").await;
    assert!(reply.starts_with("250 "), "{reply}");
    let received = world.sink.wait_for(1).await;
    assert_eq!(received[0].user.as_deref(), Some("gate"));
}
