//! SCRAM and CRAM-MD5: the client is judged as soon as it has said who it is, before it is shown anything of that account; and what
//! it proves is believed only after rules have seen that it did.

use sekisho_policy::Account;
use sekisho_policy::snapshot::Mechanism;
use sekisho_runtime::metrics::AuthResult;
use sekisho_smtp::sasl::{Binding, ClientFirst, CramResponse, Secret, encode_base64};
use sekisho_smtp::{Error, Refusal, Reply};

use super::super::io::Gone;
use super::super::stream::Transport;
use super::super::{Flow, Session};
use super::{auth_result, label};
use crate::auth::{Bound, Contest, Turn};
use crate::engine::Judged;
use crate::live::Live;

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
        let claimed = Account::canonical(&first.authentication, domain);
        let asked = match self.ask_first(live, &claimed).await {
            Ok(asked) => asked,
            Err(ended) => return Ok(Ok(ended)),
        };
        let wanted = first.header.authorization.as_deref();
        if wanted.is_some_and(|wanted| Account::canonical(wanted, domain) != claimed) {
            // Nobody may act for others here. The reply does not say so.
            return Ok(Ok(self.disprove(live, claimed).await));
        }
        let bound = channel.as_deref().map_or(Bound::No, Bound::To);
        let (contest, turn) = live
            .backends
            .start_scram(
                &first,
                &message,
                bound,
                &self.asking(live),
                &self.shared.key,
            )
            .await;
        match (contest, turn) {
            (Some(contest), Turn::Challenge(challenge)) => {
                self.go_on(live, contest, challenge, claimed, asked).await
            }
            (_, turn) => self.settle_login(live, turn, claimed, asked).await,
        }
    }

    /// The rest of an exchange, from a challenge on.
    async fn go_on(
        &mut self,
        live: &Live,
        mut contest: Contest,
        mut challenge: Secret,
        claimed: Account,
        asked: Judged,
    ) -> Result<Result<Ended, Error>, Gone> {
        loop {
            let response = match self.put(&challenge).await? {
                Ok(response) => response,
                Err(error) => return Ok(Err(error)),
            };
            let deadline = self.asking(live).deadline;
            match contest.respond(&claimed, &response, deadline).await {
                Turn::Challenge(next) => challenge = next,
                turn => return self.settle_login(live, turn, claimed, asked).await,
            }
        }
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
        let (contest, turn) = live.backends.start_cram(&self.asking(live)).await;
        let (Some(mut contest), Turn::Challenge(challenge)) = (contest, turn) else {
            tracing::warn!("nobody who could be asked makes a challenge for CRAM-MD5");
            let flow = self.say(&Reply::new(
                454,
                (4, 7, 0),
                "Temporary authentication failure; please try again later",
            ));
            return Ok(Ok((AuthResult::Unavailable, flow)));
        };
        let answered = self.put(&challenge).await?;
        let read = answered.and_then(|response| Ok((CramResponse::parse(&response)?, response)));
        let (read, response) = match read {
            Ok(read) => read,
            Err(error) => return Ok(Err(error)),
        };
        let claimed = Account::canonical(&read.authentication, live.default_domain());
        let asked = match self.ask_first(live, &claimed).await {
            Ok(asked) => asked,
            Err(ended) => return Ok(Ok(ended)),
        };
        let deadline = self.asking(live).deadline;
        let turn = contest.respond(&claimed, &response, deadline).await;
        self.settle_login(live, turn, claimed, asked).await
    }

    async fn ask_first(&mut self, live: &Live, claimed: &Account) -> Result<Judged, Ended> {
        self.weigh_source();
        let asked = self.ask_to_log_in(live, claimed).await;
        match asked.verdict().refusal().map(|refusal| refusal.reason) {
            None => Ok(asked),
            Some(reason) => Err((auth_result(reason), self.turn_away(live, asked))),
        }
    }

    /// Sends a challenge, and waits for the answer.
    async fn put(&mut self, challenge: &Secret) -> Result<Result<Secret, Error>, Gone> {
        let encoded = encode_base64(challenge.expose());
        let text = String::from_utf8_lossy(encoded.expose()).into_owned();
        self.say(&Reply::plain(334, text));
        self.response().await
    }

    async fn settle_login(
        &mut self,
        live: &Live,
        turn: Turn,
        claimed: Account,
        asked: Judged,
    ) -> Result<Result<Ended, Error>, Gone> {
        match turn {
            Turn::Proven { account, last } => {
                let network = asked.decision().network;
                let judged = self.admit(live, account, network).await;
                if let Err(judged) = judged {
                    self.caller.forget_login();
                    let reason = judged.verdict().refusal().map(|refusal| refusal.reason);
                    let result = reason.map_or(AuthResult::Refused, auth_result);
                    return Ok(Ok((result, self.turn_away(live, *judged))));
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
            Turn::Unavailable(failure) => Ok(Ok(self.put_off(live, &failure, asked))),
            // No mechanism asks more often than its exchange knows.
            Turn::Refused | Turn::Challenge(_) => Ok(Ok(self.disprove(live, claimed).await)),
        }
    }

    /// The server's last words, which the client has to answer with nothing.
    async fn part_with(&mut self, last: Option<Secret>) -> Result<Result<(), Error>, Gone> {
        let Some(last) = last else { return Ok(Ok(())) };
        let answer = self.put(&last).await?;
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
