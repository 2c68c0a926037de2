//! Tells a service of somebody else's what happened: a signed POST, over verified TLS, to the stated address and nowhere else. Where
//! addresses are stated by people who are not trusted with our network, only those within reach are connected to.
//!
//! `Sekisho-Signature: t=SECONDS,v1=HEX` holds the time of this attempt and the HMAC with SHA-256, under the secret, of
//! `SECONDS.BODY`. A receiver that looks at both takes no old message for a new one.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use sekisho_policy::Timestamp;
use sekisho_runtime::tls::{Roots, Verification, client_config};
use sha2::Sha256;
use tokio::time::Instant;
use tokio_rustls::rustls::ClientConfig;

use crate::dns::Dns;
use crate::error::Error;
use crate::outbound::{self, Reach, Url};

/// How long an attempt may take at most, name and all.
const PATIENCE: Duration = Duration::from_secs(10);
/// Octets of an answer that are read; nobody looks at them.
const ANSWER: usize = 64 * 1024;

/// Posts messages.
#[derive(Clone, Debug)]
pub struct Webhooks {
    dns: Dns,
    tls: Arc<ClientConfig>,
    reach: Reach,
}

/// One attempt at one message.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// `http` or `https`.
    pub url: &'a str,
    /// What it is signed with.
    pub secret: &'a [u8],
    /// By what a receiver knows a repetition.
    pub id: &'a str,
    /// JSON.
    pub body: &'a str,
    /// Now.
    pub at: Timestamp,
    /// How long it may take; ten seconds at most.
    pub within: Duration,
}

/// Why a message was not told.
#[derive(Debug, thiserror::Error)]
pub enum NotTold {
    /// The channel's address is none. It is not repeated: some are secrets.
    #[error("its url is not of the form https://host/path")]
    Url,
    /// A key that no HTTP field can hold.
    #[error("the message cannot be made a request")]
    Request,
    /// Nobody answered.
    #[error("{0}")]
    NoAnswer(String),
    /// The service did not take it.
    #[error("it answered {0}")]
    Refused(u16),
}

impl Webhooks {
    /// Certificates are verified by `authorities` (the name of their file, and what is in it), or else by Mozilla's list.
    ///
    /// # Errors
    /// Authorities that cannot be read.
    pub fn new(dns: Dns, authorities: Option<(&str, &[u8])>, reach: Reach) -> Result<Self, Error> {
        let roots = match authorities {
            Some((origin, pem)) => Roots::Pem { origin, pem },
            None => Roots::WebPki,
        };
        let tls = client_config(Verification::Required(roots))?;
        Ok(Self { dns, tls, reach })
    }

    /// Tells it once.
    ///
    /// # Errors
    /// [`NotTold`], without a word of the secret.
    pub async fn tell(&self, attempt: Attempt<'_>) -> Result<(), NotTold> {
        let url = Url::parse(attempt.url).map_err(|_| NotTold::Url)?;
        let request = Request::post("/")
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("sekisho/", env!("CARGO_PKG_VERSION")))
            .header("Idempotency-Key", attempt.id)
            .header("Sekisho-Signature", signature(&attempt))
            .body(Full::new(Bytes::copy_from_slice(attempt.body.as_bytes())))
            .map_err(|_| NotTold::Request)?;
        let deadline = Instant::now() + attempt.within.min(PATIENCE);
        let (reach, dns, tls) = (&self.reach, &self.dns, &self.tls);
        let asked = outbound::ask_within(reach, &url, request, ANSWER, dns, tls, deadline);
        let answer = asked
            .await
            .map_err(|error| NotTold::NoAnswer(error.to_string()))?;
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(NotTold::Refused(answer.status.as_u16()))
        }
    }
}

fn signature(attempt: &Attempt<'_>) -> String {
    let seconds = attempt.at.0 / 1000;
    let mut mac = Hmac::<Sha256>::new_from_slice(attempt.secret).expect("HMAC takes any length");
    mac.update(format!("{seconds}.{}", attempt.body).as_bytes());
    let digest = mac.finalize().into_bytes();
    let hex: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    use sekisho_runtime::Metrics;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn attempt(url: &str) -> Attempt<'_> {
        Attempt {
            url,
            secret: b"whsec",
            id: "x",
            body: r#"{"a":1}"#,
            at: Timestamp(1_800_000_000_123),
            within: PATIENCE,
        }
    }

    /// Where others may write addresses, this process is no way into its own network.
    #[tokio::test]
    async fn nobody_is_connected_to_who_is_out_of_reach() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let through = |reach| {
            let nobody = ["127.0.0.1:9".parse().unwrap()];
            let dns = Dns::with_servers(&nobody, Metrics::new()).unwrap();
            Webhooks::new(dns, None, reach).unwrap()
        };
        let public = through(Reach::public(&[], &[]).unwrap());
        let refused = public.tell(attempt(&url)).await.unwrap_err().to_string();
        assert!(refused.contains("127.0.0.1, a private"), "{refused}");
        let opened = through(Reach::public(&[], &["127.0.0.0/8".parse().unwrap()]).unwrap());
        let (told, asked) = tokio::join!(opened.tell(attempt(&url)), async {
            // The first that came: the other one never did.
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let count = stream.read(&mut asked).await.unwrap();
            let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            asked.truncate(count);
            asked
        });
        told.unwrap();
        assert!(asked.starts_with(b"POST / HTTP/1.1\r\n"));
        let more = tokio::time::timeout(Duration::from_millis(50), listener.accept());
        assert!(more.await.is_err(), "one connection in all");
    }

    #[tokio::test]
    async fn an_attempt_takes_no_longer_than_it_may() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let dns = Dns::with_servers(&["127.0.0.1:9".parse().unwrap()], Metrics::new()).unwrap();
        let webhooks = Webhooks::new(dns, None, Reach::Anywhere).unwrap();
        let attempt = Attempt {
            within: Duration::from_millis(100),
            ..attempt(&url)
        };
        let told = tokio::time::timeout(PATIENCE / 2, webhooks.tell(attempt)).await;
        let refused = told.unwrap().unwrap_err().to_string();
        assert!(refused.contains("in time"), "{refused}");
    }

    /// `printf '1800000000.{"a":1}' | openssl dgst -sha256 -hmac whsec`.
    #[test]
    fn the_signature_is_one_that_others_can_check() {
        assert_eq!(
            signature(&attempt("https://desk.example/")),
            "t=1800000000,v1=adf19a16865985b0891b0e7e4f6770e17d6bdd6462d897848f5adb661c4381bb"
        );
    }
}
