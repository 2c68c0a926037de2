//! What a login counts as before and after a backend is asked, where that is not what the backend says.

use sekisho_policy::event::Stage;
use sekisho_policy::{Account, Item, Op, Reason};

use super::super::Session;
use super::super::stream::Transport;
use crate::engine::Judged;
use crate::live::Live;

impl<S: Transport> Session<S> {
    /// Counts a login as failed before anybody is asked about it; what takes that back. It is taken back from who was right, and from whose
    /// proof nobody has seen. What was passed on stays counted where no answer came, or outages could be used to guess more.
    pub(super) async fn count_as_failed(
        &mut self,
        live: &Live,
        account: &Account,
        password: Option<Item>,
    ) -> Result<Counted, Box<Judged>> {
        let account = account.clone();
        let event = self.event(Stage::LoginShown { account, password });
        if !live.rules.counts_logins_shown(&event) {
            return Ok(Counted::default());
        }
        let judged = self.judge(live, event).await;
        if judged.verdict().refusal().is_some() {
            return Err(Box::new(judged));
        }
        Ok(Counted(live.rules.forgive_login(&judged.step.event)))
    }

    /// The login was right, or nobody has seen what it was: it was no failure.
    pub(super) async fn forgive(&self, live: &Live, counted: Counted) {
        let at = self.shared.now();
        self.shared.engine.note(live, at, &counted.0).await;
    }

    /// Where the account lets nobody in from there, what was shown counts as wrong, whatever it is: nobody may learn by trying that
    /// it was right, nor that there is such an account. What is to be answered.
    pub(super) async fn count_as_wrong(
        &mut self,
        live: &Live,
        claimed: Account,
        password: Option<Item>,
        asked: Judged,
    ) -> Judged {
        let failed = self.judge_failure(live, Some(claimed), password).await;
        let refusal = failed.verdict().refusal();
        if refusal.is_some_and(|refusal| refusal.code != asked_code(&asked)) {
            failed
        } else {
            asked
        }
    }
}

/// Whether a login is refused by what its account has set, which is nobody's business: the client is led on to the end of its exchange,
/// as if it had to be right.
pub(super) fn is_secret(asked: &Judged) -> bool {
    let refusal = asked.verdict().refusal();
    refusal.is_some_and(|refusal| refusal.reason == Reason::AbroadRefused)
}

fn asked_code(asked: &Judged) -> u16 {
    asked
        .verdict()
        .refusal()
        .map_or(535, |refusal| refusal.code)
}

/// What was counted of a login before a backend was asked, as operations that take it back.
#[derive(Debug, Default)]
pub(super) struct Counted(Vec<Op>);
