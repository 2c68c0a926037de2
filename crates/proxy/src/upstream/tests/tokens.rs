//! XOAUTH2 at relays: tokens from a Secret, and tokens that are fetched.

use super::tls::{Certificate, certificate};
use super::*;
use crate::upstream::Fault;
use tokio::io::AsyncWriteExt as _;

const AUTH: &str = "250-hop\r\n250-PIPELINING\r\n250 AUTH LOGIN XOAUTH2\r\n";
/// `user=gate@example.jp`, `auth=Bearer one`
const ONE: &str = "AUTH XOAUTH2 dXNlcj1nYXRlQGV4YW1wbGUuanABYXV0aD1CZWFyZXIgb25lAQE=";
/// `user=gate@example.jp`, `auth=Bearer two`
const TWO: &str = "AUTH XOAUTH2 dXNlcj1nYXRlQGV4YW1wbGUuanABYXV0aD1CZWFyZXIgdHdvAQE=";

/// A token endpoint that is verified by its certificate.
struct Endpoint {
    hop: Hop,
    certificate: Certificate,
}

impl Endpoint {
    async fn new() -> Self {
        Self {
            hop: Hop::new().await,
            certificate: certificate("127.0.0.1"),
        }
    }

    /// Answers one question; returns what was asked.
    async fn answer(&self, status: &str, body: &str) -> String {
        let peer = self.hop.accept().await;
        let accepted = self.certificate.acceptor.accept(peer.into_stream()).await;
        let mut stream = accepted.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"scope=mail") {
            let mut octet = [0];
            stream.read_exact(&mut octet).await.unwrap();
            asked.push(octet[0]);
        }
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        String::from_utf8(asked).unwrap()
    }

    async fn grant(&self, token: &str) -> String {
        let body =
            format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600}}"#);
        self.answer("200 OK", &body).await
    }

    async fn stage(&self, relay: &Hop) -> (Stage, Arc<Logins>) {
        let logins = Arc::<Logins>::default();
        for (key, value) in [
            ("username", "gate@example.jp"),
            ("client_id", "app"),
            ("client_secret", "hush hush\n"),
        ] {
            logins.put("o365", key, value.as_bytes());
        }
        let environment = Environment {
            credentials: logins.clone(),
            ..Arc::into_inner(self.certificate.trusted()).unwrap()
        };
        let url = format!("https://{}/tenant/token", self.hop.address());
        let oauth = json!({ "tokenUrl": url, "scope": "mail", "credentials": "o365" });
        let relay = json!({ "address": relay.json(), "tls": "Off", "oauth": oauth });
        let pools = json!({ "p": { "members": [{ "name": "a", "weight": 1, "relay": relay }] } });
        let upstream = json!({ "endpoints": [nobody().await] });
        let stage = Stage::over(Arc::new(environment), snapshot(upstream, pools));
        (stage, logins)
    }
}

/// Accepts a connection and takes the login.
async fn admit(hop: &Hop, auth: &str) -> Peer<TcpStream> {
    let mut peer = hop.serve(AUTH).await;
    peer.expect(auth).await;
    peer.say("235 2.7.0 Welcome").await;
    peer
}

/// As Google and Microsoft refuse: the reason in a challenge, then the end.
async fn refuse(hop: &Hop, auth: &str) {
    let mut peer = hop.serve(AUTH).await;
    peer.expect(auth).await;
    peer.say("334 eyJzdGF0dXMiOiI0MDAifQ==").await;
    peer.expect("").await;
    peer.say("535 5.7.3 Authentication unsuccessful").await;
    peer.closed().await;
}

#[tokio::test]
async fn a_token_in_the_secret_is_used_as_it_is() {
    let hop = Hop::new().await;
    let logins = Arc::<Logins>::default();
    let environment = Environment {
        credentials: logins.clone(),
        ..Arc::into_inner(environment(Deadlines::default())).unwrap()
    };
    let relay = json!({ "address": hop.json(), "tls": "Off", "credentials": "google" });
    let pools = json!({ "p": { "members": [{ "name": "a", "weight": 1, "relay": relay }] } });
    let upstream = json!({ "endpoints": [nobody().await] });
    let stage = Stage::over(Arc::new(environment), snapshot(upstream, pools));
    logins.put("google", "username", b"gate@example.jp");
    logins.put("google", "token", b"one\n");
    let ((), begun) = tokio::join!(refuse(&hop, ONE), stage.begin_in("p", 1));
    let failure = begun.unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("refuses the pool's login: 535"),
        "{failure}"
    );
    assert!(failure.reply().to_string().starts_with("451 4.3.5 "));
    // Another token is tried at once.
    logins.put("google", "token", b"two\n");
    let (_peer, begun) = tokio::join!(admit(&hop, TWO), stage.begin_in("p", 1));
    begun.unwrap();
}

#[tokio::test]
async fn a_token_is_fetched_once_and_kept() {
    let (endpoint, hop) = (Endpoint::new().await, Hop::new().await);
    let (stage, _) = endpoint.stage(&hop).await;
    let (asked, peer, begun) = tokio::join!(
        endpoint.grant("one"),
        admit(&hop, ONE),
        stage.begin_in("p", 1)
    );
    drop((peer, begun.unwrap()));
    assert!(
        asked.starts_with("POST /tenant/token HTTP/1.1\r\n"),
        "{asked}"
    );
    let form = "grant_type=client_credentials&client_id=app&client_secret=hush%20hush&scope=mail";
    assert!(asked.ends_with(form), "{asked}");
    let (_peer, begun) = tokio::join!(admit(&hop, ONE), stage.begin_in("p", 1));
    drop(begun.unwrap());
    assert!(endpoint.hop.is_quiet().await);
    // Shortly before its end, another is fetched.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3_541)).await;
    tokio::time::resume();
    let (_, _peer, begun) = tokio::join!(
        endpoint.grant("two"),
        admit(&hop, TWO),
        stage.begin_in("p", 1)
    );
    begun.unwrap();
}

#[tokio::test]
async fn a_kept_token_that_is_refused_is_replaced_once() {
    let (endpoint, hop) = (Endpoint::new().await, Hop::new().await);
    let (stage, _) = endpoint.stage(&hop).await;
    let (_, peer, begun) = tokio::join!(
        endpoint.grant("one"),
        admit(&hop, ONE),
        stage.begin_in("p", 1)
    );
    drop((peer, begun.unwrap()));
    let relay = async {
        refuse(&hop, ONE).await;
        admit(&hop, TWO).await
    };
    let (_, peer, begun) = tokio::join!(endpoint.grant("two"), relay, stage.begin_in("p", 1));
    drop((peer, begun.unwrap()));
    let relay = async {
        refuse(&hop, TWO).await;
        refuse(&hop, ONE).await;
    };
    let (_, (), begun) = tokio::join!(endpoint.grant("one"), relay, stage.begin_in("p", 1));
    assert!(
        begun
            .unwrap_err()
            .to_string()
            .contains("refuses the pool's login")
    );
    // It rests now; nobody is asked.
    stage.begin_in("p", 1).await.unwrap_err();
    assert!(hop.is_quiet().await && endpoint.hop.is_quiet().await);
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_left_alone_for_a_while_and_nothing_shows() {
    let (endpoint, hop) = (Endpoint::new().await, Hop::new().await);
    let (stage, logins) = endpoint.stage(&hop).await;
    let refusal = r#"{"error":"invalid_client","error_description":"no hush hush here"}"#;
    let (_, begun) = tokio::join!(
        endpoint.answer("401 Unauthorized", refusal),
        stage.begin_in("p", 1)
    );
    let failure = begun.unwrap_err();
    let seen = format!("{failure} {failure:?}");
    assert!(
        seen.contains("refused (401 Unauthorized)") && !seen.contains("hush"),
        "{seen}"
    );
    assert!(failure.reply().to_string().starts_with("451 4.4.1 "));
    assert!(stage.metrics().contains("kind=\"token\""));
    let again = stage.begin_in("p", 1).await.unwrap_err();
    assert!(again.to_string().contains("401"), "{again}");
    assert!(endpoint.hop.is_quiet().await && hop.is_quiet().await);
    // What the Secret holds now may do better.
    logins.put("o365", "client_secret", b"open sesame");
    let (_, _peer, begun) = tokio::join!(
        endpoint.grant("one"),
        admit(&hop, ONE),
        stage.begin_in("p", 1)
    );
    begun.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_cannot_prove_its_name_is_told_nothing() {
    let (endpoint, hop) = (Endpoint::new().await, Hop::new().await);
    let (stage, _) = Endpoint {
        hop: Hop(TcpListener::bind("127.0.0.1:0").await.unwrap()),
        certificate: certificate("127.0.0.1"),
    }
    .stage(&hop)
    .await;
    let mut snapshot = stage.snapshot.clone();
    let member = &mut snapshot.pools.get_mut("p").unwrap().members[0];
    let oauth = member.relay.as_mut().unwrap().oauth.as_mut().unwrap();
    oauth.token_url = format!("https://{}/", endpoint.hop.address());
    let stage = Stage::over(Arc::clone(&stage.environment), snapshot);
    let serve = async {
        let peer = endpoint.hop.accept().await;
        endpoint
            .certificate
            .acceptor
            .accept(peer.into_stream())
            .await
    };
    let (accepted, begun) = tokio::join!(serve, stage.begin_in("p", 1));
    assert!(accepted.is_err());
    let failure = begun.unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("TLS with the token endpoint failed"),
        "{failure}"
    );
    assert!(matches!(failure.fault(), Fault::NoHealthyMember(_)));
}
