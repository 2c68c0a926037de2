//! Whom a next hop's certificate must be from, and for which name; TLS from the first octet.

use super::tls::{Certificate, certificate};
use super::*;
use crate::upstream::Fault;

const AUTH: &str = "250-hop\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n";

async fn pool(relay: Value) -> (Stage, Arc<Logins>) {
    let logins = Arc::<Logins>::default();
    let environment = Environment {
        credentials: logins.clone(),
        ..Arc::into_inner(environment(Deadlines::default())).unwrap()
    };
    let upstream = json!({ "endpoints": [nobody().await] });
    let pools = json!({ "p": { "members": [{ "name": "a", "weight": 1, "relay": relay }] } });
    (
        Stage::over(Arc::new(environment), snapshot(upstream, pools)),
        logins,
    )
}

/// The other side: TLS first, then the greeting.
async fn serve_implicit(certificate: &Certificate, hop: &Hop, ehlo: &str) {
    let peer = hop.accept().await;
    let Ok(stream) = certificate.acceptor.accept(peer.into_stream()).await else {
        return;
    };
    let mut peer = Peer::over(stream);
    peer.say("220 hop").await;
    peer.expect("EHLO proxy.example.jp").await;
    peer.send(ehlo.as_bytes()).await;
    peer.closed().await;
}

#[tokio::test]
async fn a_certificate_must_be_of_the_named_authority_and_for_the_name() {
    let (ours, other) = (
        certificate("relay.example.net"),
        certificate("relay.example.net"),
    );
    let table = [
        ("relay.example.net", &ours, None),
        ("relay.example.org", &ours, Some("not valid for name")),
        ("relay.example.net", &other, Some("certificate")),
    ];
    for (name, authority, fault) in table {
        let hop = Hop::new().await;
        let relay = json!({
            "address": hop.json(), "tls": "Implicit", "authorities": "ca", "serverName": name,
        });
        let (stage, logins) = pool(relay).await;
        logins.put("ca", "ca.crt", &authority.pem);
        let send = async {
            let begun = stage.begin_in("p", 1).await;
            begun.map(drop)
        };
        let ((), begun) = tokio::join!(serve_implicit(&ours, &hop, BARE), send);
        let Some(fault) = fault else {
            begun.unwrap();
            continue;
        };
        let failure = begun.unwrap_err();
        assert!(failure.to_string().contains(fault), "{failure}");
        assert!(
            failure.to_string().contains("is not to be trusted"),
            "{failure}"
        );
        let told = failure.reply().to_string();
        assert!(told.starts_with("451 4.7.5 "), "{told}");
        assert!(
            !told.contains("example") && !told.contains("127.0.0.1"),
            "{told}"
        );
        assert!(stage.metrics().contains("kind=\"certificate\""));
    }
}

#[tokio::test]
async fn without_its_authorities_a_member_takes_no_mail_and_a_new_bundle_counts_at_once() {
    let ours = certificate("127.0.0.1");
    let hop = Hop::new().await;
    let relay = json!({ "address": hop.json(), "tls": "Implicit", "authorities": "ca" });
    let (stage, logins) = pool(relay).await;
    let states = || {
        let mut states = Vec::new();
        stage.hops.members(&mut |pool, state| {
            if pool != "-" {
                states.push(state);
            }
        });
        states
    };
    let failure = stage.begin_in("p", 1).await.unwrap_err();
    let said = failure.to_string();
    assert!(said.contains("Secret default/ca has no `ca.crt`"), "{said}");
    assert_eq!(states(), [MemberState::CredentialsPending]);
    logins.put("ca", "ca.crt", b"no PEM at all");
    let failure = stage.begin_in("p", 1).await.unwrap_err();
    assert!(
        failure.to_string().contains("Secret default/ca"),
        "{failure}"
    );
    assert!(
        hop.is_quiet().await,
        "nobody is asked before it is known whom to trust"
    );
    logins.put("ca", "ca.crt", &ours.pem);
    let send = async { stage.begin_in("p", 1).await.map(drop) };
    let ((), begun) = tokio::join!(serve_implicit(&ours, &hop, BARE), send);
    begun.unwrap();
}

#[tokio::test]
async fn the_gateways_own_upstream_is_verified_in_the_same_way() {
    let ours = certificate("postfix.mail");
    let hop = Hop::new().await;
    let logins = Arc::<Logins>::default();
    logins.put("ca", "ca.crt", &ours.pem);
    let environment = Environment {
        credentials: logins,
        ..Arc::into_inner(environment(Deadlines::default())).unwrap()
    };
    let upstream = json!({
        "endpoints": [hop.json()], "tls": "Implicit", "authorities": "ca",
        "serverName": "postfix.mail", "clientIdentity": "ProxyV2",
    });
    let stage = Stage::over(Arc::new(environment), snapshot(upstream, json!({})));
    let serve = async {
        // The PROXY header comes in clear text, before TLS.
        let (header, peer) = hop.accept_proxied().await;
        assert_eq!(header[12], 0x21);
        let stream = ours.acceptor.accept(peer.into_stream()).await.unwrap();
        let mut peer = Peer::over(stream);
        peer.say("220 hop").await;
        peer.expect("EHLO proxy.example.jp").await;
        peer.send(BARE.as_bytes()).await;
        peer
    };
    let (_peer, begun) = tokio::join!(serve, stage.begin());
    begun.unwrap();
}

/// Clear text where TLS is due is no greeting.
#[tokio::test]
async fn implicit_tls_never_falls_back() {
    let ours = certificate("127.0.0.1");
    let hop = Hop::new().await;
    let stage = Stage::over(
        ours.trusted(),
        snapshot(
            json!({ "endpoints": [hop.json()], "tls": "Implicit" }),
            json!({}),
        ),
    );
    let serve = async {
        let mut peer = hop.accept().await;
        peer.say("220 hop ESMTP").await;
    };
    let ((), begun) = tokio::join!(serve, stage.begin());
    let failure = begun.unwrap_err();
    assert!(matches!(failure.fault(), Fault::Tls(_)), "{failure}");
    assert!(hop.is_quiet().await);
}

#[tokio::test]
async fn a_login_that_is_offered_in_clear_text_alone_is_not_used() {
    let ours = certificate("127.0.0.1");
    let hop = Hop::new().await;
    let relay = json!({ "address": hop.json(), "tls": "Required", "authorities": "ca", "credentials": "s" });
    let (stage, logins) = pool(relay).await;
    logins.put("ca", "ca.crt", &ours.pem);
    logins.set("s", "sesame");
    let serve = async {
        let mut peer = hop
            .serve("250-hop\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n")
            .await;
        peer.expect("STARTTLS").await;
        peer.say("220 go on").await;
        let stream = ours.acceptor.accept(peer.into_stream()).await.unwrap();
        let mut peer = Peer::over(stream);
        peer.expect("EHLO proxy.example.jp").await;
        peer.send(BARE.as_bytes()).await;
        peer.closed().await;
    };
    let ((), begun) = tokio::join!(serve, async { stage.begin_in("p", 1).await.map(drop) });
    let failure = begun.unwrap_err();
    assert!(
        failure.to_string().contains("offers no AUTH mechanism"),
        "{failure}"
    );
}

#[tokio::test]
async fn credentials_go_over_implicit_tls() {
    let ours = certificate("127.0.0.1");
    let hop = Hop::new().await;
    let relay = json!({ "address": hop.json(), "tls": "Implicit", "authorities": "ca", "credentials": "s" });
    let (stage, logins) = pool(relay).await;
    logins.put("ca", "ca.crt", &ours.pem);
    logins.set("s", "sesame");
    let serve = async {
        let peer = hop.accept().await;
        let stream = ours.acceptor.accept(peer.into_stream()).await.unwrap();
        let mut peer = Peer::over(stream);
        peer.say("220 hop").await;
        peer.expect("EHLO proxy.example.jp").await;
        peer.send(AUTH.as_bytes()).await;
        peer.expect("AUTH PLAIN AGdhdGUAc2VzYW1l").await;
        peer.say("235 2.7.0 Welcome").await;
        peer
    };
    let (_peer, begun) = tokio::join!(serve, stage.begin_in("p", 1));
    begun.unwrap();
}
