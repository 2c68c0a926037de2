//! The backends of one snapshot, asked in order.

use std::path::Path;
use std::sync::Arc;

use sekisho_policy::Account;
use sekisho_policy::event::Tls;
use sekisho_policy::snapshot::{AuthBackend, Authentication, Carries, Mechanism, ServiceAddress};
use sekisho_smtp::sasl::{BearerToken, Credentials};
use tokio::time::Instant;

use super::accounts_file::{AccountsError, AccountsFile, Found, Refresh};
use super::dovecot::{self, Dovecot};
use super::{Answer, Failure, HashPool, Presented, Verdict};
use crate::upstream::{Caller, LoginAnswer, NextHops};

/// For whom backends are asked, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) hops: &'a NextHops,
    /// Whether the client is under TLS.
    pub(crate) channel: Tls,
    pub(crate) deadline: Instant,
}

impl Asking<'_> {
    /// What Dovecot is told of the client.
    pub(super) fn client(&self) -> dovecot::Client {
        let (remote, local) = self.caller.ends();
        dovecot::Client {
            remote,
            local,
            channel: self.channel,
        }
    }
}

/// The backends of one snapshot.
#[derive(Debug)]
pub(crate) struct Backends {
    pub(super) backends: Vec<Backend>,
    /// What the gateway lists and a backend can serve.
    mechanisms: Vec<Mechanism>,
    default_domain: Option<String>,
    pool: HashPool,
}

#[derive(Clone, Debug)]
pub(super) enum Backend {
    Upstream,
    AccountsFile(Arc<AccountsFile>),
    DovecotSasl(Arc<Dovecot>),
}

impl Backends {
    /// The backends of a snapshot. A file that `previous` has is taken over as it is there, good or not by now.
    ///
    /// # Errors
    /// A file that is new cannot be used.
    pub(crate) fn load(
        authentication: &Authentication,
        pool: HashPool,
        previous: Option<&Self>,
    ) -> Result<Self, AccountsError> {
        let default_domain = authentication.default_domain.as_deref();
        let served = |mechanism: &Mechanism| {
            let mut backends = authentication.backends.iter();
            backends.any(|backend| backend.serves(*mechanism))
        };
        let mechanisms = authentication.mechanisms.iter().copied().filter(served);
        let backend = |backend: &AuthBackend| match backend {
            AuthBackend::Upstream => Ok(Backend::Upstream),
            AuthBackend::AccountsFile(path) => {
                let path = Path::new(path);
                let before = previous.and_then(|previous| previous.file(path, default_domain));
                let file = match before {
                    Some(file) => Arc::clone(file),
                    None => Arc::new(AccountsFile::open(path, default_domain)?),
                };
                Ok(Backend::AccountsFile(file))
            }
            AuthBackend::DovecotSasl(address) => {
                let before = previous.and_then(|previous| previous.dovecot(address));
                let dovecot =
                    before.map_or_else(|| Arc::new(Dovecot::new(address.clone())), Arc::clone);
                Ok(Backend::DovecotSasl(dovecot))
            }
        };
        let backends = authentication
            .backends
            .iter()
            .map(backend)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            backends,
            mechanisms: mechanisms.collect(),
            default_domain: default_domain.map(Into::into),
            pool,
        })
    }

    fn file(&self, path: &Path, default_domain: Option<&str>) -> Option<&Arc<AccountsFile>> {
        self.files().find(|file| file.is(path, default_domain))
    }

    fn files(&self) -> impl Iterator<Item = &Arc<AccountsFile>> {
        self.backends.iter().filter_map(|backend| match backend {
            Backend::AccountsFile(file) => Some(file),
            Backend::Upstream | Backend::DovecotSasl(_) => None,
        })
    }

    fn dovecot(&self, address: &ServiceAddress) -> Option<&Arc<Dovecot>> {
        self.backends.iter().find_map(|backend| match backend {
            Backend::DovecotSasl(dovecot) if dovecot.is_at(address) => Some(dovecot),
            _ => None,
        })
    }

    /// Reads files again that changed. Blocks for as long as that takes; what failed keeps what it had.
    pub(crate) fn refresh(&self) -> Vec<Result<Refresh, AccountsError>> {
        self.files().map(|file| file.refresh()).collect()
    }

    /// Whether a backend can serve the mechanism now. A server behind us that nobody has asked yet is believed to offer it.
    pub(crate) fn serve(&self, mechanism: Mechanism, hops: &NextHops) -> bool {
        let serves = |backend: &Backend| match (backend, mechanism.carries()) {
            (Backend::AccountsFile(file), Carries::Proof) => {
                mechanism != Mechanism::CramMd5 && file.has_verifiers()
            }
            (_, Carries::Proof) if mechanism == Mechanism::ScramSha256Plus => false,
            (Backend::Upstream, Carries::Proof) => hops.upstream_offers(mechanism),
            (Backend::DovecotSasl(dovecot), Carries::Proof) => dovecot.offers(mechanism.name()),
            (_, Carries::Password | Carries::Token) => true,
        };
        self.mechanisms.contains(&mechanism) && self.backends.iter().any(serves)
    }

    pub(super) fn domain(&self) -> Option<&str> {
        self.default_domain.as_deref()
    }

    /// Checks what was shown. Whether the account may log in at all is decided elsewhere.
    pub(crate) async fn check(&self, presented: &Presented, asking: &Asking<'_>) -> Verdict {
        let mut unavailable = None;
        for backend in &self.backends {
            let answer = match presented {
                Presented::Password(credentials) => {
                    self.check_password(backend, credentials, asking).await
                }
                Presented::Token(_, token) => {
                    self.check_token(backend, token, asking.deadline).await
                }
            };
            match answer {
                Answer::Accepted(account) => return Verdict::Accepted(account),
                Answer::Refused => return Verdict::Refused,
                Answer::NotMine => {}
                // Those after it would only be burdened as well.
                Answer::Unavailable(busy @ Failure::Busy(_)) => return Verdict::Unavailable(busy),
                Answer::Unavailable(failure) => unavailable = Some(failure),
            }
        }
        unavailable.map_or(Verdict::Refused, Verdict::Unavailable)
    }

    async fn check_password(
        &self,
        backend: &Backend,
        credentials: &Credentials,
        asking: &Asking<'_>,
    ) -> Answer {
        let (account, deadline) = (self.canonical(&credentials.authentication), asking.deadline);
        match backend {
            Backend::AccountsFile(file) => {
                self.check_file(file, account, credentials, deadline).await
            }
            Backend::Upstream => match asking
                .hops
                .log_in(asking.caller, credentials, deadline)
                .await
            {
                Ok(LoginAnswer::Accepted) => Answer::Accepted(account),
                Ok(LoginAnswer::Refused) => Answer::NotMine,
                Err(failure) => Answer::Unavailable(Failure::Upstream(failure)),
            },
            Backend::DovecotSasl(dovecot) => {
                let checked = dovecot.check(credentials, asking.client(), deadline).await;
                checked.in_domain(self.domain())
            }
        }
    }

    /// Asks a backend about a token. One that takes none is passed over; one that does says whose the token is.
    #[expect(
        clippy::unused_async,
        reason = "backends that take tokens are asked over the network"
    )]
    async fn check_token(
        &self,
        backend: &Backend,
        token: &BearerToken,
        _deadline: Instant,
    ) -> Answer {
        let answer = match backend {
            Backend::AccountsFile(_) | Backend::Upstream | Backend::DovecotSasl(_) => {
                Answer::NotMine
            }
        };
        match (answer, &token.account) {
            // Nobody may act for others here, whatever the token says.
            (Answer::Accepted(whose), Some(named)) if self.canonical(named) != whose => {
                Answer::Refused
            }
            (answer, _) => answer,
        }
    }

    async fn check_file(
        &self,
        file: &AccountsFile,
        account: Account,
        credentials: &Credentials,
        deadline: Instant,
    ) -> Answer {
        let password = credentials.password.clone();
        let found = file.find(&account);
        let checked = self.pool.run(deadline, move || match found {
            Found::Known(hash) if hash.matches(password.expose()) => Answer::Accepted(account),
            Found::Known(_) => Answer::Refused,
            Found::Unknown(hash) => {
                // Only the time it takes is wanted.
                std::hint::black_box(hash.matches(password.expose()));
                Answer::NotMine
            }
        });
        // Busy is the same whether the account is known or not.
        let busy = |busy| Answer::Unavailable(Failure::Busy(busy));
        checked.await.unwrap_or_else(busy)
    }

    pub(super) fn canonical(&self, name: &str) -> Account {
        Account::canonical(name, self.default_domain.as_deref())
    }
}
