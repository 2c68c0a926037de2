//! The transaction at the next hop: opened with the first recipient, and opened anew where the message turns out
//! to go elsewhere. A message goes to every recipient that was told 250, or to none.

use sekisho_policy::Route;
use sekisho_policy::event::{AccountFacts, Stage};
use sekisho_policy::record::{End, Hop as RecordHop};
use sekisho_policy::snapshot::RecipientCheck;
use sekisho_smtp::Reply;
use sekisho_smtp::command::RcptCommand;
use tokio::time::Instant;

use super::Session;
use super::stream::Transport;
use super::transaction::{Hop, Transaction};
use crate::live::Live;
use crate::upstream::{self, Destination, Failure};

/// Why a recipient or a message does not go on.
#[derive(Debug, Clone)]
pub(super) struct Setback {
    /// What the client is told, without the decision's id.
    pub(super) reply: Reply,
    /// The next hop, where it was the one that said no.
    refused_by: Option<Box<RecordHop>>,
    /// What the operator must see, where nobody said no.
    why: String,
    /// How many recipients the next hop does not know.
    pub(super) unknown: u32,
}

impl Setback {
    pub(super) fn failed(why: impl Into<String>, reply: Reply) -> Self {
        Self {
            reply,
            refused_by: None,
            why: why.into(),
            unknown: 0,
        }
    }

    pub(super) fn refused(hop: RecordHop, reply: Reply) -> Self {
        Self {
            reply,
            refused_by: Some(Box::new(hop)),
            why: String::new(),
            unknown: 0,
        }
    }

    /// How the record puts it, once the client was told.
    pub(super) fn end(self, told: &Reply) -> End {
        let reply = told.to_string();
        match self.refused_by {
            Some(hop) => End::RefusedByNextHop { hop: *hop, reply },
            None => End::Failed {
                why: self.why,
                reply,
            },
        }
    }
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        let refused_by = failure
            .refusal()
            .and_then(|_| failure.hop().cloned())
            .map(Box::new);
        Self {
            reply: failure.reply(),
            refused_by,
            why: failure.to_string(),
            unknown: 0,
        }
    }
}

impl<S: Transport> Session<S> {
    /// Asks the next hop of the message's class so far for recipients; one answer for each.
    pub(super) async fn ask(
        &mut self,
        live: &Live,
        commands: &[&RcptCommand],
    ) -> Vec<Result<(), Setback>> {
        let at_end = live.rules.gateway().upstream.recipient_check == RecipientCheck::AtEnd;
        let event = self.event(Stage::Mail);
        let deadline = Instant::now() + self.shared.limits.envelope;
        let Some(transaction) = &mut self.transaction else {
            return vec![Err(lost()); commands.len()];
        };
        let route = live.rules.route(&event, transaction.class);
        // A class that is refused: the header's verdict will say so, in its own words.
        if at_end || route == Route::Reject || commands.is_empty() {
            return vec![Ok(()); commands.len()];
        }
        let account = self.account.as_deref();
        let asking = transaction.ask(live, &self.caller, route, account, commands, deadline);
        let asked = tokio::select! {
            biased;
            asked = asking => asked,
            () = self.shared.shutdown.aborting() => Err(cut_short()),
        };
        if matches!(transaction.hop, Hop::Open { .. }) {
            let until = Instant::now() + self.shared.limits.hop;
            transaction.hop_until.get_or_insert(until);
        }
        asked.unwrap_or_else(|setback| vec![Err(setback); commands.len()])
    }
}

impl Transaction {
    async fn ask(
        &mut self,
        live: &Live,
        caller: &upstream::Caller,
        route: Route<'_>,
        account: Option<&AccountFacts>,
        commands: &[&RcptCommand],
        deadline: Instant,
    ) -> Result<Vec<Result<(), Setback>>, Setback> {
        let (pool, mut next) = match std::mem::replace(&mut self.hop, Hop::None) {
            Hop::Open { pool, transaction } => (pool, transaction),
            Hop::Refused(setback) => {
                self.hop = Hop::Refused(setback.clone());
                return Err(*setback);
            }
            // The recipients before are asked again when the message comes; no new ones are promised meanwhile.
            Hop::None if !self.recipients.is_empty() => return Err(lost()),
            Hop::Resting if !self.recipients.is_empty() => {
                let next = self.secure(live, caller, route, account, deadline).await;
                // A refusal at this point would be taken for the new recipient's; that the session is over is everybody's.
                let or_lost = |setback: Setback| match setback.reply.is_closing() {
                    true => setback,
                    false => lost(),
                };
                (pool_name(route), next.map_err(or_lost)?)
            }
            Hop::None | Hop::Resting => {
                let destination = self.destination(route, account, commands.first().copied());
                let begun = live
                    .hops
                    .begin(caller, &destination, self.mail.clone(), deadline)
                    .await;
                let next = begun.map_err(|failure| self.give_up(failure))?;
                (pool_name(route), Box::new(next))
            }
        };
        next.set_deadline(deadline);
        let commands: Vec<RcptCommand> =
            commands.iter().map(|command| (*command).clone()).collect();
        match next.recipients(&commands).await {
            Ok(replies) => {
                let answer = |reply: Reply| match reply.is_completion() {
                    true => Ok(()),
                    false => Err(Setback {
                        unknown: count_unknown(&[&reply]),
                        ..Setback::refused(next.hop().clone(), reply)
                    }),
                };
                let answers = replies.into_iter().map(answer).collect();
                self.hop = Hop::Open {
                    pool,
                    transaction: next,
                };
                Ok(answers)
            }
            Err(failure) => {
                if failure.refusal().is_some() {
                    next.reset();
                }
                Err(self.give_up(failure))
            }
        }
    }

    /// What was said to the first recipient is said to all: nobody waits for the same failure twice.
    fn give_up(&mut self, failure: Failure) -> Setback {
        let setback = Setback::from(failure);
        if self.recipients.is_empty() {
            self.hop = Hop::Refused(Box::new(setback.clone()));
        }
        setback
    }

    /// A transaction at the next hop of `route` that has accepted every recipient.
    pub(super) async fn secure(
        &mut self,
        live: &Live,
        caller: &upstream::Caller,
        route: Route<'_>,
        account: Option<&AccountFacts>,
        deadline: Instant,
    ) -> Result<Box<upstream::Transaction>, Setback> {
        match std::mem::replace(&mut self.hop, Hop::None) {
            Hop::Open {
                pool,
                mut transaction,
            } if pool == pool_name(route) => {
                transaction.set_deadline(deadline);
                return Ok(transaction);
            }
            Hop::Open { transaction, .. } => transaction.reset(),
            Hop::Refused(_) | Hop::Resting | Hop::None => {}
        }
        let destination = self.destination(route, account, None);
        let mut next = Box::new(
            live.hops
                .begin(caller, &destination, self.mail.clone(), deadline)
                .await?,
        );
        let replies = match next.recipients(&self.recipients).await {
            Ok(replies) => replies,
            Err(failure) => {
                if failure.refusal().is_some() {
                    next.reset();
                }
                return Err(failure.into());
            }
        };
        match self.first_refused(&replies) {
            None => Ok(next),
            Some(reply) => {
                let hop = next.hop().clone();
                next.reset();
                Err(Setback {
                    unknown: count_unknown(&replies.iter().collect::<Vec<_>>()),
                    ..Setback::refused(hop, reply)
                })
            }
        }
    }

    /// The refusal of the message, if the next hop refused any recipient: it names the first one, with 451 if any of
    /// the refusals is transient, since then resending may help.
    fn first_refused(&self, replies: &[Reply]) -> Option<Reply> {
        let refused = || {
            self.recipients
                .iter()
                .zip(replies)
                .filter(|(_, reply)| !reply.is_completion())
        };
        let (recipient, reply) = refused()
            .find(|(_, reply)| reply.is_transient())
            .or_else(|| refused().next())?;
        let text = format!("{}: {}", recipient.path, reply.text());
        let enhanced = reply.enhanced();
        Some(match reply.is_transient() {
            true => Reply::new(451, enhanced.unwrap_or((4, 5, 0).into()), text),
            false => Reply::new(550, enhanced.unwrap_or((5, 5, 0).into()), text),
        })
    }

    fn destination<'a>(
        &'a self,
        route: Route<'a>,
        account: Option<&'a AccountFacts>,
        asked: Option<&'a RcptCommand>,
    ) -> Destination<'a> {
        let first = self.recipients.first().or(asked);
        Destination {
            route,
            seed: self.seed,
            account: account.map(|account| &account.name),
            recipient_domain: first
                .and_then(|first| first.path.mailbox())
                .map(|mailbox| mailbox.domain()),
        }
    }
}

fn pool_name(route: Route<'_>) -> Option<std::sync::Arc<str>> {
    match route {
        Route::Pool { name, .. } => Some(name.clone()),
        Route::Upstream | Route::Reject => None,
    }
}

/// How many of the replies to RCPT say that there is no such recipient: 550 or its kind with X.1.Y (RFC 3463 3.2), but for what speaks
/// of the sender's address (X.1.7, X.1.8). Without an enhanced code nobody can tell a missing mailbox from a policy.
fn count_unknown(replies: &[&Reply]) -> u32 {
    let is_unknown = |reply: &&&Reply| {
        let code = reply.enhanced();
        matches!(reply.code(), 550 | 551 | 553)
            && code.is_some_and(|code| {
                (code.class, code.subject) == (5, 1) && !matches!(code.detail, 7 | 8)
            })
    };
    u32::try_from(replies.iter().filter(is_unknown).count()).unwrap_or(u32::MAX)
}

pub(super) fn lost() -> Setback {
    let reply = Reply::new(
        451,
        (4, 4, 2),
        "The connection to the next server broke; please try again",
    );
    Setback::failed(
        "the connection to the next hop was lost within the transaction",
        reply,
    )
}

pub(super) fn cut_short() -> Setback {
    Setback::failed(
        "the proxy was shut down",
        Reply::new(421, (4, 3, 2), "Shutting down; please try again"),
    )
}
