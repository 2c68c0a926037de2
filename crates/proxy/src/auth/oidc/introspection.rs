//! Asking an identity provider about a token (RFC 7662). Its answers are not kept: a token that it withdraws is refused from
//! then on.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use sekisho_policy::snapshot::{Introspected, Introspection};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::super::remote::{RemoteFault, Service, good};
use super::super::token::json::{self, Map, Value};
use super::super::{LoadFault, Tools};
use crate::outbound::{Url, escape};

/// Octets of an answer.
const MOST: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Endpoint {
    url: Url,
    config: Introspection,
    service: Arc<Service>,
    trouble: Mutex<Option<String>>,
}

impl Endpoint {
    pub(super) fn new(config: &Introspection, service: Arc<Service>) -> Result<Self, LoadFault> {
        let url = Url::parse(&config.url)?;
        if !url.is_private() {
            return Err(LoadFault::InClear(url.to_string()));
        }
        Ok(Self {
            url,
            config: config.clone(),
            service,
            trouble: Mutex::default(),
        })
    }

    pub(super) fn tokens(&self) -> Introspected {
        self.config.tokens
    }

    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone()
    }

    /// What the provider says of a token.
    pub(super) async fn ask(
        &self,
        token: &[u8],
        tools: &Tools,
        deadline: Instant,
    ) -> Result<Map<String, Value>, RemoteFault> {
        let asked = self.ask_now(token, tools, deadline).await;
        let trouble = asked.as_ref().err().map(ToString::to_string);
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        asked
    }

    async fn ask_now(
        &self,
        token: &[u8],
        tools: &Tools,
        deadline: Instant,
    ) -> Result<Map<String, Value>, RemoteFault> {
        let mut request = Request::new(Full::new(Bytes::from(form(token))));
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(AUTHORIZATION, self.authorization(tools)?);
        let answer = self.service.ask(&self.url, request, MOST, deadline).await?;
        let said = json::object(&good(answer)?);
        said.ok_or(RemoteFault::Answer("what it says of a token is no JSON"))
    }

    /// The client's own name and password, escaped as RFC 6749 section 2.3.1 has it.
    fn authorization(&self, tools: &Tools) -> Result<HeaderValue, RemoteFault> {
        let secret = &self.config.credentials;
        let fault = || RemoteFault::Secret(tools.credentials.label(secret));
        let value = |key| tools.credentials.value(secret, key).ok_or_else(fault);
        let (username, password) = (value("username")?, value("password")?);
        let mut plain = Zeroizing::new(Vec::new());
        escape(&mut plain, &username);
        plain.push(b':');
        escape(&mut plain, &password);
        let header = Zeroizing::new(format!("Basic {}", BASE64.encode(&*plain)));
        let mut header = HeaderValue::from_str(&header).map_err(|_| fault())?;
        header.set_sensitive(true);
        Ok(header)
    }
}

fn form(token: &[u8]) -> Vec<u8> {
    let mut body = b"token_type_hint=access_token&token=".to_vec();
    escape(&mut body, token);
    body
}
