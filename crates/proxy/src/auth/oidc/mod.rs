//! Tokens of an identity provider (OpenID Connect): signed ones by its keys, others by asking it.

mod discovery;
mod introspection;
mod key_cache;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sekisho_policy::Account;
use sekisho_policy::snapshot::{Introspected, OidcAuth};

use tokio::time::Instant;

use super::remote::{RemoteFault, Service};
use super::token::TokenFault;
use super::token::claims::{Claims, Expected};
use super::token::jws::{self, Jws};
use super::token::keys::Keys;
use super::{Answer, Client, Failure, LoadFault, Tools};
use discovery::Source;
use introspection::Endpoint;
use key_cache::{KeyCache, Pace};

/// One identity provider.
#[derive(Debug)]
pub(super) struct Oidc {
    config: OidcAuth,
    keys: Arc<KeyCache>,
    introspection: Option<Endpoint>,
    tools: Tools,
}

impl Oidc {
    pub(super) fn new(config: &OidcAuth, tools: &Tools) -> Result<Self, LoadFault> {
        Self::with_pace(config, tools, Pace::default())
    }

    fn with_pace(config: &OidcAuth, tools: &Tools, pace: Pace) -> Result<Self, LoadFault> {
        let service = Arc::new(Service::new(tools.clone(), config.authorities.as_deref()));
        let source = Source::of(config)?;
        let introspection = config
            .introspection
            .as_ref()
            .map(|config| Endpoint::new(config, Arc::clone(&service)));
        Ok(Self {
            config: config.clone(),
            keys: Arc::new(KeyCache::new(source, service, pace)),
            introspection: introspection.transpose()?,
            tools: tools.clone(),
        })
    }

    pub(super) fn is(&self, config: &OidcAuth) -> bool {
        self.config == *config
    }

    /// Fetches keys where that is due, without waiting for them.
    pub(super) fn tend(&self) {
        if self.has_keys() {
            KeyCache::tend(&self.keys);
        }
    }

    /// Whether signed tokens are verified here.
    fn has_keys(&self) -> bool {
        let asked = self.introspection.as_ref().map(Endpoint::tokens);
        asked != Some(Introspected::All)
    }

    /// What keeps it from being asked, if anything.
    pub(super) fn trouble(&self) -> Option<String> {
        let asked = self.introspection.as_ref().and_then(Endpoint::trouble);
        let trouble = asked.or_else(|| self.keys.trouble())?;
        Some(format!("{}: {trouble}", self.config.issuer))
    }

    /// What clients of OAUTHBEARER are told of where a token is to be had (RFC 7628 section 3.2.2).
    pub(super) fn configuration(&self) -> String {
        discovery::address(&self.config.issuer)
    }

    pub(super) fn scopes(&self) -> &[String] {
        &self.config.required_scopes
    }

    /// Whose the token is.
    pub(super) async fn check(&self, token: &[u8], client: Client) -> Answer {
        let signed = jws::looks_signed(token);
        // What another issuer signed is nothing to show to this one.
        let is_others = |token: Jws| token.issuer() != Some(&*self.config.issuer);
        if signed && Jws::parse(token).is_ok_and(is_others) {
            return Answer::NotMine;
        }
        let asked = match &self.introspection {
            Some(endpoint) if !signed || endpoint.tokens() == Introspected::All => Some(endpoint),
            _ => None,
        };
        if let Some(endpoint) = asked {
            return self.introspect(endpoint, token, client.deadline).await;
        }
        if !signed {
            return Answer::NotMine;
        }
        match Jws::parse(token) {
            Ok(token) if token.issuer() != Some(&*self.config.issuer) => Answer::NotMine,
            Ok(token) => self.verify(token, client).await,
            Err(fault) => self.refuse(fault),
        }
    }

    async fn introspect(&self, endpoint: &Endpoint, token: &[u8], deadline: Instant) -> Answer {
        if token.len() > jws::MOST {
            return self.refuse(TokenFault::TooLong);
        }
        let said = match endpoint.ask(token, &self.tools, deadline).await {
            Ok(said) => said,
            Err(fault) => return self.unavailable(fault),
        };
        match Claims::of_introspection(said, self.expected(), self.now()) {
            // It may be another's.
            Ok(None) => Answer::NotMine,
            Ok(Some(claims)) => self.account(&claims),
            Err(fault) => self.refuse(fault),
        }
    }

    async fn verify(&self, token: Jws, client: Client) -> Answer {
        let keys = match self.keys.now(client.deadline).await {
            Ok(keys) => keys,
            Err(fault) => return self.unavailable(fault),
        };
        let token = Arc::new(token);
        match self.verify_with(&token, &keys, client).await {
            Ok(Err(TokenFault::UnknownKey)) => {}
            verified => return self.answer(verified),
        }
        // The provider may have new keys since.
        match self.keys.newer(&keys, client.deadline).await {
            Ok(Some(keys)) => {
                let verified = self.verify_with(&token, &keys, client).await;
                self.answer(verified)
            }
            Ok(None) => self.refuse(TokenFault::UnknownKey),
            Err(fault) => self.unavailable(fault),
        }
    }

    /// Verifies on a thread that may take its time, where there is a place for it.
    async fn verify_with(
        &self,
        token: &Arc<Jws>,
        keys: &Arc<Keys>,
        client: Client,
    ) -> Result<Result<Account, TokenFault>, Failure> {
        let (token, keys) = (Arc::clone(token), Arc::clone(keys));
        let (config, now) = (self.config.clone(), self.now());
        let default_domain = self.tools.default_domain.clone();
        let verified = self.tools.pool.run(client, move || {
            let claims = Claims::of_signed(&token, &keys, expected(&config), now)?;
            account(&claims, &config, default_domain.as_deref())
        });
        verified.await.map_err(Failure::Busy)
    }

    fn answer(&self, verified: Result<Result<Account, TokenFault>, Failure>) -> Answer {
        match verified {
            Ok(Ok(account)) => Answer::Accepted(account),
            Ok(Err(fault)) => self.refuse(fault),
            Err(failure) => Answer::Unavailable(failure),
        }
    }

    fn account(&self, claims: &Claims) -> Answer {
        let domain = self.tools.default_domain.as_deref();
        match account(claims, &self.config, domain) {
            Ok(account) => Answer::Accepted(account),
            Err(fault) => self.refuse(fault),
        }
    }

    fn refuse(&self, fault: TokenFault) -> Answer {
        tracing::debug!(issuer = self.config.issuer, %fault, "a token was refused");
        Answer::Refused
    }

    fn unavailable(&self, fault: RemoteFault) -> Answer {
        Answer::Unavailable(Failure::remote(&self.config.issuer, fault))
    }

    fn expected(&self) -> Expected<'_> {
        expected(&self.config)
    }

    fn now(&self) -> u64 {
        self.tools.clock.now_ms() / 1000
    }
}

fn expected(config: &OidcAuth) -> Expected<'_> {
    Expected {
        issuer: &config.issuer,
        audiences: &config.audiences,
        scopes: &config.required_scopes,
    }
}

/// The account that claims name. Those of service accounts are a cluster's to give.
fn account(
    claims: &Claims,
    config: &OidcAuth,
    default_domain: Option<&str>,
) -> Result<Account, TokenFault> {
    let name = claims.account(&config.account_claim, config.email_verification)?;
    let account = Account::canonical(name, default_domain);
    if account.is_service_account() {
        Err(TokenFault::Account)
    } else {
        Ok(account)
    }
}
