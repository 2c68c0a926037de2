//! One way to a next hop: an endpoint, seen from one source address, under one name.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sekisho_policy::snapshot::{ClientIdentity as Passing, HostPort, OAuth, Trust, UpstreamTls};
use sekisho_runtime::tls::{Roots, Verification, client_config};
use sekisho_smtp::command::ClientName;
use tokio::time::Instant;
use tokio_rustls::rustls::ClientConfig;
use zeroize::Zeroizing;

use super::endpoint::Endpoint;
use super::failure::Fault;
use super::health::{Health, REFUSED};
use super::hops::Environment;
use super::oauth::{Client, Origin};
use super::offers::Seen;
use super::outlier::Standing;
use crate::gateway::{Credentials, CredentialsPending, Login};
use crate::luck::luck;

/// How long an endpoint whose TLS does not work is used without it, where TLS is opportunistic.
const PLAIN_FOR: Duration = Duration::from_secs(300);
/// The key of a Secret that holds authorities.
const AUTHORITIES: &str = "ca.crt";

/// What tells lanes apart. A connection is only ever used again on the lane that it was made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LaneKey {
    pub(super) address: HostPort,
    pub(super) tls: UpstreamTls,
    pub(super) trust: Trust,
    pub(super) source: Option<IpAddr>,
    pub(super) helo: ClientName,
    pub(super) passing: Passing,
    pub(super) admission: Admission,
}

/// How the proxy logs in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Admission {
    /// Not at all.
    Open,
    /// With what this Secret holds.
    Secret(Arc<str>),
    /// With a token that is fetched.
    OAuth(Arc<OAuth>),
}

/// One lane. It outlives the snapshot that named it if the next one names it too.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) key: LaneKey,
    /// Shared by all lanes to it.
    pub(super) endpoint: Arc<Endpoint>,
    /// Whether it serves this source address.
    address: Health,
    plain_until: Mutex<Option<Instant>>,
    login: Mutex<LoginState>,
    /// What it offered last.
    pub(super) seen: Seen,
    /// The authorities as they were last read, and what was made of them.
    trusted: Mutex<Option<Trusted>>,
}

#[derive(Debug)]
struct Trusted {
    pem: Zeroizing<Vec<u8>>,
    config: Arc<ClientConfig>,
}

/// What became of the lane's login.
#[derive(Debug, Default)]
struct LoginState {
    /// What the relay refused last.
    refused: Option<Proof>,
    /// The log says already that there is none.
    pending: bool,
}

/// What a Secret holds to log in with, at first or at second hand.
#[derive(Debug, PartialEq, Eq)]
enum Proof {
    Login(Login),
    Client(Client),
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
    /// There is nothing to log in with, or to verify it by; that can change at any moment.
    Credentials,
    /// Perhaps the client's, of whom the next hop had heard: nobody rests for it, and another way may do.
    Client,
    /// Neither: time or our own ports ran out, or the configuration is wrong.
    Nobody,
}

impl Lane {
    pub(super) fn new(key: LaneKey, endpoint: Arc<Endpoint>) -> Self {
        Self {
            key,
            endpoint,
            address: Health::new(REFUSED),
            plain_until: Mutex::default(),
            login: Mutex::default(),
            seen: Seen::default(),
            trusted: Mutex::default(),
        }
    }

    /// Whether it may take mail at `now`.
    pub(super) fn is_good(&self, now: Instant, credentials: &dyn Credentials) -> bool {
        self.endpoint.health.is_good(now)
            && self.endpoint.outlier.standing(now) == Standing::In
            && (self.address.is_good(now) || self.has_another_login(credentials))
    }

    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        self.endpoint.outlier.standing(now) != Standing::In
    }

    /// What to log in with, if anything. That there is nothing to be had is logged once for as long as it is so.
    ///
    /// # Errors
    /// [`Fault::CredentialsPending`], [`Fault::Token`].
    pub(super) async fn login(
        &self,
        environment: &Environment,
        deadline: Instant,
    ) -> Result<Option<(Login, Origin)>, Fault> {
        let login = match &self.key.admission {
            Admission::Open => return Ok(None),
            Admission::Secret(secret) => environment
                .credentials
                .of_secret(secret)
                .map(|login| (login, Origin::Kept))
                .map_err(Fault::from),
            Admission::OAuth(oauth) => environment.tokens.login(oauth, environment, deadline).await,
        };
        let is_pending = matches!(&login, Err(Fault::CredentialsPending(_)));
        let was_pending = std::mem::replace(&mut self.login_state().pending, is_pending);
        let hop = &self.key.address;
        match &login {
            Err(pending) if is_pending && !was_pending => {
                tracing::error!(%hop, %pending, "a relay cannot be logged in to; its member takes no mail");
            }
            Ok(_) if was_pending => tracing::info!(%hop, "there are credentials now"),
            _ => {}
        }
        login.map(Some)
    }

    /// Whether a login or authorities are called for and cannot be had.
    pub(super) fn lacks_secret(&self, credentials: &dyn Credentials) -> bool {
        let lacks_authorities = self
            .key
            .trust
            .authorities
            .as_ref()
            .is_some_and(|secret| credentials.value(secret, AUTHORITIES).is_none());
        lacks_authorities || self.proof(credentials).is_some_and(|proof| proof.is_err())
    }

    /// What TLS is begun with: whom it trusts.
    ///
    /// # Errors
    /// The Secret with the authorities is not there, or holds none.
    pub(super) fn tls(&self, environment: &Environment) -> Result<Arc<ClientConfig>, Fault> {
        if !self.key.tls.is_verified() {
            return Ok(Arc::clone(&environment.tls_opportunistic));
        }
        let Some(secret) = &self.key.trust.authorities else {
            return Ok(Arc::clone(&environment.tls_required));
        };
        let credentials = &*environment.credentials;
        let label = credentials.label(secret);
        let pem = credentials
            .value(secret, AUTHORITIES)
            .ok_or_else(|| CredentialsPending::lacks(&*label, AUTHORITIES))?;
        let mut trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trusted) = &*trusted
            && trusted.pem == pem
        {
            return Ok(Arc::clone(&trusted.config));
        }
        let roots = Roots::Pem {
            origin: &label,
            pem: &pem,
        };
        let config = client_config(Verification::Required(roots)).map_err(Fault::Authorities)?;
        *trusted = Some(Trusted {
            pem,
            config: Arc::clone(&config),
        });
        Ok(config)
    }

    pub(super) fn refused_login(&self, credentials: &dyn Credentials) {
        self.login_state().refused = self.proof(credentials).and_then(Result::ok);
    }

    /// Whether the Secret holds something else than what was refused: then the refusal is forgotten.
    fn has_another_login(&self, credentials: &dyn Credentials) -> bool {
        let differs = |refused: &mut Proof| {
            let proof = self.proof(credentials);
            proof.is_some_and(|proof| proof.is_ok_and(|proof| proof != *refused))
        };
        // Once: what the relay says to the new login counts again.
        let changed = self.login_state().refused.take_if(differs).is_some();
        if changed {
            self.address.succeeded();
        }
        changed
    }

    fn proof(&self, credentials: &dyn Credentials) -> Option<Result<Proof, CredentialsPending>> {
        match &self.key.admission {
            Admission::Open => None,
            Admission::Secret(secret) => Some(credentials.of_secret(secret).map(Proof::Login)),
            Admission::OAuth(oauth) => {
                Some(Client::of(credentials, &oauth.credentials).map(Proof::Client))
            }
        }
    }

    fn login_state(&self) -> MutexGuard<'_, LoginState> {
        self.login.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sorts the healthy first, then by the end of the pause.
    pub(super) fn good_at(&self, now: Instant) -> Option<Instant> {
        self.endpoint
            .health
            .good_at()
            .max(self.address.good_at())
            .filter(|at| *at > now)
    }

    pub(super) fn failed(&self, blame: Blame, started: Instant) {
        let now = Instant::now();
        match blame {
            Blame::Endpoint => self.endpoint.health.failed(started, now, luck()),
            Blame::Address => self.address.failed(started, now, luck()),
            Blame::Credentials | Blame::Client | Blame::Nobody => {}
        }
    }

    /// A new connection is tried.
    pub(super) fn tried(&self) {
        let now = Instant::now();
        self.endpoint.health.tried(now);
        self.address.tried(now);
    }

    pub(super) fn succeeded(&self) {
        self.endpoint.health.succeeded();
        self.address.succeeded();
        if self.key.admission != Admission::Open {
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
    pub(super) fn wants_starttls(&self) -> bool {
        match self.key.tls {
            UpstreamTls::Off | UpstreamTls::Implicit => false,
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
