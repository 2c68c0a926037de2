//! Handshakes between the two configurations, over memory.

use std::io;
use std::sync::Arc;

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection,
};
use sekisho_runtime::tls::{
    CertResolver, Identity, Roots, Verification, client_config, mail_server_config, self_signed,
    server_config,
};

const NOW: u64 = 1_780_300_000_000;

struct Ends {
    client: ClientConnection,
    server: ServerConnection,
}

fn identity(names: &[&str]) -> (Identity, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("self-signed.pem");
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let now = now_ms();
    let identity = self_signed(&path, &names, now).unwrap();
    (identity, std::fs::read(path).unwrap())
}

/// rustls checks a peer's certificate against the machine's clock, so these certificates are made for it.
fn now_ms() -> u64 {
    sekisho_runtime::Clock::system().now_ms()
}

fn server(identity: Identity) -> Arc<ServerConfig> {
    server_config(CertResolver::new(identity, Vec::new())).unwrap()
}

fn shake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &str,
) -> Result<Ends, rustls::Error> {
    let name = name.to_owned().try_into().unwrap();
    let mut ends = Ends {
        client: ClientConnection::new(client.clone(), name)?,
        server: ServerConnection::new(server.clone())?,
    };
    while ends.client.is_handshaking() || ends.server.is_handshaking() {
        turn(&mut ends)?;
    }
    // Tickets follow the handshake.
    turn(&mut ends)?;
    Ok(ends)
}

fn turn(ends: &mut Ends) -> Result<(), rustls::Error> {
    let sent = pass(|to| ends.client.write_tls(to));
    feed(&sent, |mut from| ends.server.read_tls(&mut from));
    ends.server.process_new_packets()?;
    let sent = pass(|to| ends.server.write_tls(to));
    feed(&sent, |mut from| ends.client.read_tls(&mut from));
    ends.client.process_new_packets()?;
    Ok(())
}

fn pass(mut write: impl FnMut(&mut Vec<u8>) -> io::Result<usize>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while write(&mut bytes).unwrap() > 0 {}
    bytes
}

fn feed(mut bytes: &[u8], mut read: impl FnMut(&[u8]) -> io::Result<usize>) {
    while !bytes.is_empty() {
        let taken = read(bytes).unwrap();
        bytes = &bytes[taken..];
    }
}

#[test]
fn an_opportunistic_client_takes_a_self_signed_certificate_and_resumes() {
    let server = server(identity(&["localhost"]).0);
    let client = client_config(Verification::Opportunistic).unwrap();
    let first = shake(&client, &server, "some.other.name").unwrap();
    assert_eq!(
        first.server.protocol_version(),
        Some(ProtocolVersion::TLSv1_3)
    );
    assert_ne!(first.server.handshake_kind(), Some(HandshakeKind::Resumed));
    let second = shake(&client, &server, "some.other.name").unwrap();
    assert_eq!(second.server.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[test]
fn a_required_certificate_must_be_for_the_name_and_from_the_authority() {
    let (identity, pem) = identity(&["mail.example.jp", "127.0.0.1"]);
    let server = server(identity);
    let own = client_config(Verification::Required(Roots::Pem {
        origin: "Secret/mail/ca",
        pem: &pem,
    }))
    .unwrap();
    assert!(shake(&own, &server, "mail.example.jp").is_ok());
    assert!(shake(&own, &server, "127.0.0.1").is_ok());
    assert!(
        shake(&own, &server, "mx.example.jp").is_err(),
        "another name"
    );
    let public = client_config(Verification::Required(Roots::WebPki)).unwrap();
    assert!(
        shake(&public, &server, "mail.example.jp").is_err(),
        "nobody vouches for it"
    );
}

#[test]
fn an_authority_that_is_none_is_named() {
    for (pem, expected) in [
        ("", "no usable authority"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "cannot be parsed",
        ),
    ] {
        let roots = Roots::Pem {
            origin: "Secret/mail/ca",
            pem: pem.as_bytes(),
        };
        let error = client_config(Verification::Required(roots))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("Secret/mail/ca: ") && error.contains(expected),
            "{error}"
        );
    }
}

#[test]
fn a_session_keeps_its_certificate_and_the_next_one_gets_the_new() {
    let resolver = CertResolver::new(identity(&["old.test"]).0, Vec::new());
    let server = server_config(resolver.clone()).unwrap();
    let shown = || {
        // A fresh client each time: a resumed session shows no certificate.
        let client = client_config(Verification::Opportunistic).unwrap();
        let ends = shake(&client, &server, "old.test").unwrap();
        ends.client.peer_certificates().unwrap()[0].to_vec()
    };
    let before = shown();
    assert_eq!(before, shown());
    resolver.replace(identity(&["new.test"]).0, Vec::new());
    assert_ne!(before, shown());
}

#[test]
fn versions_before_1_2_are_refused() {
    let server = server(identity(&["localhost"]).0);
    let mut connection = ServerConnection::new(server).unwrap();
    // A ClientHello of TLS 1.1 (RFC 4346): version 3.2, one CBC suite, no extensions.
    let mut hello = vec![1, 0, 0, 41, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    let mut record = vec![22, 3, 1, 0, 45];
    record.extend(hello);
    feed(&record, |mut from| connection.read_tls(&mut from));
    let error = connection.process_new_packets().unwrap_err();
    assert!(
        matches!(error, rustls::Error::PeerIncompatible(_)),
        "{error}"
    );
}

#[test]
fn an_expired_certificate_is_refused_by_us_before_any_client_does() {
    let (_, pem) = identity(&["localhost"]);
    let error = Identity::from_pem("Secret/mail/mail-tls", &pem, &pem, NOW * 3).unwrap_err();
    assert!(error.to_string().contains("expired on"), "{error}");
}

/// Tickets are the process's: whoever shook hands at one listener is known at the next, and goes on being known when the
/// certificate is replaced.
#[test]
fn a_ticket_is_good_at_every_mail_listener_and_outlives_its_certificate() {
    let resolver = CertResolver::new(identity(&["mail.test"]).0, Vec::new());
    let submission = mail_server_config(resolver.clone()).unwrap();
    let submissions = mail_server_config(CertResolver::new(identity(&["mail.test"]).0, Vec::new()));
    let client = client_config(Verification::Opportunistic).unwrap();
    let kind = |server: &Arc<ServerConfig>| {
        let ends = shake(&client, server, "mail.test").unwrap();
        ends.server.handshake_kind()
    };
    assert_ne!(kind(&submission), Some(HandshakeKind::Resumed));
    assert_eq!(kind(&submission), Some(HandshakeKind::Resumed));
    assert_eq!(kind(&submissions.unwrap()), Some(HandshakeKind::Resumed));
    resolver.replace(identity(&["mail.test"]).0, Vec::new());
    assert_eq!(kind(&submission), Some(HandshakeKind::Resumed));
}

#[test]
fn mail_is_the_only_protocol_that_is_spoken() {
    let server = mail_server_config(CertResolver::new(identity(&["mail.test"]).0, Vec::new()));
    let server = server.unwrap();
    let asking = |protocols: &[&str]| {
        let mut client = Arc::unwrap_or_clone(client_config(Verification::Opportunistic).unwrap());
        client.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        shake(&Arc::new(client), &server, "mail.test").map(|ends| {
            let agreed = ends.server.alpn_protocol();
            agreed.map(|p| String::from_utf8_lossy(p).into_owned())
        })
    };
    assert_eq!(asking(&[]), Ok(None), "mail programs name none");
    assert_eq!(asking(&["smtp"]), Ok(Some("smtp".to_owned())));
    assert_eq!(asking(&["h2", "smtp"]), Ok(Some("smtp".to_owned())));
    for other in [&["h2", "http/1.1"][..], &["imap"], &["ftp"]] {
        assert_eq!(
            asking(other),
            Err(rustls::Error::NoApplicationProtocol),
            "{other:?}"
        );
    }
}

#[test]
fn a_key_exchange_that_lasts_is_preferred_where_the_client_has_it() {
    let server = mail_server_config(CertResolver::new(identity(&["mail.test"]).0, Vec::new()));
    let server = server.unwrap();
    let groups: Vec<String> = server
        .crypto_provider()
        .kx_groups
        .iter()
        .map(|group| format!("{:?}", group.name()))
        .collect();
    assert_eq!(
        groups,
        ["X25519MLKEM768", "X25519", "secp256r1", "secp384r1"]
    );
    for suite in &server.crypto_provider().cipher_suites {
        let name = format!("{:?}", suite.suite());
        assert!(
            name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_"),
            "{name} keeps no forward secrecy"
        );
        assert!(name.contains("GCM") || name.contains("CHACHA20"), "{name}");
    }
}
