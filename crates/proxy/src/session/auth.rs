//! AUTH: the exchange, the judgement before the password is looked at, the password, the judgement after it.

use std::sync::Arc;

use sekisho_policy::event::{AccountFacts, Event, Network, Stage};
use sekisho_policy::record::End;
use sekisho_policy::{Account, Item, Reason};
use sekisho_runtime::metrics::{AuthResult, Mechanism as Label};
use sekisho_smtp::command::AuthCommand;
use sekisho_smtp::line::Expect;
use sekisho_smtp::sasl::{self, Credentials, Mechanism, Secret, ServerExchange, ServerStep};
use sekisho_smtp::{Error, Refusal, Reply};

use super::io::{Gone, Taken};
use super::stream::Transport;
use super::{Flow, Session, refused};
use crate::auth::Verdict;
use crate::engine::Judged;
use crate::live::Live;

impl<S: Transport> Session<S> {
    pub(super) async fn auth(&mut self, command: AuthCommand) -> Result<Flow, Gone> {
        let live = self.live();
        let Some(mechanism) = offered(&live, &command.mechanism) else {
            self.shared
                .metrics
                .auth(Label::Unknown, AuthResult::Malformed);
            return Ok(self.refuse(Refusal::new(
                504,
                (5, 5, 4),
                "Unknown authentication mechanism",
            )));
        };
        let credentials = match self.exchange(mechanism, command.initial).await? {
            Ok(credentials) => credentials,
            Err(error) => {
                let cancelled = error == Error::SaslCancelled;
                let result = if cancelled {
                    AuthResult::Cancelled
                } else {
                    AuthResult::Malformed
                };
                self.shared.metrics.auth(label(mechanism), result);
                return Ok(self.refuse(sasl::refusal(error)));
            }
        };
        let (result, flow) = self.log_in(&live, &credentials).await?;
        self.shared.metrics.auth(label(mechanism), result);
        Ok(flow)
    }

    async fn exchange(
        &mut self,
        mechanism: Mechanism,
        initial: Option<Secret>,
    ) -> Result<Result<Credentials, Error>, Gone> {
        let (mut exchange, mut step) = match ServerExchange::start(mechanism, initial) {
            Ok(begun) => begun,
            Err(error) => return Ok(Err(error)),
        };
        loop {
            let challenge = match step {
                ServerStep::Done(credentials) => return Ok(Ok(credentials)),
                ServerStep::Challenge(challenge) => challenge,
            };
            self.say(&Reply::plain(334, challenge));
            step = match self.response(&mut exchange).await? {
                Ok(step) => step,
                Err(error) => return Ok(Err(error)),
            };
        }
    }

    async fn response(
        &mut self,
        exchange: &mut ServerExchange,
    ) -> Result<Result<ServerStep, Error>, Gone> {
        let until = self.until(self.shared.limits.command);
        loop {
            match self
                .wire
                .take_line(Expect::AuthResponse, |line| exchange.respond(line))
            {
                Taken::Line(step) => return Ok(step),
                Taken::Fault(error) => return Ok(Err(error)),
                Taken::Incomplete => self.more(until).await?,
            }
        }
    }

    async fn log_in(
        &mut self,
        live: &Live,
        credentials: &Credentials,
    ) -> Result<(AuthResult, Flow), Gone> {
        let domain = live
            .rules
            .gateway()
            .authentication
            .default_domain
            .as_deref();
        let claimed = Account::canonical(&credentials.authentication, domain);
        self.weigh_source();
        let asked = self
            .judge(
                live,
                self.event(Stage::Login {
                    account: claimed.clone(),
                }),
            )
            .await;
        self.pause(&asked).await;
        if let Some(refusal) = asked.verdict().refusal() {
            let result = auth_result(refusal.reason);
            return Ok((result, self.turn_away(live, asked)));
        }
        let network = asked.decision().network;
        let acts_as_another = credentials.authorization.as_deref().is_some_and(|wanted| {
            !wanted.is_empty() && Account::canonical(wanted, domain) != claimed
        });
        if acts_as_another {
            // Nobody may act for others here. The password is not looked at, and the reply does not say so.
            return self.fail_login(live, claimed, None).await;
        }
        let deadline = tokio::time::Instant::now() + self.shared.limits.login;
        match live
            .backends
            .check(credentials, &self.caller, &live.hops, deadline)
            .await
        {
            Verdict::Accepted(name) => self.succeed(live, name, network).await,
            Verdict::Refused => {
                let password = self
                    .shared
                    .key
                    .fingerprint(&claimed, credentials.password.expose());
                self.fail_login(live, claimed, Some(password)).await
            }
            Verdict::Unavailable(failure) => {
                tracing::warn!(%failure, "a password could not be checked");
                let reply = failure.reply().tagged(asked.id());
                let end = End::Failed {
                    why: failure.to_string(),
                    reply: reply.to_string(),
                };
                let flow = self.say(&reply);
                self.record_alone(live, asked.step, end);
                Ok((AuthResult::Unavailable, flow))
            }
        }
    }

    async fn succeed(
        &mut self,
        live: &Live,
        name: Account,
        network: Network,
    ) -> Result<(AuthResult, Flow), Gone> {
        match self.admit(live, name, network).await {
            Ok(()) => {
                self.grammar.authenticated();
                self.identify();
                Ok((
                    AuthResult::Accepted,
                    self.say(&Reply::new(235, (2, 7, 0), "Authentication succeeded")),
                ))
            }
            Err(judged) => Ok((AuthResult::Refused, self.turn_away(live, *judged))),
        }
    }

    /// Judges a login that was proven, here or by a trusted peer.
    pub(super) async fn admit(
        &mut self,
        live: &Live,
        name: Account,
        network: Network,
    ) -> Result<(), Box<Judged>> {
        let account = Arc::new(AccountFacts { name, network });
        let event = Event {
            account: Some(account.clone()),
            ..self.event(Stage::LoginSucceeded)
        };
        let judged = self.judge(live, event).await;
        self.pause(&judged).await;
        if judged.verdict().refusal().is_some() {
            return Err(Box::new(judged));
        }
        let network = judged.decision().network;
        self.account = Some(if account.network == network {
            account
        } else {
            Arc::new(AccountFacts {
                name: account.name.clone(),
                network,
            })
        });
        Ok(())
    }

    async fn fail_login(
        &mut self,
        live: &Live,
        account: Account,
        password: Option<Item>,
    ) -> Result<(AuthResult, Flow), Gone> {
        let stage = Stage::LoginFailed { account, password };
        let judged = self.judge(live, self.event(stage)).await;
        self.pause(&judged).await;
        Ok((AuthResult::BadCredentials, self.turn_away(live, judged)))
    }

    /// Refuses a login, with a record of why.
    pub(super) fn turn_away(&mut self, live: &Live, judged: Judged) -> Flow {
        // Whatever the rules made of it, a login that did not succeed is refused.
        let reply = refused(&judged).unwrap_or_else(|| {
            Reply::new(535, (5, 7, 8), "Authentication credentials invalid").tagged(judged.id())
        });
        self.tally.failed_logins += 1;
        let flow = self.say(&reply);
        self.record_alone(
            live,
            judged.step,
            End::RefusedByPolicy {
                reply: reply.to_string(),
            },
        );
        flow
    }
}

/// The mechanism, if it is one that the gateway offers.
fn offered(live: &Live, name: &str) -> Option<Mechanism> {
    let mechanisms = &live.rules.gateway().authentication.mechanisms;
    let offered = mechanisms
        .iter()
        .any(|mechanism| super::ehlo::mechanism_name(*mechanism) == name);
    Mechanism::from_name(name).filter(|_| offered)
}

fn label(mechanism: Mechanism) -> Label {
    match mechanism {
        Mechanism::Plain => Label::Plain,
        Mechanism::Login => Label::Login,
    }
}

fn auth_result(reason: Reason) -> AuthResult {
    match reason {
        Reason::AccountLocked => AuthResult::AccountLocked,
        Reason::SourceLocked => AuthResult::SourceLocked,
        Reason::CountryRefused => AuthResult::CountryRefused,
        _ => AuthResult::Refused,
    }
}
