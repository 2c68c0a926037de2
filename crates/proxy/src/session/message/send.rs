//! The last stretch: the next hop of the message's class, every recipient or none, the octets, the final dot.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sekisho_policy::Route;
use sekisho_policy::event::Stage;
use sekisho_smtp::Reply;
use sekisho_smtp::command::Missing;
use sekisho_smtp::header::{Editor, Edits};
use tokio::time::{Instant, timeout};

use super::super::Session;
use super::super::data::Sent;
use super::super::forward::{Setback, cut_short};
use super::super::io::Gone;
use super::super::stream::Transport;
use super::{Intake, Letters, Stop, after_data, class_refused};
use crate::held::Content;
use crate::live::Live;
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
        (edits, letters): (Edits, Letters),
        until: Instant,
    ) -> Result<Sent, Stop> {
        let next = self.secure_hop(live, until).await?;
        let next = self.check_letters(next, letters)?;
        let mut editor = self.editor(edits);
        let mut next = self.begin_data(live, next, edits).await?;
        let mut reader = content.reader();
        let passing = async {
            loop {
                let chunk = reader.next().await.map_err(unreadable)?;
                if chunk.is_empty() {
                    break;
                }
                next.write(&editor.pass(&chunk)).await?;
            }
            Ok(next.write(&editor.finish()).await?)
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
        // By when the next hop must take it depends on the client; each step has its own deadline.
        let until = Instant::now() + Duration::from_millis(live.limits.message_duration.0);
        let next = self.secure_hop(live, until).await?;
        let next = self.check_letters(next, intake.letters)?;
        let mut editor = self.editor(intake.edits);
        let mut next = self.begin_data(live, next, intake.edits).await?;
        self.pass_held(&mut next, intake, &mut editor).await?;
        while !intake.has_ended() {
            self.take_in(intake).await?;
            self.pass_held(&mut next, intake, &mut editor).await?;
        }
        let left = editor.finish();
        self.while_there(async { Ok(next.write(&left).await?) })
            .await?;
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
        match secured {
            Ok(next) => Ok(next),
            Err(setback) => {
                self.note_unknown(live, setback.unknown).await;
                Err(self.stop(setback))
            }
        }
    }

    /// Recipients that turned out to be unknown only now.
    async fn note_unknown(&mut self, live: &Live, count: u32) {
        let mut event = self.event(Stage::Mail);
        if let Some(transaction) = &self.transaction {
            // What comes of it names the record.
            event.id = transaction.draft.id();
        }
        let seen = self.shared.engine.see_unknown(live, &event, count.into());
        let findings = seen.await;
        if let Some(transaction) = &mut self.transaction {
            transaction.draft.note(findings);
        }
    }

    /// A client may say SMTPUTF8 of a message that has no need of it. One that has does not go where nobody could read it.
    fn check_letters(&self, next: NextHop, letters: Letters) -> Result<NextHop, Stop> {
        if letters == Letters::Ascii || next.takes_utf8() {
            return Ok(next);
        }
        let hop = next.hop().clone();
        next.reset();
        let reply = Missing::SmtpUtf8Header.refusal().reply;
        Err(self.stop(Setback::refused(hop, reply)))
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

    /// DATA, and the fields that we add. Only a next hop that refused in so many words is spared
    /// the loss of its connection: after anything else nobody knows what it waits for.
    async fn begin_data(
        &mut self,
        live: &Live,
        mut next: NextHop,
        edits: Edits,
    ) -> Result<NextHop, Stop> {
        let fields = self.added_fields(live, &next, edits);
        let beginning = async {
            next.data().await?;
            next.write(fields.as_bytes()).await
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
    async fn pass_held(
        &mut self,
        next: &mut NextHop,
        intake: &mut Intake,
        editor: &mut Editor,
    ) -> Result<(), Stop> {
        let passing = async {
            loop {
                let chunk = intake.held.next().await.map_err(unreadable)?;
                if chunk.is_empty() {
                    return Ok(());
                }
                next.write(&editor.pass(&chunk)).await?;
            }
        };
        self.while_there(passing).await
    }

    /// What leaves out of the client's header section what does not go on.
    fn editor(&self, edits: Edits) -> Editor {
        Editor::new(self.shared.host_name.as_str(), edits)
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
