//! A web service that checks passwords, by the convention of nginx's `auth_http`: what the client showed goes in header fields
//! of a GET, and what comes of it is in header fields of the answer.

use std::sync::{Mutex, PoisonError};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Request, StatusCode};
use sekisho_policy::event::Tls;
use sekisho_policy::snapshot::{ClearText, HttpAuth, SecretHeader};
use sekisho_smtp::sasl::Credentials;
use sekisho_smtp::xclient::Told;
use tokio::time::Instant;

use super::remote::{RemoteFault, Service};
use super::{Asking, Failure, LoadFault, Tools, http_answer};
use crate::outbound::{NoAnswer, Url};
use crate::upstream::ClientIdentity;

/// Octets of an answer's body, which says nothing.
const MOST: usize = 64 * 1024;
/// The key of the Secret with the value of the gateway's own header field.
const VALUE: &str = "value";

/// What a web service says of a password.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It is right; the account's own name, where it is another.
    Right(Option<String>),
    /// It is wrong, or there is no such account.
    Wrong,
}

/// One web service.
#[derive(Debug)]
pub(super) struct HttpService {
    config: HttpAuth,
    url: Url,
    header: Option<HeaderName>,
    service: Service,
    tools: Tools,
    trouble: Mutex<Option<String>>,
}

impl HttpService {
    pub(super) fn new(config: &HttpAuth, tools: &Tools) -> Result<Self, LoadFault> {
        let url = Url::parse(&config.url)?;
        if config.clear_text == ClearText::Loopback && !url.is_private() {
            return Err(LoadFault::InClear(url.to_string()));
        }
        let name = |header: &SecretHeader| {
            HeaderName::try_from(&*header.name)
                .map_err(|_| LoadFault::HeaderName(header.name.clone()))
        };
        Ok(Self {
            header: config.header.as_ref().map(name).transpose()?,
            service: Service::new(tools.clone(), config.authorities.as_deref()),
            config: config.clone(),
            url,
            tools: tools.clone(),
            trouble: Mutex::default(),
        })
    }

    /// What kept it from being asked the last time, if anything.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn is(&self, config: &HttpAuth) -> bool {
        self.config == *config
    }

    /// Asks about a password.
    pub(super) async fn check(
        &self,
        credentials: &Credentials,
        asking: &Asking<'_>,
    ) -> Result<Said, Failure> {
        let client = asking.caller.identity();
        let (channel, deadline) = (asking.channel, asking.deadline);
        let request = self.request(credentials, &client, channel, asking.attempt);
        self.ask(request, deadline).await
    }

    async fn ask(
        &self,
        request: Result<Request<Full<Bytes>>, RemoteFault>,
        deadline: Instant,
    ) -> Result<Said, Failure> {
        let asked = async {
            let answer = self
                .service
                .ask(&self.url, request?, MOST, deadline)
                .await?;
            if answer.status != StatusCode::OK {
                return Err(RemoteFault::Status(answer.status));
            }
            http_answer::read(&answer.headers)
        };
        let asked = asked.await;
        let trouble = asked
            .as_ref()
            .err()
            .map(|fault| format!("{}: {fault}", self.url));
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        asked.map_err(|fault| Failure::remote("the web service", fault))
    }

    fn request(
        &self,
        credentials: &Credentials,
        client: &ClientIdentity,
        channel: Tls,
        attempt: u32,
    ) -> Result<Request<Full<Bytes>>, RemoteFault> {
        let mut headers = HeaderMap::with_capacity(16);
        let mut put = |name: &'static str, value: &[u8]| -> Result<(), RemoteFault> {
            let mut value =
                HeaderValue::from_bytes(&escape(value)).map_err(|_| NoAnswer::Request)?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
            Ok(())
        };
        put("auth-method", b"plain")?;
        put("auth-user", credentials.authentication.as_bytes())?;
        put("auth-pass", credentials.password.expose())?;
        put("auth-protocol", b"smtp")?;
        put("auth-login-attempt", attempt.to_string().as_bytes())?;
        let address = client.source.ip().to_canonical().to_string();
        put("client-ip", address.as_bytes())?;
        let host = match &client.name {
            Told::Known(name) => name,
            Told::Unavailable => "[UNAVAILABLE]",
            Told::TemporarilyUnavailable => "[TEMPUNAVAIL]",
        };
        put("client-host", host.as_bytes())?;
        if let Some(helo) = &client.helo {
            put("auth-smtp-helo", helo.as_str().as_bytes())?;
        }
        if channel == Tls::On {
            put("auth-ssl", b"on")?;
        }
        if let (Some(name), Some(header)) = (&self.header, &self.config.header) {
            headers.insert(name.clone(), self.secret(&header.secret)?);
        }
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// The value that shows that it is a gateway that asks. Without it nothing is asked: the service would refuse, and the
    /// account's owner would be told that the password is wrong.
    fn secret(&self, secret: &str) -> Result<HeaderValue, RemoteFault> {
        let fault = || RemoteFault::Secret(self.tools.credentials.label(secret));
        let value = self
            .tools
            .credentials
            .value(secret, VALUE)
            .ok_or_else(fault)?;
        // Files end with a line end.
        let mut value = HeaderValue::from_bytes(value.trim_ascii()).map_err(|_| fault())?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// As nginx escapes, so that services that unescape read what the client sent: spaces, percent signs and control characters, and
/// beyond that everything that is not ASCII.
fn escape(octets: &[u8]) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut escaped = Vec::with_capacity(octets.len() * 3);
    for &octet in octets {
        if octet.is_ascii_graphic() && octet != b'%' {
            escaped.push(octet);
        } else {
            let (high, low) = (usize::from(octet >> 4), usize::from(octet & 15));
            escaped.extend_from_slice(&[b'%', HEX[high], HEX[low]]);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::stand::{Reply, Stand, tools};
    use super::*;

    fn config(url: &str) -> HttpAuth {
        let header = json!({ "name": "X-Auth-Key", "secret": "key" });
        serde_json::from_value(json!({ "url": url, "header": header })).unwrap()
    }

    async fn log_in(service: &HttpService, name: &str) -> Result<Said, String> {
        let credentials = Credentials {
            authorization: None,
            authentication: name.to_owned(),
            password: "open sesame".into(),
        };
        let client = ClientIdentity {
            source: "192.0.2.7:40000".parse().unwrap(),
            destination: "192.0.2.1:587".parse().unwrap(),
            name: Told::Unavailable,
            helo: None,
            proto: sekisho_smtp::xclient::Proto::Esmtp,
            login: None,
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        let request = service.request(&credentials, &client, Tls::On, 2);
        let said = service.ask(request, deadline).await;
        said.map_err(|failure| failure.to_string())
    }

    #[tokio::test]
    async fn a_service_is_asked_as_nginx_asks_it() {
        let stand = Stand::start().await;
        let seen = stand.answer(|request| match request.headers()["auth-user"].as_bytes() {
            b"tanaka" => {
                Reply::headers(&[("Auth-Status", "OK"), ("Auth-User", "tanaka@example.jp")])
            }
            b"down" => Reply::status(500),
            b"huge" => Reply::json(&"x".repeat(100_000)),
            _ => Reply::headers(&[("Auth-Status", "Invalid login or password")]),
        });
        let url = format!("http://{}/auth?site=a", stand.address);
        let service = HttpService::new(&config(&url), &tools()).unwrap();
        let named = Said::Right(Some("tanaka@example.jp".to_owned()));
        assert_eq!(log_in(&service, "tanaka").await, Ok(named));
        assert_eq!(log_in(&service, "mallory").await, Ok(Said::Wrong));
        assert_eq!(service.trouble(), None);
        assert!(log_in(&service, "down").await.unwrap_err().contains("500"));
        assert!(service.trouble().is_some());
        assert!(
            log_in(&service, "huge")
                .await
                .unwrap_err()
                .contains("octets")
        );
        let requests = seen.lock().unwrap();
        assert_eq!(requests[0].uri(), "/auth?site=a");
        let sent = |name: &str| requests[0].headers()[name].to_str().unwrap();
        for (name, value) in [
            ("auth-method", "plain"),
            ("auth-pass", "open%20sesame"),
            ("auth-protocol", "smtp"),
            ("auth-login-attempt", "2"),
            ("client-ip", "192.0.2.7"),
            ("client-host", "[UNAVAILABLE]"),
            ("auth-ssl", "on"),
            ("x-auth-key", "open sesame"),
        ] {
            assert_eq!(sent(name), value, "{name}");
        }
    }

    #[tokio::test]
    async fn passwords_stay_where_nobody_listens() {
        let mut config = config("http://auth.mail/");
        let said = HttpService::new(&config, &tools()).unwrap_err().to_string();
        assert!(said.contains("only by https"), "{said}");
        config.clear_text = ClearText::Network;
        assert!(HttpService::new(&config, &tools()).is_ok());
        // Without what shows that it is a gateway nothing is sent.
        let stand = Stand::start().await;
        let seen = stand.answer(|_| Reply::headers(&[("Auth-Status", "OK")]));
        config.url = format!("http://{}/", stand.address);
        config.header.as_mut().unwrap().secret = "other".to_owned();
        let service = HttpService::new(&config, &tools()).unwrap();
        let said = log_in(&service, "tanaka").await.unwrap_err();
        assert!(said.contains("Secret mail/other"), "{said}");
        assert!(seen.lock().unwrap().is_empty());
    }

    #[test]
    fn what_a_header_field_cannot_carry_is_escaped() {
        let table: [(&[u8], &[u8]); 5] = [
            (b"tanaka@example.jp", b"tanaka@example.jp"),
            (b"open sesame", b"open%20sesame"),
            (b"100%", b"100%25"),
            (b"a\r\nAuth-Status: OK", b"a%0D%0AAuth-Status:%20OK"),
            ("caf\u{e9}".as_bytes(), b"caf%C3%A9"),
        ];
        for (plain, escaped) in table {
            assert_eq!(escape(plain), escaped);
        }
    }
}
