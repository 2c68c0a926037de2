//! Exchanges in which the client proves that it knows the password, in answer to a challenge: held here by what an accounts file
//! keeps, or passed on step by step to a server that knows more.

use sekisho_policy::Account;
use sekisho_policy::snapshot::Mechanism;
use sekisho_smtp::sasl::{ClientFirst, Secret};
use tokio::time::Instant;

use super::backends::{Asking, Backend};
use super::dovecot::Exchange;
use super::scram::{Scram, draw_nonce};
use super::{AccountsFile, Backends, Failure, FleetKey};
use crate::upstream::RelayedLogin;

/// What comes of one of the client's messages.
#[derive(Debug)]
pub(crate) enum Turn {
    /// The client is asked this.
    Challenge(Secret),
    /// The client is this account. If there are last words, it must hear them, and answer with nothing, before it is told so.
    Proven {
        account: Account,
        last: Option<Secret>,
    },
    /// It is not, or there is no such account: nobody is told which.
    Refused,
    /// Who would know could not say.
    Unavailable(Failure),
}

/// A proof under way.
#[derive(Debug)]
pub(crate) enum Contest {
    Here(Box<Scram>),
    Upstream(Box<RelayedLogin>),
    Dovecot(Box<Exchange>),
}

impl Contest {
    /// Passes on what the client says.
    pub(crate) async fn respond(
        &mut self,
        account: &Account,
        response: &Secret,
        deadline: Instant,
    ) -> Turn {
        let turn = match self {
            Self::Here(scram) => scram.respond(response),
            Self::Upstream(relayed) => relayed.respond(account, response, deadline).await,
            Self::Dovecot(exchange) => exchange.respond(response, deadline).await,
        };
        match turn {
            // Those accounts are the cluster's to give, by tokens.
            Turn::Proven { account, .. } if account.is_service_account() => Turn::Refused,
            turn => turn,
        }
    }
}

/// What the client binds its proof to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound<'a> {
    /// Nothing.
    No,
    /// This data of the channel.
    To(&'a [u8]),
}

impl Backends {
    /// Takes the first message of SCRAM to the first backend that can go on with it. A file that knows the account decides; where
    /// nobody else is left to ask, it holds the exchange with a stranger to its end.
    pub(crate) async fn start_scram(
        &self,
        first: &ClientFirst,
        message: &Secret,
        bound: Bound<'_>,
        asking: &Asking<'_>,
        key: &FleetKey,
    ) -> (Option<Contest>, Turn) {
        let account = self.canonical(&first.authentication);
        let channel = match bound {
            Bound::No => &[],
            Bound::To(channel) => channel,
        };
        let nonce = match draw_nonce() {
            Ok(nonce) => nonce,
            Err(_) => return (None, Turn::Unavailable(Failure::NoRandomness)),
        };
        let begin = |file: &AccountsFile| {
            let (scram, challenge) = file.start_scram(first, &account, channel, &nonce, key);
            let contest = Contest::Here(Box::new(scram));
            (Some(contest), Turn::Challenge(challenge))
        };
        let (mut stranger, mut unavailable) = (None, None);
        for backend in &self.backends {
            if let Backend::AccountsFile(file) = backend {
                let begun = begin(file);
                if file.has(&account) {
                    return begun;
                }
                stranger = stranger.or(Some(begun));
            } else if matches!(bound, Bound::No) && backend.relays() {
                match self
                    .relay(backend, Mechanism::ScramSha256, Some(message), asking)
                    .await
                {
                    (None, Turn::Unavailable(failure)) => unavailable = Some(failure),
                    begun => return begun,
                }
            }
        }
        let nobody = || match unavailable {
            Some(failure) => (None, Turn::Unavailable(failure)),
            None => (None, Turn::Refused),
        };
        stranger.unwrap_or_else(nobody)
    }

    /// Has the first backend that can be asked make the challenge of CRAM-MD5: nobody knows yet whose it will be.
    pub(crate) async fn start_cram(&self, asking: &Asking<'_>) -> (Option<Contest>, Turn) {
        let mut last = (None, Turn::Refused);
        for backend in &self.backends {
            if !backend.relays() {
                continue;
            }
            last = self.relay(backend, Mechanism::CramMd5, None, asking).await;
            if last.0.is_some() {
                return last;
            }
        }
        last
    }

    async fn relay(
        &self,
        backend: &Backend,
        mechanism: Mechanism,
        initial: Option<&Secret>,
        asking: &Asking<'_>,
    ) -> (Option<Contest>, Turn) {
        match backend {
            Backend::AccountsFile(_)
            | Backend::Http(_)
            | Backend::Oidc(_)
            | Backend::ServiceAccounts(_) => (None, Turn::Refused),
            Backend::Upstream => {
                let begun = asking
                    .hops
                    .begin_login(asking.caller, mechanism, initial, asking.deadline)
                    .await;
                match begun {
                    Ok((relayed, turn)) => (Some(Contest::Upstream(Box::new(relayed))), turn),
                    Err(turn) => (None, turn),
                }
            }
            Backend::DovecotSasl(dovecot) => {
                let client = asking.client();
                match dovecot
                    .begin(mechanism.name(), client, initial, asking.deadline)
                    .await
                {
                    Ok((exchange, turn)) => (
                        Some(Contest::Dovecot(Box::new(exchange.known_by(self.domain())))),
                        turn,
                    ),
                    Err(turn) => (None, turn),
                }
            }
        }
    }
}
