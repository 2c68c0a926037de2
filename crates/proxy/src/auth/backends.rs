//! The backends of one snapshot, asked in order.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use sekisho_policy::Account;
use sekisho_policy::event::Tls;
use sekisho_policy::snapshot::{
    AuthBackend, Authentication, Carries, DovecotAuth, HttpAuth, Mechanism, OidcAuth,
    ServiceAccountAuth,
};
use sekisho_runtime::metrics::{GatewayMetrics, LoginService};
use sekisho_smtp::sasl::TokenMechanism;
use tokio::time::Instant;

use super::accounts_file::{AccountsError, AccountsFile, Refresh};
use super::dovecot::{self, Dovecot};
use super::http_service::HttpService;
use super::oidc::Oidc;
use super::scram::Shape;
use super::service_account::ServiceAccounts;
use super::upstream_names::UpstreamNames;
use super::{Client, FleetKey, HashPool, LoadFault, Places, Presented, Tools};
use crate::upstream::{Caller, NextHops};

/// For whom backends are asked, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) hops: &'a NextHops,
    /// Those of the gateway.
    pub(crate) places: &'a Arc<Places>,
    /// The client's address, if it is the client's.
    pub(crate) source: Option<IpAddr>,
    /// What stands in for accounts that there are not is made with it.
    pub(crate) key: &'a FleetKey,
    /// Whether the client is under TLS.
    pub(crate) channel: Tls,
    /// Which of its session's logins it is, from 1.
    pub(crate) attempt: u32,
    pub(crate) deadline: Instant,
}

impl Asking<'_> {
    /// Who waits for its turn.
    pub(super) fn waiting(&self) -> Client {
        Client {
            source: self.source,
            deadline: self.deadline,
        }
    }

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
    upstream_names: UpstreamNames,
    /// What the last challenge of SCRAM looked like that a server behind us made.
    pub(super) shape: Arc<Mutex<Option<Shape>>>,
    pub(super) pool: HashPool,
    pub(super) metrics: GatewayMetrics,
}

#[derive(Clone, Debug)]
pub(super) enum Backend {
    Upstream,
    AccountsFile(Arc<AccountsFile>),
    DovecotSasl(Arc<Dovecot>),
    Http(Arc<HttpService>),
    Oidc(Arc<Oidc>),
    ServiceAccounts(Arc<ServiceAccounts>),
}

impl Backends {
    /// The backends of a snapshot. A file that `previous` has is taken over as it is there, good or not by now; so is a
    /// service, with what it knows.
    ///
    /// # Errors
    /// A file that is new cannot be used, or a service cannot be asked as it is written.
    pub(crate) fn load(
        authentication: &Authentication,
        tools: &Tools,
        previous: Option<&Self>,
    ) -> Result<Self, LoadFault> {
        let default_domain = authentication.default_domain.as_deref();
        let tools = Tools {
            default_domain: default_domain.map(Into::into),
            ..tools.clone()
        };
        // What was made under another default domain gives other accounts.
        let alike = previous.filter(|one| one.default_domain.as_deref() == default_domain);
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
            AuthBackend::DovecotSasl(config) => {
                let before = previous.and_then(|previous| previous.dovecot(config));
                let made = || Dovecot::new(config.clone()).map(Arc::new);
                let dovecot = before.cloned().map_or_else(made, Ok)?;
                Ok(Backend::DovecotSasl(dovecot))
            }
            AuthBackend::Http(config) => {
                let before = alike.and_then(|alike| alike.service(backend));
                before.map_or_else(|| Backend::http(config, &tools), Ok)
            }
            AuthBackend::Oidc(config) => {
                let before = alike.and_then(|alike| alike.service(backend));
                before.map_or_else(|| Backend::oidc(config, &tools), Ok)
            }
            AuthBackend::ServiceAccount(config) => {
                let before = alike.and_then(|alike| alike.service(backend));
                before.map_or_else(|| Backend::service_accounts(config, &tools), Ok)
            }
        };
        let backends = authentication
            .backends
            .iter()
            .map(backend)
            .collect::<Result<_, LoadFault>>()?;
        Ok(Self {
            backends,
            mechanisms: mechanisms.collect(),
            default_domain: default_domain.map(Into::into),
            upstream_names: UpstreamNames::new(authentication),
            shape: previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.shape)),
            pool: tools.pool,
            metrics: tools.metrics,
        })
    }

    fn file(&self, path: &Path, default_domain: Option<&str>) -> Option<&Arc<AccountsFile>> {
        self.files().find(|file| file.is(path, default_domain))
    }

    fn files(&self) -> impl Iterator<Item = &Arc<AccountsFile>> {
        self.backends.iter().filter_map(|backend| match backend {
            Backend::AccountsFile(file) => Some(file),
            _ => None,
        })
    }

    /// The service of that configuration.
    fn service(&self, config: &AuthBackend) -> Option<Backend> {
        let is = |backend: &&Backend| match (backend, config) {
            (Backend::Http(service), AuthBackend::Http(config)) => service.is(config),
            (Backend::Oidc(provider), AuthBackend::Oidc(config)) => provider.is(config),
            (Backend::ServiceAccounts(accounts), AuthBackend::ServiceAccount(config)) => {
                accounts.is(config)
            }
            _ => false,
        };
        self.backends.iter().find(is).cloned()
    }

    /// Does what is due without waiting for it. Call it again and again.
    pub(crate) fn tend(&self) {
        for backend in &self.backends {
            if let Backend::Oidc(provider) = backend {
                provider.tend();
            }
        }
    }

    /// What keeps services from being asked.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let trouble = |backend: &Backend| match backend {
            Backend::Http(service) => service.trouble(),
            Backend::Oidc(provider) => provider.trouble(),
            Backend::ServiceAccounts(accounts) => accounts.trouble(),
            Backend::Upstream | Backend::AccountsFile(_) | Backend::DovecotSasl(_) => None,
        };
        self.backends.iter().filter_map(trouble).collect()
    }

    /// The challenge before the refusal of a token, in base64.
    pub(crate) fn refusal(&self, mechanism: TokenMechanism) -> String {
        let provider = self.backends.iter().find_map(|backend| match backend {
            Backend::Oidc(provider) => Some(provider),
            _ => None,
        });
        match provider {
            Some(provider) => mechanism.refusal(provider.scopes(), Some(&provider.configuration())),
            None => mechanism.refusal(&[], None),
        }
    }

    fn dovecot(&self, config: &DovecotAuth) -> Option<&Arc<Dovecot>> {
        self.backends.iter().find_map(|backend| match backend {
            Backend::DovecotSasl(dovecot) if dovecot.is(config) => Some(dovecot),
            _ => None,
        })
    }

    /// Reads files again that changed. Blocks for as long as that takes; what failed keeps what it had.
    pub(crate) fn refresh(&self) -> Vec<Result<Refresh, AccountsError>> {
        for backend in &self.backends {
            if let Backend::ServiceAccounts(accounts) = backend {
                accounts.refresh();
            }
        }
        self.files().map(|file| file.refresh()).collect()
    }

    /// Whether a backend can serve the mechanism now. A server behind us that nobody has asked yet is believed to offer it.
    pub(crate) fn serve(&self, mechanism: Mechanism, hops: &NextHops) -> bool {
        let serves = |backend: &Backend| match (backend, mechanism.carries()) {
            (Backend::AccountsFile(file), Carries::Proof) => {
                mechanism != Mechanism::CramMd5 && file.has_verifiers()
            }
            (_, Carries::Proof) if mechanism == Mechanism::ScramSha256Plus => false,
            (Backend::Upstream, Carries::Proof | Carries::Token) => hops.upstream_offers(mechanism),
            (Backend::DovecotSasl(dovecot), Carries::Proof | Carries::Token) => {
                dovecot.offers(mechanism.name())
            }
            (Backend::Oidc(_) | Backend::ServiceAccounts(_), Carries::Token) => true,
            (Backend::Oidc(_) | Backend::ServiceAccounts(_), Carries::Proof) => false,
            (Backend::Http(_), Carries::Proof | Carries::Token) => false,
            (Backend::AccountsFile(_), Carries::Token) => false,
            (_, Carries::Password) => true,
        };
        self.mechanisms.contains(&mechanism) && self.backends.iter().any(serves)
    }

    pub(super) fn domain(&self) -> Option<&str> {
        self.default_domain.as_deref()
    }

    /// Whether the upstream may say that somebody is `account`, which the client calls `name`.
    pub(super) fn upstream_is_asked_about(&self, name: &str, account: &Account) -> bool {
        self.upstream_names.have(name, account)
    }

    pub(super) fn canonical(&self, name: &str) -> Account {
        Account::canonical(name, self.default_domain.as_deref())
    }
}

impl Backend {
    fn http(config: &HttpAuth, tools: &Tools) -> Result<Self, LoadFault> {
        Ok(Self::Http(Arc::new(HttpService::new(config, tools)?)))
    }

    fn oidc(config: &OidcAuth, tools: &Tools) -> Result<Self, LoadFault> {
        Ok(Self::Oidc(Arc::new(Oidc::new(config, tools)?)))
    }

    fn service_accounts(config: &ServiceAccountAuth, tools: &Tools) -> Result<Self, LoadFault> {
        let accounts = ServiceAccounts::new(config, tools)?;
        Ok(Self::ServiceAccounts(Arc::new(accounts)))
    }

    /// Whether it may say that somebody is this account. Those of service accounts are the cluster's to give, by tokens.
    pub(super) fn may_give(&self, account: &Account) -> bool {
        matches!(self, Self::ServiceAccounts(_)) || !account.is_service_account()
    }

    /// Whether it is a server that may know more mechanisms than we do.
    pub(super) fn relays(&self) -> bool {
        matches!(self, Self::Upstream | Self::DovecotSasl(_))
    }

    /// How it is counted, if it is a service that looks at what is shown.
    pub(super) fn label(&self, presented: &Presented) -> Option<LoginService> {
        match (self, presented) {
            (Self::Http(_), Presented::Password(_)) => Some(LoginService::Http),
            (Self::Oidc(_), Presented::Token(..)) => Some(LoginService::Oidc),
            (Self::ServiceAccounts(_), Presented::Token(..)) => Some(LoginService::ServiceAccount),
            _ => None,
        }
    }
}
