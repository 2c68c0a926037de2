//! Where an identity provider's keys are (OpenID Connect Discovery 1.0, RFC 8414).

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, HeaderValue};
use sekisho_policy::snapshot::OidcAuth;
use tokio::time::Instant;

use super::super::LoadFault;
use super::super::remote::{RemoteFault, Service, good};
use super::super::token::json;
use super::super::token::keys::{self, Keys, KeysFault};
use crate::outbound::Url;

/// Octets of a discovery document.
const MOST: usize = 256 * 1024;

/// Where keys come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The document that says where they are, and the issuer that it must be of.
    Discovery {
        document: Url,
        issuer: String,
    },
    Keys(Url),
}

/// Where the discovery document of an issuer is.
pub(super) fn address(issuer: &str) -> String {
    format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    )
}

impl Source {
    pub(super) fn of(config: &OidcAuth) -> Result<Self, LoadFault> {
        let private = |url: Url| {
            if url.is_private() {
                Ok(url)
            } else {
                Err(LoadFault::InClear(url.to_string()))
            }
        };
        Ok(match &config.jwks_url {
            Some(url) => Self::Keys(private(Url::parse(url)?)?),
            None => Self::Discovery {
                document: private(Url::parse(&address(&config.issuer))?)?,
                issuer: config.issuer.clone(),
            },
        })
    }

    /// Fetches the keys.
    pub(super) async fn fetch(
        &self,
        service: &Service,
        deadline: Instant,
    ) -> Result<Keys, RemoteFault> {
        let answer = match self {
            Self::Keys(url) => service.ask(url, get(), keys::MOST, deadline).await?,
            Self::Discovery { document, issuer } => {
                let found = service.ask(document, get(), MOST, deadline).await?;
                let url = read(&good(found)?, issuer)?;
                service.ask(&url, get(), keys::MOST, deadline).await?
            }
        };
        Keys::parse(&good(answer)?).map_err(|fault| {
            RemoteFault::Answer(match fault {
                KeysFault::Malformed => "what it has for keys is no set of keys",
                KeysFault::TooMany => "it has too many keys",
                KeysFault::None => "it has no key for an algorithm that is allowed",
            })
        })
    }
}

fn get() -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::new()));
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(ACCEPT, json);
    request
}

/// Where the keys are, as a document says that is of this issuer (section 4.3).
fn read(document: &[u8], issuer: &str) -> Result<Url, RemoteFault> {
    let fault = RemoteFault::Answer;
    let document = json::object(document).ok_or(fault("its discovery document is no JSON"))?;
    let text = |name: &str| document.get(name)?.as_str();
    if text("issuer") != Some(issuer) {
        return Err(fault("its discovery document is of another issuer"));
    }
    let url = text("jwks_uri").and_then(|url| Url::parse(url).ok());
    url.filter(Url::is_private).ok_or(fault(
        "its discovery document names no place for keys that is safe",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_must_be_the_issuers_own() {
        let keys = |text: &str| {
            read(text.as_bytes(), "https://id.example/a")
                .map(|url| url.to_string())
                .ok()
        };
        assert_eq!(
            keys(r#"{"issuer":"https://id.example/a","jwks_uri":"https://keys.example/k","x":[]}"#),
            Some("https://keys.example/k".to_owned())
        );
        for bad in [
            "",
            "[]",
            r#"{"issuer":"https://id.example/a"}"#,
            r#"{"issuer":"https://id.example/a/","jwks_uri":"https://keys.example/k"}"#,
            r#"{"issuer":"https://id.example/a","jwks_uri":"http://keys.example/k"}"#,
            r#"{"issuer":"https://id.example/a","jwks_uri":"file:///etc/passwd"}"#,
            r#"{"issuer":"https://id.example/a","issuer":"https://id.example/a","jwks_uri":"https://k.example"}"#,
            r#"{"issuer":"https://id.example/a","jwks_uri":"https://keys.example/k"} x"#,
        ] {
            assert_eq!(keys(bad), None, "{bad}");
        }
        assert_eq!(
            address("https://id.example/"),
            "https://id.example/.well-known/openid-configuration"
        );
    }
}
