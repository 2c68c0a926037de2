//! The last stretch: the next hop of the message's class, every recipient or none, the octets, the final dot.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sekisho_policy::Route;
use sekisho_policy::event::Stage;
use sekisho_policy::snapshot::ReceivedPrivacy;
use sekisho_smtp::Reply;
use sekisho_smtp::grammar::{Greeting, Transport as Carrier};
use tokio::time::{Instant, timeout};

use super::super::Session;
use super::super::data::Sent;
use super::super::forward::{Setback, cut_short};
use super::super::io::Gone;
use super::super::stream::Transport;
use super::verdict;
use super::{Intake, Stop, after_data, class_refused, tells_verdict};
use crate::fields::{Edit, FieldEditor};
use crate::held::Content;
use crate::live::Live;
use crate::received::{Protocol, Received};
use crate::upstream;

/// How long a reply to the final dot is waited for when the process is told to abort.
const LAST_MOMENT: Duration = Duration::from_millis(500);

type NextHop = Box<upstream::Transaction>;

impl<S: Transport> Session<S> {
    /// Sends a message that has come to its end and was judged.
    pub(super) async fn send_whole(
        &mut self,
        live: &Arc<Live>,
        content: &Content,
        until: Instant,
    ) -> Result<Sent, Stop> {
        let next = self.secure_hop(live, until).await?;
        let verdict = self.verdict_field(live, &next);
        let mut scrub = verdict
            .as_ref()
            .map(|_| FieldEditor::new(verdict::NAME, Edit::Remove));
        let mut next = self.begin_data(next, verdict).await?;
        let mut reader = content.reader();
        let passing = async {
            loop {
                let chunk = reader.next().await.map_err(unreadable)?;
                match &mut scrub {
                    _ if chunk.is_empty() => break,
                    Some(scrub) => next.write(&scrub.pass(&chunk)).await?,
                    None => next.write(&chunk).await?,
                }
            }
            let left = scrub.map_or_else(Vec::new, FieldEditor::finish);
            Ok(next.write(&left).await?)
        };
        self.while_there(passing).await?;
        self.finish(next).await
    }

    /// Sends a long message while it comes in. Its end is judged before the final dot; a refusal drops the connection.
    pub(super) async fn stream(
        &mut self,
        live: &Arc<Live>,
        intake: &mut Intake,
    ) -> Result<Sent, Stop> {
        let next = self.secure_hop(live, intake.until).await?;
        let mut next = self.begin_data(next, None).await?;
        self.pass_held(&mut next, intake).await?;
        while !intake.has_ended() {
            self.take_in(intake).await?;
            self.pass_held(&mut next, intake).await?;
        }
        next.set_deadline(Instant::now() + after_data(live.rules.gateway()));
        self.judge_end(live, intake, None).await?;
        if !self.still_goes_there(live, &next) {
            return Err(self.stop(Setback::failed(
                "the end of the message changed its class after it had begun to leave",
                Reply::new(451, (4, 3, 0), "Please send the message again"),
            )));
        }
        self.finish(next).await
    }

    /// The transaction at the next hop of the class that the message has now.
    async fn secure_hop(&mut self, live: &Live, deadline: Instant) -> Result<NextHop, Stop> {
        let event = self.event(Stage::Mail);
        let Some(transaction) = &mut self.transaction else {
            return Err(Stop::Gone(Gone::Closed));
        };
        let route = live.rules.route(&event, transaction.class);
        if route == Route::Reject {
            return Err(self.stop(class_refused()));
        }
        let account = self.account.as_deref();
        let securing = transaction.secure(live, &self.caller, route, account, deadline);
        let secured = tokio::select! {
            biased;
            secured = securing => secured,
            () = self.wire.gone() => return Err(Stop::Gone(Gone::Closed)),
            () = self.shared.shutdown.aborting() => Err(cut_short()),
        };
        secured.map_err(|setback| self.stop(setback))
    }

    fn still_goes_there(&self, live: &Live, next: &NextHop) -> bool {
        let Some(transaction) = &self.transaction else {
            return false;
        };
        let route = live
            .rules
            .route(&self.event(Stage::Mail), transaction.class);
        let pool = match route {
            Route::Pool { name, .. } => Some(name),
            Route::Upstream => None,
            Route::Reject => return false,
        };
        next.hop().pool.as_ref() == pool
    }

    /// The field that tells class and pool, if the gateway wants one.
    fn verdict_field(&self, live: &Live, next: &NextHop) -> Option<String> {
        let transaction = self.transaction.as_ref()?;
        let pool = next.hop().pool.as_deref();
        tells_verdict(live.rules.gateway())
            .then(|| verdict::field(transaction.class, pool, transaction.draft.id()))
    }

    /// DATA, the `verdict` if it is told, and the field that says how the message came here. Only a next hop that refused in so many words is spared
    /// the loss of its connection: after anything else nobody knows what it waits for.
    async fn begin_data(
        &mut self,
        mut next: NextHop,
        verdict: Option<String>,
    ) -> Result<NextHop, Stop> {
        let privacy = self
            .live()
            .rules
            .gateway()
            .privacy
            .client_address_in_received;
        let field = verdict.unwrap_or_default() + &self.received_field(privacy);
        let beginning = async {
            next.data().await?;
            next.write(field.as_bytes()).await
        };
        let begun = tokio::select! {
            biased;
            begun = beginning => begun,
            () = self.wire.gone() => return Err(Stop::Gone(Gone::Closed)),
            () = self.shared.shutdown.aborting() => return Err(self.stop(cut_short())),
        };
        match begun {
            Ok(()) => Ok(next),
            Err(failure) => {
                if failure.refusal().is_some() {
                    next.reset();
                }
                Err(self.stop(failure.into()))
            }
        }
    }

    /// Passes on what came in so far.
    async fn pass_held(&mut self, next: &mut NextHop, intake: &mut Intake) -> Result<(), Stop> {
        let passing = async {
            loop {
                let chunk = intake.held.next().await.map_err(unreadable)?;
                if chunk.is_empty() {
                    return Ok(());
                }
                next.write(&chunk).await?;
            }
        };
        self.while_there(passing).await
    }

    /// Goes on while the client is there and the process is not made to end.
    async fn while_there(
        &mut self,
        passing: impl Future<Output = Result<(), Setback>>,
    ) -> Result<(), Stop> {
        let passed = tokio::select! {
            biased;
            passed = passing => passed,
            () = self.wire.gone() => return Err(Stop::Gone(Gone::Closed)),
            () = self.shared.shutdown.aborting() => Err(cut_short()),
        };
        passed.map_err(|setback| self.stop(setback))
    }

    /// The final dot. From here on there is no way back: a client that goes away changes nothing any more, and a
    /// process that is made to end waits a last moment.
    async fn finish(&mut self, next: NextHop) -> Result<Sent, Stop> {
        let (hop, metrics) = (next.hop().clone(), next.metrics().clone());
        let mut finishing = pin!(next.finish());
        let finished = tokio::select! {
            biased;
            finished = &mut finishing => Some(finished),
            () = self.shared.shutdown.aborting() => timeout(LAST_MOMENT, &mut finishing).await.ok(),
        };
        match finished {
            Some(Ok(end)) => Ok(Sent { end, hop, metrics }),
            Some(Err(failure)) => Err(self.stop(failure.into())),
            None => Err(Stop::Uncertain { hop }),
        }
    }

    /// How the message came here.
    pub(super) fn received_field(&self, privacy: ReceivedPrivacy) -> String {
        let smtputf8 = self
            .transaction
            .as_ref()
            .is_some_and(|t| t.mail.params.smtputf8);
        let id = self
            .transaction
            .as_ref()
            .map_or_else(|| self.shared.ids.draw(), |t| t.draft.id());
        Received {
            helo: self.facts.helo.as_deref(),
            source: self.facts.source.ip,
            privacy,
            host_name: self.shared.host_name.as_str(),
            protocol: Protocol {
                greeting: self.grammar.greeting().unwrap_or(Greeting::Helo),
                tls: self.grammar.transport() == Carrier::Tls,
                authenticated: self.grammar.is_authenticated(),
                smtputf8,
            },
            id,
            at: self.shared.now(),
        }
        .field()
    }
}

fn unreadable(error: std::io::Error) -> Setback {
    let reply = Reply::new(
        451,
        (4, 3, 0),
        "The message could not be kept; please send it again",
    );
    Setback::failed(
        format!("a held message cannot be read back: {error}"),
        reply,
    )
}
