//! Dovecot's authentication service, asked as its own login processes and Postfix ask it (auth client protocol 1).
//!
//! One connection serves all sessions: requests have numbers, answers come in any order. It is made when somebody first needs it,
//! and made anew when it broke; whoever waited for an answer then is told to try again.

mod answer;
mod exchange;
mod link;
mod request;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sekisho_policy::Account;
use sekisho_policy::event::Tls;
use sekisho_policy::snapshot::DovecotAuth;
use sekisho_smtp::sasl::{Credentials, Secret, TokenMechanism, encode_base64, plain_message};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

pub(crate) use exchange::Exchange;
use link::{Link, Request, Use};

use super::{Answer, Failure, LoadFault, Turn};

/// How long a service that could not be reached is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// From connecting to the end of the handshake.
const GREETING: Duration = Duration::from_secs(5);

/// What goes wrong with the service.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum DovecotFault {
    #[error("{0}: cannot be reached: {1}")]
    Unreachable(String, Arc<str>),
    #[error("{0}: {1}")]
    Protocol(String, &'static str),
    #[error("it closed the connection")]
    Closed,
    #[error(
        "{0} is not this machine, and passwords cross a network in clear text only with clearText: Network"
    )]
    NotLoopback(String),
    #[error("too many logins wait for it")]
    Busy,
    #[error("it did not answer in time")]
    Timeout,
    #[error("it says that it cannot say now")]
    Temporary,
    #[error("it does not offer {0}")]
    NotOffered(&'static str),
    #[error("the request is longer than it takes")]
    TooLong,
}

/// What it is told of the client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) remote: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) channel: Tls,
}

/// The service at one address.
#[derive(Debug)]
pub(super) struct Dovecot {
    config: DovecotAuth,
    state: Mutex<State>,
    /// What it offered last; empty until it was asked.
    mechanisms: std::sync::Mutex<Option<Vec<String>>>,
}

#[derive(Debug, Default)]
struct State {
    link: Option<Arc<Link>>,
    failed: Option<(Instant, DovecotFault)>,
}

/// What it says of a password: the name is its own.
#[derive(Debug)]
pub(super) enum Checked {
    Accepted(String),
    Refused,
    Unavailable(DovecotFault),
}

impl Checked {
    /// Dovecot does not say whether it knows an account, so its no is passed on.
    pub(super) fn in_domain(self, default_domain: Option<&str>) -> Answer {
        match self {
            Self::Accepted(name) => Answer::Accepted(Account::canonical(&name, default_domain)),
            Self::Refused => Answer::NotMine,
            Self::Unavailable(fault) => Answer::Unavailable(Failure::Dovecot(fault)),
        }
    }
}

impl Dovecot {
    pub(super) fn new(config: DovecotAuth) -> Result<Self, LoadFault> {
        if !config.may_be_used() {
            return Err(LoadFault::DovecotInClear);
        }
        Ok(Self {
            config,
            state: Mutex::default(),
            mechanisms: std::sync::Mutex::default(),
        })
    }

    pub(super) fn is(&self, config: &DovecotAuth) -> bool {
        self.config == *config
    }

    /// Whether it offered the mechanism last, or was never asked.
    pub(super) fn offers(&self, mechanism: &str) -> bool {
        let known = self
            .mechanisms
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        known
            .as_ref()
            .is_none_or(|known| known.iter().any(|name| name == mechanism))
    }

    /// Checks a password by AUTH PLAIN.
    pub(super) async fn check(
        &self,
        credentials: &Credentials,
        client: Client,
        deadline: Instant,
    ) -> Checked {
        // Whom the client wants to act as was looked at before; Dovecot would only let a master user have a say in it.
        let message = plain_message(&Credentials {
            authorization: None,
            ..credentials.clone()
        });
        let begun = self.ask("PLAIN", Use::Check, client, Some(&message), deadline);
        match begun.await {
            Ok((exchange, turn)) => exchange.judge(turn),
            Err(Turn::Unavailable(Failure::Dovecot(fault))) => Checked::Unavailable(fault),
            Err(_) => Checked::Refused,
        }
    }

    /// Checks a token by the mechanism that the client took.
    pub(super) async fn check_token(
        &self,
        mechanism: TokenMechanism,
        account: &str,
        token: &Secret,
        client: Client,
        deadline: Instant,
    ) -> Checked {
        if !self.offers(mechanism.name()) {
            return Checked::Refused;
        }
        let message = mechanism.message(account, token);
        let begun = self.ask(
            mechanism.name(),
            Use::Check,
            client,
            Some(&message),
            deadline,
        );
        match begun.await {
            Ok((exchange, turn)) => exchange.judge_token(mechanism, turn, deadline).await,
            Err(Turn::Unavailable(Failure::Dovecot(fault))) => Checked::Unavailable(fault),
            Err(_) => Checked::Refused,
        }
    }

    /// Begins an exchange in which the client will be waited for.
    ///
    /// # Errors
    /// It could not be begun: the turn says why.
    pub(super) async fn begin(
        &self,
        mechanism: &'static str,
        client: Client,
        initial: Option<&Secret>,
        deadline: Instant,
    ) -> Result<(Exchange, Turn), Turn> {
        self.ask(mechanism, Use::Contest, client, initial, deadline)
            .await
    }

    async fn ask(
        &self,
        mechanism: &'static str,
        what_for: Use,
        client: Client,
        initial: Option<&Secret>,
        deadline: Instant,
    ) -> Result<(Exchange, Turn), Turn> {
        let unavailable = |fault| Turn::Unavailable(Failure::Dovecot(fault));
        let link = self.link(deadline).await.map_err(unavailable)?;
        if !self.offers(mechanism) {
            return Err(unavailable(DovecotFault::NotOffered(mechanism)));
        }
        let request =
            Request::new(&link, what_for).ok_or_else(|| unavailable(DovecotFault::Busy))?;
        let response = initial.map(|initial| encode_base64(initial.expose()));
        let line = request::auth_line(request.id(), mechanism, client, response.as_ref());
        let mut exchange = Exchange::new(request);
        let turn = exchange.ask(line, deadline).await;
        Ok((exchange, turn))
    }

    /// The connection, made if there is none. Whoever comes while it is being made waits for the one attempt.
    async fn link(&self, deadline: Instant) -> Result<Arc<Link>, DovecotFault> {
        let Ok(mut state) = timeout_at(deadline, self.state.lock()).await else {
            return Err(DovecotFault::Timeout);
        };
        if let Some(link) = state.link.as_ref().filter(|link| link.is_open()) {
            return Ok(Arc::clone(link));
        }
        if let Some((at, fault)) = &state.failed
            && Instant::now() < *at + PAUSE
        {
            return Err(fault.clone());
        }
        let by = deadline.min(Instant::now() + GREETING);
        let made = match timeout_at(by, Link::connect(&self.config)).await {
            Ok(made) => made,
            Err(_) => Err(DovecotFault::Timeout),
        };
        match made {
            Ok((link, mechanisms)) => {
                *self
                    .mechanisms
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(mechanisms);
                let link = Arc::new(link);
                *state = State {
                    link: Some(Arc::clone(&link)),
                    failed: None,
                };
                Ok(link)
            }
            Err(fault) => {
                tracing::warn!(%fault, "Dovecot's authentication service cannot be used");
                *state = State {
                    link: None,
                    failed: Some((Instant::now(), fault.clone())),
                };
                Err(fault)
            }
        }
    }
}

#[cfg(test)]
mod tests;
