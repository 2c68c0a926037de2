//! Asking the backends in order about what a client shows.

use sekisho_policy::Account;
use sekisho_policy::snapshot::Mechanism;
use sekisho_smtp::sasl::{BearerToken, Credentials, TokenMechanism};
use tokio::time::Instant;

use super::accounts_file::{AccountsFile, Found};
use super::backends::{Asking, Backend, Backends};
use super::http_service::Said;
use super::places::Purpose;
use super::stranger::stand_in;
use super::{Answer, Failure, Presented, Verdict};
use crate::upstream::{LoginAnswer, Shown};

impl Backends {
    /// Checks what was shown. Whether the account may log in at all is decided elsewhere.
    ///
    /// Once a file has said no to a password, the backends after it are asked about somebody who does not exist, as they would be
    /// about an account that is not in the file: neither the time that the answer takes nor its code says which accounts are.
    pub(crate) async fn check(&self, presented: &Presented, asking: &Asking<'_>) -> Verdict {
        let (mut unavailable, mut nobody) = (None, None);
        for backend in &self.backends {
            if matches!(backend, Backend::Upstream) && !self.upstream_may_hear_of(presented) {
                continue;
            }
            let began = Instant::now();
            let answer = match presented {
                Presented::Password(credentials) => {
                    let credentials = nobody.as_ref().unwrap_or(credentials);
                    self.check_password(backend, credentials, asking).await
                }
                Presented::Token(mechanism, token) => {
                    self.check_token(backend, *mechanism, token, asking).await
                }
            };
            if let Some(service) = backend.label(presented) {
                let metrics = &self.metrics;
                metrics.login_service(service, answer.label(), began.elapsed());
            }
            match answer {
                Answer::Accepted(account) if nobody.is_some() || !backend.may_give(&account) => {
                    asking.caller.forget_login();
                }
                Answer::Accepted(account) => return Verdict::Accepted(account),
                Answer::Refused => match presented {
                    Presented::Token(..) => return Verdict::Refused,
                    Presented::Password(credentials) => {
                        let account = self.canonical(&credentials.authentication);
                        nobody = Some(stand_in(credentials, &account, asking.key));
                    }
                },
                Answer::NotMine => {}
                // Those after it would only be burdened as well.
                Answer::Unavailable(busy @ Failure::Busy(_)) => {
                    unavailable = Some(busy);
                    break;
                }
                Answer::Unavailable(failure) => unavailable = Some(failure),
            }
        }
        match unavailable {
            None => Verdict::Refused,
            Some(failure) if nobody.is_some() => Verdict::Masked(failure),
            Some(failure) => Verdict::Unavailable(failure),
        }
    }

    fn upstream_may_hear_of(&self, presented: &Presented) -> bool {
        match presented {
            Presented::Password(credentials) => {
                let name = &credentials.authentication;
                self.upstream_is_asked_about(name, &self.canonical(name))
            }
            // Whose it is must be read from the exchange, since the upstream does not say. A service account's is nothing for it.
            Presented::Token(_, token) => token.account.as_ref().is_some_and(|name| {
                let account = self.canonical(name);
                !account.is_service_account() && self.upstream_is_asked_about(name, &account)
            }),
        }
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
                self.check_file(file, account, credentials, asking).await
            }
            Backend::Upstream => ask_upstream(asking, Shown::Password(credentials), account).await,
            Backend::DovecotSasl(dovecot) => {
                let checked = dovecot.check(credentials, asking.client(), deadline).await;
                checked.in_domain(self.domain())
            }
            Backend::Http(service) => {
                let said = service.check(credentials, asking).await;
                self.said(said, account)
            }
            Backend::Oidc(_) | Backend::ServiceAccounts(_) => Answer::NotMine,
        }
    }

    /// What a web service said, which may have another name for the account.
    fn said(&self, said: Result<Said, Failure>, account: Account) -> Answer {
        match said {
            Ok(Said::Right(None)) => Answer::Accepted(account),
            Ok(Said::Right(Some(name))) => Answer::Accepted(self.canonical(&name)),
            Ok(Said::Wrong) => Answer::NotMine,
            Err(failure) => Answer::Unavailable(failure),
        }
    }

    /// Asks a backend about a token. One that takes none is passed over; one that does says whose the token is.
    async fn check_token(
        &self,
        backend: &Backend,
        mechanism: TokenMechanism,
        token: &BearerToken,
        asking: &Asking<'_>,
    ) -> Answer {
        let (shown, client) = (token.token.expose(), asking.waiting());
        let answer = match (backend, &token.account) {
            (Backend::Oidc(provider), _) => provider.check(shown, client).await,
            (Backend::ServiceAccounts(accounts), _) => accounts.check(shown, client).await,
            // One that does not have the mechanism is not told.
            (Backend::Upstream, Some(name)) if asking.hops.upstream_offers(listed(mechanism)) => {
                let shown = Shown::Token(mechanism, name, &token.token);
                ask_upstream(asking, shown, self.canonical(name)).await
            }
            (Backend::DovecotSasl(dovecot), Some(name))
                if !self.canonical(name).is_service_account() =>
            {
                let (client, deadline) = (asking.client(), asking.deadline);
                let checked = dovecot.check_token(mechanism, name, &token.token, client, deadline);
                checked.await.in_domain(self.domain())
            }
            (Backend::Upstream | Backend::DovecotSasl(_), _)
            | (Backend::AccountsFile(_) | Backend::Http(_), _) => Answer::NotMine,
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
        asking: &Asking<'_>,
    ) -> Answer {
        let password = credentials.password.clone();
        let found = file.find(&account, asking.key);
        let checked = self.pool.run(asking.waiting(), move || match found {
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
}

const fn listed(mechanism: TokenMechanism) -> Mechanism {
    match mechanism {
        TokenMechanism::Xoauth2 => Mechanism::Xoauth2,
        TokenMechanism::Oauthbearer => Mechanism::Oauthbearer,
    }
}

/// Has the upstream say whether what was shown is right for `account`. Each question takes a connection of its own there, so not
/// everybody is asked about at once.
async fn ask_upstream(asking: &Asking<'_>, shown: Shown<'_>, account: Account) -> Answer {
    let Some(_place) = asking.places.take(Purpose::Check, asking.source) else {
        return Answer::Unavailable(Failure::Crowded);
    };
    let asked = asking.hops.log_in(asking.caller, shown, asking.deadline);
    match asked.await {
        Ok(LoginAnswer::Accepted) => Answer::Accepted(account),
        Ok(LoginAnswer::Refused) => Answer::NotMine,
        Err(failure) => Answer::Unavailable(Failure::Upstream(failure)),
    }
}
