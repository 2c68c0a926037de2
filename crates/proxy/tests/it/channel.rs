//! SCRAM-SHA-256-PLUS over real TLS, bound to the server's certificate (`tls-server-end-point`, RFC 5929): whoever has another one in
//! between cannot pass a proof on.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_runtime::tls::{Verification, client_config};
use sekisho_testkit::{Peer, Sink};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::world::{Objects, World};

const ACCOUNT: &str = "taro@example.jp";
const PASSWORD: &[u8] = b"correct horse";
const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";

/// A client under TLS, and the certificate that it was shown.
async fn connect(world: &World) -> (Peer<TlsStream<TcpStream>>, Vec<u8>) {
    let address = world.gateway.address("submission").await.unwrap();
    let plain = TcpStream::connect(address).await.unwrap();
    let config = client_config(Verification::Opportunistic).unwrap();
    let name = ServerName::try_from("mail.example.jp").unwrap();
    let tls = TlsConnector::from(config)
        .connect(name, plain)
        .await
        .unwrap();
    let shown = tls.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let mut client = Peer::over(tls);
    client.reply(220).await;
    let offers = client.ask("EHLO pc.example.jp", 250).await;
    assert!(
        offers
            .iter()
            .any(|line| line.contains("SCRAM-SHA-256-PLUS")),
        "{offers:?}"
    );
    (client, shown)
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text).as_ref().to_vec()
}

fn sha256(octets: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, octets).as_ref().to_vec()
}

/// What the client answers to the challenge, bound to `certificate`, and what the server must then say (RFC 5802 section 3).
fn answer(challenge: &str, gs2: &str, certificate: &[u8]) -> (String, String) {
    let part = |name: char| {
        let mut parts = challenge.split(',');
        let part = parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        part.unwrap_or_else(|| panic!("{challenge} has no {name}"))
    };
    let salt = BASE64.decode(part('s')).unwrap();
    let iterations: NonZeroU32 = part('i').parse().unwrap();
    let mut salted = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        iterations,
        &salt,
        PASSWORD,
        &mut salted,
    );
    // The certificate is signed with SHA-256, so its digest is that as well (RFC 5929 section 4.1).
    let binding = [gs2.as_bytes(), &sha256(certificate)].concat();
    let last = format!("c={},r={}", BASE64.encode(binding), part('r'));
    let all = format!("n={ACCOUNT},r={NONCE},{challenge},{last}");
    let client_key = mac(&salted, b"Client Key");
    let signature = mac(&sha256(&client_key), all.as_bytes());
    let proof: Vec<u8> = client_key
        .iter()
        .zip(signature)
        .map(|(k, s)| k ^ s)
        .collect();
    let server = mac(&mac(&salted, b"Server Key"), all.as_bytes());
    let answer = format!("{last},p={}", BASE64.encode(proof));
    (answer, format!("v={}", BASE64.encode(server)))
}

/// The challenge in a reply.
fn challenge(reply: &[String]) -> String {
    let text = reply[0].strip_prefix("334 ").unwrap();
    String::from_utf8(BASE64.decode(text).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_is_bound_to_the_certificate_that_the_client_was_shown() {
    let sink = Sink::start().await;
    let hops = [("U".to_owned(), sink.address())].into();
    let mut objects = Objects::new();
    objects.set("listener", "", &json!({ "tls": "Implicit" }));
    let backends = json!([{ "accountsFile": "{accounts}" }]);
    let mechanisms = json!(["SCRAM-SHA-256-PLUS"]);
    let authentication = json!({ "backends": backends, "mechanisms": mechanisms });
    objects.set("gateway", "", &json!({ "authentication": authentication }));
    let password = String::from_utf8(PASSWORD.to_vec()).unwrap();
    let accounts = [(ACCOUNT.to_owned(), password)];
    let world = World::start(&mut objects, &hops, &accounts).await.unwrap();

    let gs2 = "p=tls-server-end-point,,";
    let first = BASE64.encode(format!("{gs2}n={ACCOUNT},r={NONCE}"));
    let begin = format!("AUTH SCRAM-SHA-256-PLUS {first}");

    let (mut client, shown) = connect(&world).await;
    // What a server in between would have the client bind to.
    let other = [&shown[..], b"x"].concat();
    for bound_to in [&other, &shown] {
        let asked = challenge(&client.ask(&begin, 334).await);
        assert!(asked.starts_with(&format!("r={NONCE}")), "{asked}");
        let (answer, expected) = answer(&asked, gs2, bound_to);
        client.say(&BASE64.encode(answer)).await;
        if bound_to == &other {
            client.reply(535).await;
        } else {
            assert_eq!(challenge(&client.reply(334).await), expected);
            client.ask("", 235).await;
        }
    }
    client.ask(&format!("MAIL FROM:<{ACCOUNT}>"), 250).await;

    // A binding that is named otherwise than it is.
    let (mut client, _) = connect(&world).await;
    let unique = BASE64.encode(format!("p=tls-unique,,n={ACCOUNT},r={NONCE}"));
    client
        .ask(&format!("AUTH SCRAM-SHA-256-PLUS {unique}"), 535)
        .await;
}
