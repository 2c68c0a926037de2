//! AUTH: the exchange, the judgement before what the client shows is looked at, the check, the judgement after it.

mod channel;
mod contest;
mod counting;
mod exchange;

use std::sync::Arc;

use sekisho_policy::event::{AccountFacts, Checked, Event, Network, Stage};
use sekisho_policy::record::End;
use sekisho_policy::snapshot::{Carries, Mechanism};
use sekisho_policy::{Account, Item, Reason};
use sekisho_runtime::metrics::{AuthResult, Mechanism as Label};
use sekisho_smtp::command::AuthCommand;
use sekisho_smtp::sasl::{self, TokenMechanism};
use sekisho_smtp::{Error, Refusal, Reply};
use tokio::time::Instant;

use counting::is_secret;

use super::io::Gone;
use super::stream::Transport;
use super::{Flow, Session, refused};
use crate::auth::{Asking, Failure, Presented, Verdict};
use crate::engine::Judged;
use crate::live::Live;

impl<S: Transport> Session<S> {
    pub(super) async fn auth(&mut self, command: AuthCommand) -> Result<Flow, Gone> {
        let live = self.live();
        let offered = self.mechanisms(&live);
        let asked = offered.into_iter().find(|m| m.name() == command.mechanism);
        let Some(mechanism) = asked else {
            self.shared
                .metrics
                .auth(Label::Unknown, AuthResult::Malformed);
            return Ok(self.refuse(Refusal::new(
                504,
                (5, 5, 4),
                "Unknown authentication mechanism",
            )));
        };
        if mechanism.carries() == Carries::Proof {
            return self.contest(&live, mechanism, command.initial).await;
        }
        let presented = match self.exchange(mechanism, command.initial).await? {
            Ok(presented) => presented,
            Err(error) => return Ok(self.break_off(mechanism, error)),
        };
        let (result, flow) = self.log_in(&live, &presented).await?;
        self.shared.metrics.auth(label(mechanism), result);
        Ok(flow)
    }

    /// The mechanisms that work now, on this connection.
    pub(super) fn mechanisms(&self, live: &Live) -> Vec<Mechanism> {
        let listed = &live.rules.gateway().authentication.mechanisms;
        let works = |mechanism: &Mechanism| {
            let binds = *mechanism == Mechanism::ScramSha256Plus;
            live.backends.serve(*mechanism, &live.hops) && (!binds || self.can_bind())
        };
        listed.iter().copied().filter(works).collect()
    }

    /// The exchange ends without anything to check.
    fn break_off(&mut self, mechanism: Mechanism, error: Error) -> Flow {
        let result = if error == Error::SaslCancelled {
            AuthResult::Cancelled
        } else {
            AuthResult::Malformed
        };
        self.shared.metrics.auth(label(mechanism), result);
        self.refuse(sasl::refusal(error))
    }

    async fn log_in(
        &mut self,
        live: &Live,
        presented: &Presented,
    ) -> Result<(AuthResult, Flow), Gone> {
        let claimed = presented.claims(live.default_domain());
        self.weigh_source();
        let Some(claimed) = claimed else {
            return self.log_in_by_token(live, presented).await;
        };
        let asked = self.ask_to_log_in(live, Some(&claimed)).await;
        let secret = is_secret(&asked);
        if asked.verdict().refusal().is_some() && !secret {
            return self.turn_away_politely(live, presented, asked).await;
        }
        if presented.acts_for_another(&claimed, live.default_domain()) {
            // Nobody may act for others here. The password is not looked at, and the reply does not say so.
            let judged = self.judge_failure(live, Some(claimed), None).await;
            return self.turn_away_politely(live, presented, judged).await;
        }
        let password = presented.password();
        let fingerprint =
            password.map(|password| self.shared.key.fingerprint(&claimed, password.expose()));
        let counted = match self.count_as_failed(live, &claimed, fingerprint).await {
            Ok(counted) => counted,
            Err(judged) => return self.turn_away_politely(live, presented, *judged).await,
        };
        match self.check(live, presented).await {
            Verdict::Accepted(_) | Verdict::Refused if secret => {
                self.caller.forget_login();
                let judged = self.count_as_wrong(live, claimed, fingerprint, asked).await;
                self.turn_away_politely(live, presented, judged).await
            }
            Verdict::Accepted(name) => {
                self.forgive(live, counted).await;
                let asked = match self.ask_about(live, &claimed, &name, asked).await {
                    Ok(asked) => asked,
                    Err(judged) if is_secret(&judged) => {
                        let judged = self
                            .count_as_wrong(live, claimed, fingerprint, *judged)
                            .await;
                        return self.turn_away_politely(live, presented, judged).await;
                    }
                    Err(judged) => {
                        return self.turn_away_politely(live, presented, *judged).await;
                    }
                };
                let network = asked.decision().network;
                self.succeed(live, presented, name, network).await
            }
            Verdict::Refused => {
                let judged = self.judge_failure(live, Some(claimed), fingerprint).await;
                self.turn_away_politely(live, presented, judged).await
            }
            Verdict::Unavailable(failure) => Ok(self.put_off(live, &failure, asked)),
            Verdict::Masked(failure) => {
                let judged = self.judge_failure(live, Some(claimed), fingerprint).await;
                Ok(self.put_off(live, &failure, judged))
            }
        }
    }

    /// Where a backend has another name for the account than the client, the rules for logins are asked about that one as well.
    async fn ask_about(
        &mut self,
        live: &Live,
        claimed: &Account,
        name: &Account,
        asked: Judged,
    ) -> Result<Judged, Box<Judged>> {
        if name == claimed {
            return Ok(asked);
        }
        let asked = self.ask_to_log_in(live, Some(name)).await;
        if asked.verdict().refusal().is_none() {
            return Ok(asked);
        }
        self.caller.forget_login();
        Err(Box::new(asked))
    }

    /// A login whose account nobody knows before the token is verified: where it comes from is judged before anybody works on it, and
    /// the account after that. Only who has a good token learns what is said of the account.
    async fn log_in_by_token(
        &mut self,
        live: &Live,
        presented: &Presented,
    ) -> Result<(AuthResult, Flow), Gone> {
        let asked = match self.ask_for_nobody(live).await {
            Ok(asked) => asked,
            Err(judged) => return self.turn_away_politely(live, presented, *judged).await,
        };
        match self.check(live, presented).await {
            Verdict::Accepted(name) => {
                self.take_back(asked).await;
                let asked = self.ask_to_log_in(live, Some(&name)).await;
                if asked.verdict().refusal().is_some() {
                    return self.turn_away_politely(live, presented, asked).await;
                }
                let network = asked.decision().network;
                self.succeed(live, presented, name, network).await
            }
            Verdict::Refused => {
                let judged = self.judge_failure(live, None, None).await;
                self.turn_away_politely(live, presented, judged).await
            }
            Verdict::Unavailable(failure) | Verdict::Masked(failure) => {
                tracing::warn!(%failure, "a token could not be checked");
                self.tally.failed_logins += 1;
                Ok((AuthResult::Unavailable, self.say(&failure.reply())))
            }
        }
    }

    /// The judgement before anything that was shown is looked at.
    pub(super) async fn ask_to_log_in(&mut self, live: &Live, claimed: Option<&Account>) -> Judged {
        let account = claimed.cloned();
        let event = self.event(Stage::Login { account });
        self.ask_of_login(live, event).await
    }

    /// The same of a login whose password a trusted peer has looked at.
    pub(super) async fn ask_to_let_in(&mut self, live: &Live, account: &Account) -> Judged {
        let account = Some(account.clone());
        let event = Event {
            checked: Checked::ByPeer,
            ..self.event(Stage::Login { account })
        };
        self.ask_of_login(live, event).await
    }

    async fn ask_of_login(&mut self, live: &Live, event: Event) -> Judged {
        let asked = self.judge(live, event).await;
        self.pause(&asked).await;
        asked
    }

    /// Judges where a login comes from that has not said whose it is: as nobody's, whom no exemption of an account and no good history
    /// spares.
    async fn ask_for_nobody(&mut self, live: &Live) -> Result<Judged, Box<Judged>> {
        self.weigh_source();
        let asked = self.ask_to_log_in(live, None).await;
        match asked.verdict().refusal() {
            None => Ok(asked),
            Some(_) => Err(Box::new(asked)),
        }
    }

    async fn check(&self, live: &Live, presented: &Presented) -> Verdict {
        live.backends.check(presented, &self.asking(live)).await
    }

    /// How backends are asked for this client, from now.
    fn asking<'a>(&'a self, live: &'a Live) -> Asking<'a> {
        Asking {
            caller: &self.caller,
            hops: &live.hops,
            places: &self.shared.places,
            source: self.facts.source.own_ip(),
            key: &self.shared.key,
            channel: self.facts.tls,
            attempt: self.tally.failed_logins + 1,
            deadline: Instant::now() + self.shared.limits.login,
        }
    }

    /// Nobody could say whether it is right.
    fn put_off(&mut self, live: &Live, failure: &Failure, asked: Judged) -> (AuthResult, Flow) {
        tracing::warn!(%failure, "a login could not be checked");
        let reply = failure.reply().tagged(asked.id());
        let end = End::Failed {
            why: failure.to_string(),
            reply: reply.to_string(),
        };
        self.tally.failed_logins += 1;
        let flow = self.say(&reply);
        self.record_alone(live, asked.step, end);
        (AuthResult::Unavailable, flow)
    }

    async fn succeed(
        &mut self,
        live: &Live,
        presented: &Presented,
        name: Account,
        network: Network,
    ) -> Result<(AuthResult, Flow), Gone> {
        match self.admit(live, name, network, Checked::Here).await {
            Ok(()) => Ok((AuthResult::Accepted, self.accept())),
            Err(judged) => {
                self.caller.forget_login();
                self.turn_away_politely(live, presented, *judged).await
            }
        }
    }

    fn accept(&mut self) -> Flow {
        self.grammar.authenticated();
        self.identify();
        self.say(&Reply::new(235, (2, 7, 0), "Authentication succeeded"))
    }

    /// Judges a login that was proven, here or by a trusted peer.
    pub(super) async fn admit(
        &mut self,
        live: &Live,
        name: Account,
        network: Network,
        checked: Checked,
    ) -> Result<(), Box<Judged>> {
        let account = Arc::new(AccountFacts::new(name, network));
        let mut event = self.event(Stage::LoginSucceeded);
        event.checked = checked;
        // Signals of logins lead to no step on which the account stands.
        event.account = Some(self.shared.restrictions.judge(&account, event.at));
        event.settings = self.shared.settings.of(&account.name);
        let judged = self.judge(live, event).await;
        self.pause(&judged).await;
        if judged.verdict().refusal().is_some() {
            return Err(Box::new(judged));
        }
        if judged.decision().restricts() {
            self.record_alone(live, judged.step.clone(), End::Noted);
        }
        let network = judged.decision().network;
        self.prove();
        self.account = Some(if account.network == network {
            account
        } else {
            Arc::new(AccountFacts::new(account.name.clone(), network))
        });
        Ok(())
    }

    async fn judge_failure(
        &mut self,
        live: &Live,
        account: Option<Account>,
        password: Option<Item>,
    ) -> Judged {
        let stage = Stage::LoginFailed { account, password };
        let judged = self.judge(live, self.event(stage)).await;
        self.pause(&judged).await;
        judged
    }

    /// Refuses a login in the way that its mechanism has for it. A token that policy does not want is refused as a bad one is.
    async fn turn_away_politely(
        &mut self,
        live: &Live,
        presented: &Presented,
        judged: Judged,
    ) -> Result<(AuthResult, Flow), Gone> {
        let refusal = judged.verdict().refusal();
        let result = match &judged.step.event.stage {
            Stage::LoginFailed { .. } => AuthResult::BadCredentials,
            _ => refusal.map_or(AuthResult::Refused, |refusal| auth_result(refusal.reason)),
        };
        let is_final = refusal.is_none_or(|refusal| refusal.code == 535);
        let heard = match presented.token_mechanism() {
            Some(mechanism) if is_final => self.say_why(live, mechanism).await,
            _ => Ok(()),
        };
        let flow = self.turn_away(live, judged);
        heard.map(|()| (result, flow))
    }

    /// The challenge before the refusal of a token; what the client answers says nothing.
    async fn say_why(&mut self, live: &Live, mechanism: TokenMechanism) -> Result<(), Gone> {
        self.say(&Reply::plain(334, live.backends.refusal(mechanism)));
        self.response().await.map(drop)
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

const fn label(mechanism: Mechanism) -> Label {
    match mechanism {
        Mechanism::Plain => Label::Plain,
        Mechanism::Login => Label::Login,
        Mechanism::ScramSha256 => Label::ScramSha256,
        Mechanism::ScramSha256Plus => Label::ScramSha256Plus,
        Mechanism::CramMd5 => Label::CramMd5,
        Mechanism::Xoauth2 => Label::Xoauth2,
        Mechanism::Oauthbearer => Label::Oauthbearer,
    }
}

fn auth_result(reason: Reason) -> AuthResult {
    match reason {
        Reason::AccountLocked => AuthResult::AccountLocked,
        Reason::SourceLocked => AuthResult::SourceLocked,
        Reason::CountryRefused | Reason::AbroadRefused => AuthResult::CountryRefused,
        _ => AuthResult::Refused,
    }
}
