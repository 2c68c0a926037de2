//! The greeting: the connection is judged before a word is said. Who talks before it is hardly a mail program, and rules
//! can say what comes of that.

use std::sync::Arc;

use sekisho_policy::event::{BeforeGreeting, Stage};
use sekisho_policy::record::End;
use sekisho_runtime::metrics::Detection;
use sekisho_smtp::Reply;
use tokio::time::Instant;

use super::io::Gone;
use super::stream::Transport;
use super::{Flow, Session, refused};
use crate::engine::Judged;
use crate::live::Live;

impl<S: Transport> Session<S> {
    /// Judges the connection and greets.
    pub(super) async fn greet(&mut self) -> Result<Flow, Gone> {
        if self.shared.shutdown.is_draining() {
            return Err(Gone::Draining);
        }
        let live = self.live();
        let asks = live.rules.reads_before_greeting();
        if !self.hear_early_talk().await && asks {
            let until = Instant::now() + self.shared.limits.early_talk;
            tokio::select! {
                biased;
                () = self.shared.shutdown.draining() => return Err(Gone::Draining),
                () = self.wire.wait_for_talk(until) => {}
            }
            self.hear_early_talk().await;
        }
        let heard = self.facts.before_greeting;
        let judged = self.judge_connection(&live).await;
        // It may have taken long enough for the client to talk meanwhile.
        self.hear_early_talk().await;
        if asks && heard != self.facts.before_greeting && refused(&judged).is_none() {
            self.take_back(judged).await;
            return self.welcome().await;
        }
        self.say_welcome(&live, judged)
    }

    /// Judges the connection as it is known now and says 220, as after XCLIENT.
    pub(super) async fn welcome(&mut self) -> Result<Flow, Gone> {
        let live = self.live();
        let judged = self.judge_connection(&live).await;
        self.say_welcome(&live, judged)
    }

    async fn judge_connection(&mut self, live: &Live) -> Judged {
        let judged = self.judge(live, self.event(Stage::Connect)).await;
        self.pause(&judged).await;
        judged
    }

    /// Notes that the client talks before its turn; whether it does, or did.
    async fn hear_early_talk(&mut self) -> bool {
        if self.facts.before_greeting == BeforeGreeting::Silent && self.wire.talks_already().await {
            self.shared.metrics.detected(Detection::EarlyTalker);
            Arc::make_mut(&mut self.facts).before_greeting = BeforeGreeting::Talked;
        }
        self.facts.before_greeting == BeforeGreeting::Talked
    }

    fn say_welcome(&mut self, live: &Live, judged: Judged) -> Result<Flow, Gone> {
        if let Some(flow) = self.enough() {
            return Ok(flow);
        }
        let Some(refusal) = refused(&judged) else {
            let greeting = format!("{} ESMTP Sekisho", self.shared.host_name.as_str());
            return Ok(self.say(&Reply::plain(220, greeting)));
        };
        let reply = closing(refusal);
        self.say(&reply);
        self.record_alone(
            live,
            judged.step,
            End::RefusedByPolicy {
                reply: reply.to_string(),
            },
        );
        Ok(Flow::Close)
    }
}

/// A greeting can only be 220, 421 or 554 (RFC 5321 4.2.2, 3.1): the refusal in one of these.
fn closing(refusal: Reply) -> Reply {
    if matches!(refusal.code(), 421 | 554) {
        return refusal;
    }
    let code = if refusal.is_permanent() { 554 } else { 421 };
    Reply::multiline(code, refusal.enhanced(), refusal.lines().to_vec())
}
