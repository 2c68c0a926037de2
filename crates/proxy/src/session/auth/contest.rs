//! SCRAM and CRAM-MD5: the client is judged as soon as it has said who it is, before it is shown anything of that account; and what
//! it proves is believed only after rules have seen that it did.

use sekisho_policy::Account;
use sekisho_policy::event::{Checked, Stage};
use sekisho_policy::record::End;
use sekisho_policy::snapshot::Mechanism;
use sekisho_runtime::metrics::AuthResult;
use sekisho_smtp::sasl::{Binding, ClientFirst, CramResponse, Secret, encode_base64};
use sekisho_smtp::{Error, Refusal, Reply};
use tokio::time::Instant;

use super::super::io::Gone;
use super::super::stream::Transport;
use super::super::{Flow, Session};
use super::counting::{Counted, is_secret};
use super::{auth_result, label};
use crate::auth::{Bound, Contest, Proof, Turn};
use crate::engine::Judged;
use crate::live::Live;

/// Whom the client says it is: as it wrote it, and the account.
#[derive(Debug)]
struct Claimed {
    name: String,
    account: Account,
}

/// A login that rules let in, and what was counted of it.
#[derive(Debug)]
struct LetIn {
    asked: Judged,
    counted: Counted,
}

/// What ended an exchange before anything was proven: a result for metrics, and what was answered.
type Ended = (AuthResult, Flow);

impl<S: Transport> Session<S> {
    pub(super) async fn contest(
        &mut self,
        live: &Live,
        mechanism: Mechanism,
        initial: Option<Secret>,
    ) -> Result<Flow, Gone> {
        let ended = match mechanism {
            Mechanism::CramMd5 => Box::pin(self.cram(live, initial)).await?,
            _ => Box::pin(self.scram(live, mechanism, initial)).await?,
        };
        match ended {
            Ok((result, flow)) => {
                self.shared.metrics.auth(label(mechanism), result);
                Ok(flow)
            }
            Err(error) => Ok(self.break_off(mechanism, error)),
        }
    }

    async fn scram(
        &mut self,
        live: &Live,
        mechanism: Mechanism,
        initial: Option<Secret>,
    ) -> Result<Result<Ended, Error>, Gone> {
        let message = match self.first_message(initial).await? {
            Ok(message) => message,
            Err(error) => return Ok(Err(error)),
        };
        let first = match ClientFirst::parse(&message) {
            Ok(first) => first,
            Err(error) => return Ok(Err(error)),
        };
        let channel = match self.binding(live, mechanism, &first.header.binding) {
            Ok(channel) => channel,
            Err(refusal) => return Ok(Ok((AuthResult::Refused, self.refuse(refusal)))),
        };
        let domain = live.default_domain();
        let claimed = Claimed {
            name: first.authentication.clone(),
            account: Account::canonical(&first.authentication, domain),
        };
        let let_in = match self.ask_first(live, &claimed.account).await {
            Ok(let_in) => let_in,
            Err(ended) => return Ok(Ok(ended)),
        };
        let wanted = first.header.authorization.as_deref();
        if wanted.is_some_and(|wanted| Account::canonical(wanted, domain) != claimed.account) {
            // Nobody may act for others here. The reply does not say so.
            return Ok(Ok(self.disprove(live, claimed.account).await));
        }
        let bound = channel.as_deref().map_or(Bound::No, Bound::To);
        let until = self.until(self.shared.limits.contest);
        let asking = self.asking(live);
        let begun = live.backends.start_scram(&first, &message, bound, &asking);
        match begun.await {
            Ok((contest, challenge)) => {
                let begun = (contest, challenge, until);
                self.go_on(live, begun, claimed, let_in).await
            }
            Err(failure) => {
                // No proof was shown to anybody.
                self.forgive(live, let_in.counted).await;
                Ok(Ok(self.put_off(live, &failure, let_in.asked)))
            }
        }
    }

    /// The rest of an exchange, from a challenge on.
    async fn go_on(
        &mut self,
        live: &Live,
        (mut contest, mut challenge, until): (Contest, Secret, Instant),
        claimed: Claimed,
        let_in: LetIn,
    ) -> Result<Result<Ended, Error>, Gone> {
        let account = claimed.account;
        let turn = loop {
            let response = match self.put(&challenge, until).await {
                Ok(Ok(response)) => response,
                left => {
                    if matches!(left, Err(Gone::Draining)) && contest.proof() == Proof::Kept {
                        self.forgive(live, let_in.counted).await;
                    }
                    let left = left.map(Result::err);
                    return self.give_up(live, Some(account), left).await;
                }
            };
            let (whom, deadline) = ((&*claimed.name, &account), self.asking(live).deadline);
            let turn = live
                .backends
                .respond(&mut contest, whom, &response, deadline);
            match turn.await {
                Turn::Challenge(next) => challenge = next,
                turn => break turn,
            }
        };
        let proof = contest.proof();
        // What the server behind us held is free while the rules are asked.
        drop(contest);
        self.settle_login(live, (turn, proof), account, let_in)
            .await
    }

    /// The client has left an exchange in which it was told something. That is a failed login: otherwise names could be tried, and
    /// servers behind us be held, for nothing.
    async fn give_up(
        &mut self,
        live: &Live,
        account: Option<Account>,
        left: Result<Option<Error>, Gone>,
    ) -> Result<Result<Ended, Error>, Gone> {
        if left != Err(Gone::Draining) {
            let stage = Stage::LoginFailed {
                account,
                password: None,
            };
            let judged = self.judge(live, self.event(stage)).await;
            self.tally.failed_logins += 1;
            self.record_alone(live, judged.step, End::Abandoned);
        }
        left.map(|error| Err(error.unwrap_or(Error::SaslResponse)))
    }

    async fn cram(
        &mut self,
        live: &Live,
        initial: Option<Secret>,
    ) -> Result<Result<Ended, Error>, Gone> {
        if initial.is_some() {
            // The server speaks first (RFC 4954 section 4).
            return Ok(Err(Error::SaslResponse));
        }
        // A server behind us speaks before the client has said who it is.
        let nobody = match self.ask_for_nobody(live).await {
            Ok(asked) => asked,
            Err(judged) => return Ok(Ok(self.refuse_to_contest(live, *judged))),
        };
        let until = self.until(self.shared.limits.contest);
        let Some((mut contest, challenge)) = live.backends.start_cram(&self.asking(live)).await
        else {
            let flow = self.say(&Reply::new(
                454,
                (4, 7, 0),
                "Temporary authentication failure; please try again later",
            ));
            return Ok(Ok((AuthResult::Unavailable, flow)));
        };
        let answered = self.put(&challenge, until).await;
        let read = answered.map(|answered| {
            answered.and_then(|response| Ok((CramResponse::parse(&response)?, response)))
        });
        let (read, response) = match read {
            Ok(Ok(read)) => read,
            left => return self.give_up(live, None, left.map(Result::err)).await,
        };
        let claimed = Account::canonical(&read.authentication, live.default_domain());
        self.take_back(nobody).await;
        let let_in = match self.ask_first(live, &claimed).await {
            Ok(let_in) => let_in,
            Err(ended) => return Ok(Ok(ended)),
        };
        let deadline = self.asking(live).deadline;
        let whom = (&*read.authentication, &claimed);
        let turn = live
            .backends
            .respond(&mut contest, whom, &response, deadline)
            .await;
        let proof = contest.proof();
        drop(contest);
        self.settle_login(live, (turn, proof), claimed, let_in)
            .await
    }

    async fn ask_first(&mut self, live: &Live, claimed: &Account) -> Result<LetIn, Ended> {
        self.weigh_source();
        let asked = self.ask_to_log_in(live, Some(claimed)).await;
        if asked.verdict().refusal().is_some() && !is_secret(&asked) {
            return Err(self.refuse_to_contest(live, asked));
        }
        match self.count_as_failed(live, claimed, None).await {
            Ok(counted) => Ok(LetIn { asked, counted }),
            Err(judged) => Err(self.refuse_to_contest(live, *judged)),
        }
    }

    /// Policy refuses a login before the client is shown anything.
    fn refuse_to_contest(&mut self, live: &Live, judged: Judged) -> Ended {
        let reason = judged.verdict().refusal().map(|refusal| refusal.reason);
        let result = reason.map_or(AuthResult::Refused, auth_result);
        (result, self.turn_away(live, judged))
    }

    /// Sends a challenge, and waits for the answer.
    async fn put(
        &mut self,
        challenge: &Secret,
        until: Instant,
    ) -> Result<Result<Secret, Error>, Gone> {
        let encoded = encode_base64(challenge.expose());
        let text = String::from_utf8_lossy(encoded.expose()).into_owned();
        self.say(&Reply::plain(334, text));
        self.response_by(until).await
    }

    async fn settle_login(
        &mut self,
        live: &Live,
        (turn, proof): (Turn, Proof),
        claimed: Account,
        LetIn { asked, counted }: LetIn,
    ) -> Result<Result<Ended, Error>, Gone> {
        match turn {
            Turn::Proven { .. } | Turn::Refused | Turn::Challenge(_) if is_secret(&asked) => {
                self.caller.forget_login();
                let judged = self.count_as_wrong(live, claimed, None, asked).await;
                Ok(Ok(self.refuse_to_contest(live, judged)))
            }
            Turn::Proven { account, last } => {
                self.forgive(live, counted).await;
                let asked = match self.ask_about(live, &claimed, &account, asked).await {
                    Ok(asked) => asked,
                    // As with a wrong one: not even under another name may anybody learn that it was right.
                    Err(judged) if is_secret(&judged) => {
                        let judged = self.count_as_wrong(live, claimed, None, *judged).await;
                        return Ok(Ok(self.refuse_to_contest(live, judged)));
                    }
                    Err(judged) => return Ok(Ok(self.refuse_to_contest(live, *judged))),
                };
                let network = asked.decision().network;
                let judged = self.admit(live, account, network, Checked::Here).await;
                if let Err(judged) = judged {
                    self.caller.forget_login();
                    return Ok(Ok(self.refuse_to_contest(live, *judged)));
                }
                match self.part_with(last).await {
                    Ok(Ok(())) => Ok(Ok((AuthResult::Accepted, self.accept()))),
                    not_heard => {
                        self.account = None;
                        self.caller.forget_login();
                        not_heard.map(|heard| heard.and(Err(Error::SaslResponse)))
                    }
                }
            }
            Turn::Unavailable(failure) => {
                if proof == Proof::Kept {
                    self.forgive(live, counted).await;
                }
                Ok(Ok(self.put_off(live, &failure, asked)))
            }
            Turn::Masked(failure) => {
                let judged = self.judge_failure(live, Some(claimed), None).await;
                Ok(Ok(self.put_off(live, &failure, judged)))
            }
            // No mechanism asks more often than its exchange knows.
            Turn::Refused | Turn::Challenge(_) => Ok(Ok(self.disprove(live, claimed).await)),
        }
    }

    /// The server's last words, which the client has to answer with nothing.
    async fn part_with(&mut self, last: Option<Secret>) -> Result<Result<(), Error>, Gone> {
        let Some(last) = last else { return Ok(Ok(())) };
        let until = self.until(self.shared.limits.exchange);
        let answer = self.put(&last, until).await?;
        Ok(answer.and_then(|answer| {
            if answer.is_empty() {
                Ok(())
            } else {
                Err(Error::SaslResponse)
            }
        }))
    }

    async fn disprove(&mut self, live: &Live, claimed: Account) -> Ended {
        let judged = self.judge_failure(live, Some(claimed), None).await;
        (AuthResult::BadCredentials, self.turn_away(live, judged))
    }

    /// What the client says of channel binding, held against what is there. `None`: it binds to nothing.
    fn binding(
        &self,
        live: &Live,
        mechanism: Mechanism,
        said: &Binding,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let mismatch = || Refusal::new(535, (5, 7, 8), "The channel binding does not fit");
        let binds = mechanism == Mechanism::ScramSha256Plus;
        match said {
            Binding::Used(name) if binds => {
                self.channel_binding(name).map(Some).ok_or_else(mismatch)
            }
            // It would have bound itself, had it seen our offer: somebody took that away.
            Binding::NotOffered
                if binds || self.mechanisms(live).contains(&Mechanism::ScramSha256Plus) =>
            {
                Err(mismatch())
            }
            Binding::Unsupported | Binding::NotOffered if !binds => Ok(None),
            _ => Err(mismatch()),
        }
    }
}
