//! One client's session: a task that owns all of its state, reads a command, obeys it, and answers.
//! Each verb has its own file; what they share is here.

mod auth;
mod bdat;
mod data;
mod ehlo;
mod forward;
mod greeting;
mod help;
pub(crate) mod io;
mod mail;
mod message;
mod new;
mod noop;
mod quit;
mod rcpt;
mod reset;
mod slowness;
mod starttls;
pub(crate) mod stream;
mod tally;
mod transaction;
mod verbs;
mod vrfy;
mod xclient;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use sekisho_policy::event::{AccountFacts, Checked, Event, SessionFacts, Stage};
use sekisho_policy::snapshot::GatewayLimits;
use sekisho_policy::{Account, Settings};
use sekisho_runtime::metrics::{AuthResult, Detection, Mechanism, OpenSession, ReplyClass};
use sekisho_smtp::grammar::{self, Buffered};
use sekisho_smtp::line::{self, Expect};
use sekisho_smtp::reply::Then;
use sekisho_smtp::xclient::Told;
use sekisho_smtp::{Command, Refusal, Reply};
use tokio::time::Instant;

use crate::engine::Judged;
use crate::listener::Door;
use crate::listener::sources::Place;
use crate::live::Live;
use crate::shared::Shared;
use crate::upstream::Caller;
use io::{Gone, Taken, Wire};
pub(crate) use stream::Hellos;
use stream::{Stream, Transport};
use tally::Tally;
use transaction::Transaction;

/// Whether the session goes on after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    /// What is gathered is sent, then the connection closes.
    Close,
}

/// Who is at the other end, as the connection or the PROXY header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

/// A session.
#[derive(Debug)]
pub(crate) struct Session<S> {
    wire: Wire<Stream<S>>,
    shared: Arc<Shared>,
    door: Arc<Door>,
    grammar: grammar::Session,
    /// Who sends: as the connection, the PROXY header, or XCLIENT says.
    ends: Ends,
    /// The client's verified name, where XCLIENT told one.
    name: Told<String>,
    facts: Arc<SessionFacts>,
    /// Whether the client's address was counted; one that came by XCLIENT was not yet.
    weighed: bool,
    account: Option<Arc<AccountFacts>>,
    /// Whom we speak for at next hops, and the connection that serves this session alone.
    caller: Caller,
    transaction: Option<Box<Transaction>>,
    tally: Tally,
    /// When it ends: soon as long as nobody has logged in or begun a message.
    ends_at: Instant,
    latest_end: Instant,
    /// What it may cost.
    limits: Arc<GatewayLimits>,
    open: OpenSession,
    place: Place,
    /// The last reply's class, for metrics.
    said: ReplyClass,
}

impl<S: Transport> Session<S> {
    /// Holds the session from the greeting to its end.
    pub(crate) async fn run(mut self) {
        let ended = self.converse().await;
        if let Err(gone) = ended {
            self.part(gone);
        }
        Box::pin(self.abandon()).await;
        if ended != Err(Gone::Closed) {
            let soon = self.reply_by();
            self.wire.close(soon).await;
        }
    }

    async fn converse(&mut self) -> Result<(), Gone> {
        let shutdown = self.shared.shutdown.clone();
        let mut draining = pin!(shutdown.draining());
        let mut aborting = pin!(shutdown.aborting());
        if Box::pin(self.greet()).await? == Flow::Close {
            return Ok(());
        }
        // From when on the next command is waited for: its octets must not come one by one for ever.
        let mut waits_since = None;
        loop {
            let flow = match self.wire.take_line(Expect::Command, verbs::read) {
                Taken::Line((verb, parsed)) => {
                    waits_since = None;
                    self.obey(verb, parsed).await?
                }
                Taken::Fault(error) => {
                    waits_since = None;
                    let flow = self.refuse_line(error);
                    self.repent_unless_over(flow).await?
                }
                Taken::Incomplete => {
                    let resting = self.transaction.is_none();
                    if resting && shutdown.is_draining() {
                        return Err(Gone::Draining);
                    }
                    let since = *waits_since.get_or_insert_with(Instant::now);
                    let until = (since + self.shared.limits.command).min(self.ends_at);
                    let reply_by = self.reply_by();
                    let rests_at = self.hop_rests_at();
                    tokio::select! {
                        biased;
                        filled = self.wire.fill(reply_by, until.min(rests_at)) => match filled {
                            Err(Gone::Silent) if rests_at < until => self.rest_hop(),
                            filled => filled?,
                        },
                        () = &mut aborting => return Err(Gone::Draining),
                        () = &mut draining, if resting => return Err(Gone::Draining),
                    }
                    continue;
                }
            };
            if flow == Flow::Close {
                return Ok(());
            }
            if self.wire.is_laden() {
                let reply_by = self.reply_by();
                self.wire.flush(reply_by).await?;
            }
        }
    }

    async fn obey(
        &mut self,
        verb: verbs::Verb,
        parsed: Result<Command, Refusal>,
    ) -> Result<Flow, Gone> {
        self.said = ReplyClass::None;
        if self.hop_rests_at() <= Instant::now() {
            self.rest_hop();
        }
        let sins = self.tally.sins();
        let buffered = Buffered::of(self.wire.received());
        let data_refused = std::mem::take(&mut self.tally.data_refused);
        let flow = match parsed {
            Err(_) if data_refused => Ok(self.refuse_message()),
            Err(refusal) => Ok(self.refuse_command(verb, refusal)),
            Ok(command) => match self.grammar.check(&command, buffered) {
                Ok(()) => self.dispatch(command).await,
                Err(refusal) => match command {
                    Command::Bdat(chunk) => Box::pin(self.refuse_chunk(chunk, refusal)).await,
                    _ => {
                        self.tally.data_refused = matches!(command, Command::Data);
                        Ok(self.refuse_command(verb, refusal))
                    }
                },
            },
        };
        self.shared.metrics.command(verb, self.said);
        let flow = flow?;
        if self.tally.sins() > sins {
            self.repent_unless_over(flow).await
        } else {
            Ok(self.enough().unwrap_or(flow))
        }
    }

    async fn dispatch(&mut self, command: Command) -> Result<Flow, Gone> {
        match command {
            // What waits for others is boxed, so that a session that waits for its client is small.
            Command::Ehlo(name) => Box::pin(self.ehlo(name)).await,
            Command::Helo(name) => Box::pin(self.helo(name)).await,
            Command::StartTls => Box::pin(self.starttls()).await,
            Command::Auth(auth) => Box::pin(self.auth(auth)).await,
            Command::Mail(mail) => Box::pin(self.mail(mail)).await,
            Command::Rcpt(rcpt) => Box::pin(self.rcpt(rcpt)).await,
            Command::Data => Box::pin(self.data()).await,
            Command::Bdat(chunk) => Box::pin(self.bdat(chunk)).await,
            Command::Rset => Box::pin(self.rset()).await,
            Command::Xclient(attributes) => Box::pin(self.xclient(*attributes)).await,
            Command::Noop => Ok(self.noop()),
            Command::Vrfy(_) => Ok(self.vrfy()),
            Command::Help => Ok(self.help()),
            Command::Quit => Ok(self.quit()),
        }
    }

    /// Answers.
    fn say(&mut self, reply: &Reply) -> Flow {
        self.said = match reply.code() / 100 {
            2 => ReplyClass::Success,
            3 => ReplyClass::Intermediate,
            4 => ReplyClass::Transient,
            _ => ReplyClass::Permanent,
        };
        self.wire.reply(reply);
        if reply.is_closing() {
            Flow::Close
        } else {
            Flow::On
        }
    }

    /// Refuses a command that breaks the rules of the protocol.
    fn refuse(&mut self, refusal: Refusal) -> Flow {
        self.tally.errors += 1;
        let said = self.say(&refusal.reply);
        let flow = if refusal.then == Then::Close {
            Flow::Close
        } else {
            said
        };
        self.enough().unwrap_or(flow)
    }

    /// Refuses a line that is no line. A bare newline may hide a command from us, or from the next hop.
    fn refuse_line(&mut self, error: sekisho_smtp::Error) -> Flow {
        if error == sekisho_smtp::Error::BareNewline {
            self.shared.metrics.detected(Detection::SmugglingAttempt);
        }
        self.refuse(line::refusal(error))
    }

    /// No command, right after a DATA that was refused: the message of a client that does not listen. Its lines are whoever's
    /// wrote it, and are not obeyed.
    fn refuse_message(&mut self) -> Flow {
        self.shared.metrics.detected(Detection::SmugglingAttempt);
        let text = "A message is not expected, since DATA was refused";
        self.refuse(Refusal::closing(503, (5, 5, 1), text))
    }

    fn refuse_command(&mut self, verb: verbs::Verb, refusal: Refusal) -> Flow {
        if let Some(detection) = verbs::intrusion(verb, &refusal) {
            self.shared.metrics.detected(detection);
        }
        if verb == verbs::Verb::Auth && refusal.reply.code() == 538 {
            self.shared
                .metrics
                .auth(Mechanism::Unknown, AuthResult::TlsRequired);
        }
        self.refuse(refusal)
    }

    /// Ends a session that makes too much of nothing.
    fn enough(&mut self) -> Option<Flow> {
        let too_much = self.tally.exceeded(&self.limits)?;
        self.shared.metrics.detected(Detection::TooManyErrors);
        self.tally = Tally::default();
        Some(self.say(&too_much))
    }

    /// The last words, where they can still be heard.
    fn part(&mut self, gone: Gone) {
        let reply = match gone {
            Gone::Silent => Reply::new(421, (4, 4, 2), "Timeout; closing the connection"),
            Gone::Draining => Reply::new(421, (4, 3, 2), "Shutting down; please try again"),
            Gone::Closed | Gone::Stalled | Gone::Finished | Gone::Unanswered => return,
        };
        self.wire.reply(&reply);
    }

    /// Until when the client may take to use the connection that it has to the next hop, if it has one.
    fn hop_rests_at(&self) -> Instant {
        let hop_until = self.transaction.as_ref().and_then(|t| t.hop_until);
        hop_until.unwrap_or(self.ends_at)
    }

    fn rest_hop(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.rest();
        }
    }

    /// As [`Self::more`], for a client within a transaction: its connection to the next hop is given back meanwhile.
    async fn more_in_transaction(&mut self, until: Instant) -> Result<(), Gone> {
        let rests_at = self.hop_rests_at();
        if rests_at < until {
            match self.more(rests_at).await {
                Err(Gone::Silent) => self.rest_hop(),
                filled => return filled,
            }
        }
        self.more(until).await
    }

    /// Waits for more octets from the client, but not past the end of a drain.
    async fn more(&mut self, until: Instant) -> Result<(), Gone> {
        let (reply_by, until) = (self.reply_by(), until.min(self.ends_at));
        tokio::select! {
            biased;
            filled = self.wire.fill(reply_by, until) => filled,
            () = self.shared.shutdown.aborting() => Err(Gone::Draining),
        }
    }

    /// `wait` from now, or the end of the session.
    fn until(&self, wait: std::time::Duration) -> Instant {
        (Instant::now() + wait).min(self.ends_at)
    }

    fn reply_by(&self) -> Instant {
        Instant::now() + self.shared.limits.reply
    }

    /// The snapshot that judges now: the transaction's own, else the newest.
    fn live(&self) -> Arc<Live> {
        self.transaction.as_ref().map_or_else(
            || self.shared.live(),
            |transaction| transaction.live.clone(),
        )
    }

    /// Counts the client among those that show whether addresses are clients', once it logs in or sends: health checks
    /// that connect and go say nothing of where clients come from.
    fn weigh_source(&mut self) {
        if self.weighed {
            return;
        }
        self.weighed = true;
        let trust = self.shared.weigh(self.facts.source.ip);
        if self.facts.source.trust != trust {
            Arc::make_mut(&mut self.facts).source.trust = trust;
        }
    }

    /// What happens now, as policy sees it.
    fn event(&self, stage: Stage) -> Event {
        let at = self.shared.now();
        let restrictions = &self.shared.restrictions;
        let account = self.account.as_ref();
        Event {
            id: self.shared.ids.draw(),
            at,
            session: self.facts.clone(),
            account: account.map(|account| restrictions.judge(account, at)),
            settings: self.settings_at(&stage),
            checked: Checked::Here,
            transaction: self
                .transaction
                .as_ref()
                .map(|transaction| transaction.facts()),
            stage,
            tripped: self.shared.engine.brakes.tripped().to_vec(),
            config: self.shared.config_state(),
        }
    }

    /// What the account has set that an event at `stage` is about. A transaction goes by what was set when it began.
    fn settings_at(&self, stage: &Stage) -> Settings {
        if let Some(transaction) = &self.transaction {
            return transaction.settings.clone();
        }
        let account = match stage {
            Stage::Login { account } | Stage::LoginFailed { account, .. } => account.as_ref(),
            _ => self.account_name(),
        };
        account.map_or(Settings::None, |account| self.shared.settings.of(account))
    }

    /// Has an event judged, and keeps the facts that were looked up for it.
    async fn judge(&mut self, live: &Live, event: Event) -> Judged {
        let judged = self.shared.engine.judge(live, event).await;
        if !Arc::ptr_eq(&self.facts, &judged.step.event.session) {
            self.facts = judged.step.event.session.clone();
        }
        judged
    }

    /// What was judged is judged anew: so that it counts once.
    async fn take_back(&self, judged: Judged) {
        if let Some(receipt) = judged.receipt {
            self.shared.engine.give_back(receipt).await;
        }
    }

    fn account_name(&self) -> Option<&Account> {
        self.account.as_ref().map(|account| &account.name)
    }
}

/// A judged refusal as the client is told: the words and the decision's id. `None` if it is none.
fn refused(judged: &Judged) -> Option<Reply> {
    let refusal = judged.verdict().refusal()?;
    Some(Reply::new(refusal.code, refusal.enhanced, refusal.text.clone()).tagged(judged.id()))
}
