//! One question to a token endpoint (RFC 6749 4.4 and 6), over verified TLS, with bounds on the answer.

use std::io;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use sekisho_policy::snapshot::OAuth;
use sekisho_smtp::sasl::Secret;
use serde::Deserialize;
use tokio::time::Instant;

use super::Client;
use crate::dns::DnsFailure;
use crate::outbound::{self, NoAnswer, Url};
use crate::upstream::hops::Environment;

/// Octets of an answer.
const MOST: usize = 64 * 1024;
/// What a token lasts whose endpoint does not say (RFC 6749 5.1 asks it to).
const UNSAID: Duration = Duration::from_secs(300);
/// Characters of an endpoint's own words that are shown.
const MOST_WORDS: usize = 200;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("{0:?} is no https:// address")]
    Url(String),
    #[error("the name of the token endpoint cannot be resolved: {0}")]
    Resolve(DnsFailure),
    #[error("cannot connect to the token endpoint: {0}")]
    Connect(io::Error),
    #[error("TLS with the token endpoint failed: {0}")]
    Tls(io::Error),
    #[error("the token endpoint did not answer in time")]
    Timeout,
    #[error("the token endpoint broke off: {0}")]
    Broken(hyper::Error),
    #[error("the answer of the token endpoint has more than {MOST} octets, or broke off")]
    Body,
    #[error("the token endpoint refused ({status}): {words}")]
    Refused { status: StatusCode, words: String },
    #[error("the token endpoint cannot be asked: the request cannot be sent")]
    Request,
    #[error("the answer of the token endpoint holds no bearer token")]
    NoToken,
}

/// What an endpoint gave.
pub(super) struct Granted {
    pub(super) token: Secret,
    pub(super) life: Duration,
}

impl From<NoAnswer> for TokenError {
    fn from(fault: NoAnswer) -> Self {
        match fault {
            NoAnswer::Resolve(failure) => Self::Resolve(failure),
            NoAnswer::Connect(error) => Self::Connect(error),
            fault @ NoAnswer::OutOfReach(_) => Self::Connect(io::Error::other(fault.to_string())),
            NoAnswer::Tls(error) => Self::Tls(error),
            NoAnswer::Timeout => Self::Timeout,
            NoAnswer::Broken(error) => Self::Broken(error),
            NoAnswer::Body(_) => Self::Body,
            NoAnswer::Request => Self::Request,
        }
    }
}

/// Asks for a token.
pub(super) async fn token(
    environment: &Environment,
    oauth: &OAuth,
    client: &Client,
    deadline: Instant,
) -> Result<Granted, TokenError> {
    let fault = || TokenError::Url(oauth.token_url.clone());
    let url = Url::parse(&oauth.token_url).map_err(|_| fault())?;
    if !url.is_encrypted() {
        return Err(fault());
    }
    let request = Request::post("/")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Accept", "application/json")
        .body(Full::new(Bytes::from(form(oauth, client))))
        .map_err(|_| fault())?;
    let (dns, tls) = (&environment.dns, &environment.tls_required);
    let answer = outbound::ask(&url, request, MOST, dns, tls, deadline).await?;
    read(answer.status, &answer.body, client)
}

fn form(oauth: &OAuth, client: &Client) -> Vec<u8> {
    let mut body = Vec::with_capacity(1024);
    let grant = match &client.refresh {
        None => "client_credentials",
        Some(_) => "refresh_token",
    };
    put(&mut body, "grant_type", grant.as_bytes());
    put(&mut body, "client_id", client.id.as_bytes());
    put(&mut body, "client_secret", client.secret.expose());
    if let Some(token) = &client.refresh {
        put(&mut body, "refresh_token", token.expose());
    }
    if let Some(scope) = &oauth.scope {
        put(&mut body, "scope", scope.as_bytes());
    }
    body
}

/// One field of a form.
fn put(body: &mut Vec<u8>, name: &str, value: &[u8]) {
    if !body.is_empty() {
        body.push(b'&');
    }
    body.extend_from_slice(name.as_bytes());
    body.push(b'=');
    outbound::escape(body, value);
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    expires_in: Option<Seconds>,
}

/// Some endpoints write it as a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error: String,
    error_description: String,
}

fn read(status: StatusCode, body: &[u8], client: &Client) -> Result<Granted, TokenError> {
    if status != StatusCode::OK {
        let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
        let words = words(&refusal, client);
        return Err(TokenError::Refused { status, words });
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|_| TokenError::NoToken)?;
    let token = Secret::new(answer.access_token.into_bytes());
    let is_token = |octets: &[u8]| !octets.is_empty() && octets.iter().all(u8::is_ascii_graphic);
    if !answer.token_type.eq_ignore_ascii_case("bearer") || !is_token(token.expose()) {
        return Err(TokenError::NoToken);
    }
    let seconds = answer.expires_in.and_then(|said| match said {
        Seconds::Number(seconds) => Some(seconds),
        Seconds::Text(text) => text.parse().ok(),
    });
    Ok(Granted {
        token,
        life: seconds.map_or(UNSAID, Duration::from_secs),
    })
}

/// The endpoint's words for the operator: short, of visible characters, and without what was sent to it.
fn words(refusal: &Refusal, client: &Client) -> String {
    let text = format!("{} {}", refusal.error, refusal.error_description);
    let secrets = [Some(&client.secret), client.refresh.as_ref()];
    let repeats =
        |secret: &Secret| memchr::memmem::find(text.as_bytes(), secret.expose()).is_some();
    if secrets.into_iter().flatten().any(repeats) {
        return "(its words repeat the secret)".to_owned();
    }
    let shown = text.trim().chars().take(MOST_WORDS);
    shown
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client {
            username: "gate@example.jp".to_owned(),
            id: "app".to_owned(),
            secret: Secret::from("s3~cr&t="),
            refresh: None,
        }
    }

    fn oauth(scope: Option<&str>) -> OAuth {
        OAuth {
            token_url: "https://login.example/token".to_owned(),
            scope: scope.map(str::to_owned),
            credentials: "o365".to_owned(),
        }
    }

    #[test]
    fn a_form_names_its_grant_and_escapes() {
        let sent = form(&oauth(Some("https://mail.example/.default a")), &client());
        assert_eq!(
            String::from_utf8(sent).unwrap(),
            "grant_type=client_credentials&client_id=app&client_secret=s3~cr%26t%3D\
             &scope=https%3A%2F%2Fmail.example%2F.default%20a"
        );
        let refreshing = Client {
            refresh: Some(Secret::from("1//r")),
            ..client()
        };
        let sent = String::from_utf8(form(&oauth(None), &refreshing)).unwrap();
        assert!(sent.starts_with("grant_type=refresh_token&"), "{sent}");
        assert!(sent.ends_with("&refresh_token=1%2F%2Fr"), "{sent}");
    }

    #[test]
    fn an_answer_is_read_strictly() {
        let life = |body: &str| {
            read(StatusCode::OK, body.as_bytes(), &client())
                .map(|granted| granted.life.as_secs())
                .map_err(|error| error.to_string())
        };
        let token = r#""access_token":"ey.J0-_~+/=","token_type":"Bearer""#;
        assert_eq!(
            life(&format!(r#"{{{token},"expires_in":3599,"x":1}}"#)),
            Ok(3599)
        );
        assert_eq!(life(&format!(r#"{{{token},"expires_in":"60"}}"#)), Ok(60));
        assert_eq!(life(&format!("{{{token}}}")), Ok(300));
        for bad in [
            "",
            "[]",
            r#"{"access_token":"x"}"#,
            r#"{"access_token":"x","token_type":"mac"}"#,
            r#"{"access_token":"","token_type":"bearer"}"#,
            r#"{"access_token":"a b","token_type":"bearer"}"#,
            r#"{"access_token":"a\u0001b","token_type":"bearer"}"#,
        ] {
            assert!(life(bad).unwrap_err().contains("no bearer token"), "{bad}");
        }
    }

    #[test]
    fn a_refusal_shows_its_words_and_no_secret() {
        let said = |body: &str| {
            read(StatusCode::UNAUTHORIZED, body.as_bytes(), &client())
                .map(drop)
                .unwrap_err()
                .to_string()
        };
        let told = said(r#"{"error":"invalid_client","error_description":"AADSTS7000215:\nno"}"#);
        assert!(
            told.ends_with("(401 Unauthorized): invalid_client AADSTS7000215: no"),
            "{told}"
        );
        let told = said(r#"{"error":"s3~cr&t= is wrong"}"#);
        assert!(told.ends_with("(its words repeat the secret)"), "{told}");
        assert!(said("<html>").contains("401"));
    }
}
