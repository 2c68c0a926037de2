//! Tells a service of somebody else's what happened: a signed POST, over verified TLS, to the stated address and nowhere else.
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
use crate::outbound::{self, Url};

/// How long an attempt may take, name and all.
const PATIENCE: Duration = Duration::from_secs(10);
/// Octets of an answer that are read; nobody looks at them.
const ANSWER: usize = 64 * 1024;

/// Posts messages.
#[derive(Clone, Debug)]
pub struct Webhooks {
    dns: Dns,
    tls: Arc<ClientConfig>,
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
}

/// Why a message was not told.
#[derive(Debug, thiserror::Error)]
pub enum NotTold {
    /// The channel's address is none.
    #[error("{0:?} is no URL of the form https://host/path")]
    Url(String),
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
    pub fn new(dns: Dns, authorities: Option<(&str, &[u8])>) -> Result<Self, Error> {
        let roots = match authorities {
            Some((origin, pem)) => Roots::Pem { origin, pem },
            None => Roots::WebPki,
        };
        let tls = client_config(Verification::Required(roots))?;
        Ok(Self { dns, tls })
    }

    /// Tells it once.
    ///
    /// # Errors
    /// [`NotTold`], without a word of the secret.
    pub async fn tell(&self, attempt: Attempt<'_>) -> Result<(), NotTold> {
        let url = Url::parse(attempt.url).map_err(|_| NotTold::Url(attempt.url.to_owned()))?;
        let request = Request::post("/")
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("sekisho/", env!("CARGO_PKG_VERSION")))
            .header("Idempotency-Key", attempt.id)
            .header("Sekisho-Signature", signature(&attempt))
            .body(Full::new(Bytes::copy_from_slice(attempt.body.as_bytes())))
            .map_err(|_| NotTold::Request)?;
        let deadline = Instant::now() + PATIENCE;
        let asked = outbound::ask(&url, request, ANSWER, &self.dns, &self.tls, deadline);
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
    use super::*;

    /// `printf '1800000000.{"a":1}' | openssl dgst -sha256 -hmac whsec`.
    #[test]
    fn the_signature_is_one_that_others_can_check() {
        let attempt = Attempt {
            url: "https://desk.example/",
            secret: b"whsec",
            id: "x",
            body: r#"{"a":1}"#,
            at: Timestamp(1_800_000_000_123),
        };
        assert_eq!(
            signature(&attempt),
            "t=1800000000,v1=adf19a16865985b0891b0e7e4f6770e17d6bdd6462d897848f5adb661c4381bb"
        );
    }
}
