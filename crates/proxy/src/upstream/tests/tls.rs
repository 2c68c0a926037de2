//! TLS towards next hops: where it is required nothing is sent without it, and nothing said before it counts.

use super::*;
use crate::upstream::{End, Fault};
use sekisho_runtime::Clock;
use sekisho_runtime::tls::{CertResolver, Identity, self_signed, server_config};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const STARTTLS: &str = "250-hop\r\n250-PIPELINING\r\n250-SIZE 7\r\n250 STARTTLS\r\n";
const SECURE: &str = "250-hop\r\n250 PIPELINING\r\n";

pub(super) struct Certificate {
    pub(super) acceptor: TlsAcceptor,
    pub(super) pem: Vec<u8>,
}

pub(super) fn certificate(name: &str) -> Certificate {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hop.pem");
    let now = Clock::system().now_ms();
    let identity: Identity = self_signed(&path, &[name.to_owned()], now).unwrap();
    let acceptor =
        TlsAcceptor::from(server_config(CertResolver::new(identity, Vec::new())).unwrap());
    Certificate {
        acceptor,
        pem: std::fs::read(path).unwrap(),
    }
}

impl Certificate {
    pub(super) fn trusted(&self) -> Arc<Environment> {
        environment_trusting(
            Deadlines::default(),
            Roots::Pem {
                origin: "hop.pem",
                pem: &self.pem,
            },
        )
    }

    async fn accept(
        &self,
        hop: &Hop,
        before_tls: &str,
    ) -> std::io::Result<Peer<TlsStream<TcpStream>>> {
        self.accept_offering(hop, before_tls, SECURE).await
    }

    pub(super) async fn accept_offering(
        &self,
        hop: &Hop,
        before_tls: &str,
        offered: &str,
    ) -> std::io::Result<Peer<TlsStream<TcpStream>>> {
        let mut peer = hop.serve(STARTTLS).await;
        peer.expect("STARTTLS").await;
        peer.send(format!("220 go on\r\n{before_tls}").as_bytes())
            .await;
        let mut peer = Peer::over(self.acceptor.accept(peer.into_stream()).await?);
        peer.expect("EHLO proxy.example.jp").await;
        peer.send(offered.as_bytes()).await;
        Ok(peer)
    }
}

fn stage(environment: Arc<Environment>, tls: &str, hop: &Hop) -> Stage {
    Stage::over(
        environment,
        snapshot(json!({ "endpoints": [hop.json()], "tls": tls }), json!({})),
    )
}

async fn receive_tls(peer: &mut Peer<TlsStream<TcpStream>>) {
    peer.expect("MAIL FROM:<a@example.jp>").await;
    peer.expect("RCPT TO:<b@example.com>").await;
    peer.send(b"250 ok\r\n250 ok\r\n").await;
    peer.expect("DATA").await;
    peer.say("354 go on").await;
    peer.data().await;
    peer.say("250 ok").await;
}

#[tokio::test]
async fn what_was_said_before_tls_is_forgotten() {
    let certificate = certificate("127.0.0.1");
    for tls in ["Opportunistic", "Required"] {
        let hop = Hop::new().await;
        let stage = stage(certificate.trusted(), tls, &hop);
        let serve = async {
            // Injected in clear text: a reply for EHLO that would offer what the server does not.
            let mut peer = certificate
                .accept(&hop, "250-evil\r\n250 SMTPUTF8\r\n")
                .await
                .unwrap();
            receive_tls(&mut peer).await;
            receive_tls(&mut peer).await;
            peer
        };
        let send = async {
            assert!(matches!(stage.send().await, End::Accepted(_)));
            // Over the same connection, TLS and all; SIZE 7 was offered in clear text only.
            assert!(matches!(stage.send().await, End::Accepted(_)));
        };
        let (_peer, ()) = tokio::join!(serve, send);
        assert!(hop.is_quiet().await);
        assert!(
            stage
                .begin_with("MAIL FROM:<太郎@example.jp> SMTPUTF8", in_time())
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn required_tls_never_falls_back() {
    let (trusted, other) = (certificate("127.0.0.1"), certificate("127.0.0.1"));
    let hop = Hop::new().await;
    let required = stage(trusted.trusted(), "Required", &hop);

    let not_offered = async {
        let mut peer = hop.serve(FULL).await;
        peer.closed().await;
    };
    let ((), begun) = tokio::join!(not_offered, required.begin());
    assert!(matches!(begun.unwrap_err().fault(), Fault::TlsNotOffered));

    let refused = async {
        let mut peer = hop.serve(STARTTLS).await;
        peer.expect("STARTTLS").await;
        peer.say("454 4.7.0 Not now").await;
        peer.closed().await;
    };
    let ((), begun) = tokio::join!(refused, required.begin());
    assert!(matches!(begun.unwrap_err().fault(), Fault::Unwilling(_)));

    let (served, begun) = tokio::join!(other.accept(&hop, ""), required.begin());
    assert!(served.is_err());
    let failure = begun.unwrap_err();
    assert!(
        matches!(failure.fault(), Fault::Certificate(_)),
        "{failure}"
    );
    assert!(
        failure.reply().to_string().starts_with("451 4.7.5 "),
        "{}",
        failure.reply()
    );
    assert!(hop.is_quiet().await);
}

/// An attacker who cuts the connection makes no end of what was said.
#[tokio::test]
async fn tls_that_breaks_off_within_a_reply_is_no_reply() {
    let certificate = certificate("127.0.0.1");
    let hop = Hop::new().await;
    let stage = stage(certificate.trusted(), "Required", &hop);
    let serve = async {
        let mut peer = certificate.accept(&hop, "").await.unwrap();
        peer.expect("MAIL FROM:<a@example.jp>").await;
        peer.expect("RCPT TO:<b@example.com>").await;
        peer.send(b"250 ok\r\n250 ok\r\n").await;
        peer.expect("DATA").await;
        peer.say("354 go on").await;
        peer.data().await;
        peer.send(b"250 2.0.0 queued").await;
        // Without a close_notify.
        drop(peer.into_stream().into_inner());
    };
    let ((), end) = tokio::join!(serve, stage.send());
    assert!(matches!(end, End::Uncertain(_)), "{end:?}");
}

#[tokio::test]
async fn opportunistic_tls_takes_any_certificate() {
    let hop = Hop::new().await;
    let certificate = certificate("elsewhere.example");
    let stage = stage(environment(Deadlines::default()), "Opportunistic", &hop);
    let (served, begun) = tokio::join!(certificate.accept(&hop, ""), stage.begin());
    assert!(served.is_ok() && begun.is_ok());
}

#[tokio::test]
async fn opportunistic_tls_does_without_where_it_fails() {
    let hop = Hop::new().await;
    let stage = stage(environment(Deadlines::default()), "Opportunistic", &hop);
    let refused = async {
        let mut peer = hop.serve(STARTTLS).await;
        peer.expect("STARTTLS").await;
        peer.say("454 4.7.0 Not now").await;
        peer
    };
    let (peer, begun) = tokio::join!(refused, stage.begin());
    assert!(begun.is_ok());
    drop((peer, begun));

    let broken = async {
        let mut peer = hop.serve(STARTTLS).await;
        peer.expect("STARTTLS").await;
        peer.say("220 go on").await;
        let mut stream = peer.into_stream();
        stream
            .write_all(b"this is no TLS, whatever it says\r\n")
            .await
            .unwrap();
        drop(stream);
        hop.serve(STARTTLS).await
    };
    let (peer, begun) = tokio::join!(broken, stage.begin());
    assert!(begun.is_ok());
    drop((peer, begun));
    // And for a while it is not tried again.
    let (_peer, begun) = tokio::join!(hop.serve(STARTTLS), stage.begin());
    assert!(begun.is_ok());
}
