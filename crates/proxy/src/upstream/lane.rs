//! One way to a next hop: an endpoint, seen from one source address, under one name.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sekisho_policy::snapshot::{ClientIdentity as Passing, HostPort, UpstreamTls};
use sekisho_smtp::command::ClientName;
use tokio::time::Instant;

use super::failure::Fault;
use super::health::{Health, REFUSED, UNREACHABLE};
use super::offers::Seen;
use crate::gateway::{Credentials, Login};

/// How long an endpoint whose TLS does not work is used without it, where TLS is opportunistic.
const PLAIN_FOR: Duration = Duration::from_secs(300);

/// What tells lanes apart. A connection is only ever used again on the lane that it was made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LaneKey {
    pub(super) address: HostPort,
    pub(super) tls: UpstreamTls,
    pub(super) source: Option<IpAddr>,
    pub(super) helo: ClientName,
    pub(super) passing: Passing,
    /// The Secret with which the proxy logs in.
    pub(super) secret: Option<Arc<str>>,
}

/// One lane. It outlives the snapshot that named it if the next one names it too.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) key: LaneKey,
    /// Whether the endpoint can be reached; shared by all lanes to it.
    endpoint: Arc<Health>,
    /// Whether it serves this source address.
    address: Health,
    plain_until: Mutex<Option<Instant>>,
    login: Mutex<LoginState>,
    /// What it offered last.
    pub(super) seen: Seen,
}

/// What became of the lane's login.
#[derive(Debug, Default)]
struct LoginState {
    /// The one that the relay refused last.
    refused: Option<Login>,
    /// The log says already that there is none.
    pending: bool,
}

/// Whose fault it was that no connection came about.
///
/// Only what a next hop says before it has heard anything of a client counts. What comes later (a 421 after MAIL, a 550 5.7.1
/// after RCPT) can be brought about by whoever writes the message, and must not take a member from everybody else; if
/// the next hop means the address, its next greeting says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The endpoint cannot be reached, from wherever.
    Endpoint,
    /// It does not serve this address or this login, or this machine does not have the address.
    Address,
    /// There is nothing to log in with; that can change at any moment.
    Credentials,
    /// Neither: time or our own ports ran out, or the configuration is wrong.
    Nobody,
}

impl Lane {
    pub(super) fn new(key: LaneKey, endpoint: Arc<Health>) -> Self {
        Self {
            key,
            endpoint,
            address: Health::new(REFUSED),
            plain_until: Mutex::default(),
            login: Mutex::default(),
            seen: Seen::default(),
        }
    }

    pub(super) fn new_endpoint() -> Health {
        Health::new(UNREACHABLE)
    }

    pub(super) fn is_good(&self, now: Instant, credentials: &dyn Credentials) -> bool {
        self.endpoint.is_good(now)
            && (self.address.is_good(now) || self.has_another_login(credentials))
    }

    /// What to log in with, if anything. That there is nothing to be had is logged once for as long as it is so.
    ///
    /// # Errors
    /// [`Fault::CredentialsPending`].
    pub(super) fn login(&self, credentials: &dyn Credentials) -> Result<Option<Login>, Fault> {
        let Some(secret) = &self.key.secret else {
            return Ok(None);
        };
        let login = credentials.of_secret(secret);
        let was_pending = std::mem::replace(&mut self.login_state().pending, login.is_err());
        let hop = &self.key.address;
        match &login {
            Err(pending) if !was_pending => {
                tracing::error!(%hop, %pending, "a relay cannot be logged in to; its member takes no mail");
            }
            Ok(_) if was_pending => {
                tracing::info!(%hop, secret = &**secret, "there are credentials now")
            }
            _ => {}
        }
        Ok(Some(login?))
    }

    /// Whether a login is called for and cannot be had.
    pub(super) fn lacks_login(&self, credentials: &dyn Credentials) -> bool {
        let secret = self.key.secret.as_ref();
        secret.is_some_and(|secret| credentials.of_secret(secret).is_err())
    }

    pub(super) fn refused_login(&self, login: &Login) {
        self.login_state().refused = Some(login.clone());
    }

    /// Whether the Secret holds something else than what was refused: then the refusal is forgotten.
    fn has_another_login(&self, credentials: &dyn Credentials) -> bool {
        let Some(secret) = &self.key.secret else {
            return false;
        };
        let differs = |refused: &mut Login| {
            credentials
                .of_secret(secret)
                .is_ok_and(|login| login != *refused)
        };
        // Once: what the relay says to the new login counts again.
        let changed = self.login_state().refused.take_if(differs).is_some();
        if changed {
            self.address.succeeded();
        }
        changed
    }

    fn login_state(&self) -> MutexGuard<'_, LoginState> {
        self.login.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sorts the healthy first, then by the end of the pause.
    pub(super) fn good_at(&self, now: Instant) -> Option<Instant> {
        self.endpoint
            .good_at()
            .max(self.address.good_at())
            .filter(|at| *at > now)
    }

    pub(super) fn failed(&self, blame: Blame, started: Instant) {
        let now = Instant::now();
        match blame {
            Blame::Endpoint => self.endpoint.failed(started, now),
            Blame::Address => self.address.failed(started, now),
            Blame::Credentials | Blame::Nobody => {}
        }
    }

    pub(super) fn succeeded(&self) {
        self.endpoint.succeeded();
        self.address.succeeded();
        if self.key.secret.is_some() {
            self.login_state().refused = None;
        }
    }

    /// TLS did not work here: for a while, opportunistic connections do without (RFC 7435).
    pub(super) fn avoid_tls(&self) {
        *self
            .plain_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PLAIN_FOR);
    }

    /// Whether STARTTLS is to be tried, if it is offered.
    pub(super) fn wants_tls(&self) -> bool {
        match self.key.tls {
            UpstreamTls::Off => false,
            UpstreamTls::Required => true,
            UpstreamTls::Opportunistic => {
                let plain_until = *self
                    .plain_until
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                plain_until.is_none_or(|until| until <= Instant::now())
            }
        }
    }
}
