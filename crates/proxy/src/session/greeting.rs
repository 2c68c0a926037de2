//! The greeting: the connection is judged before a word is said. Who talks before it is hardly a mail program, and rules
//! can say what comes of that.

use std::sync::Arc;

use sekisho_policy::event::{BeforeGreeting, Stage};
use sekisho_policy::record::End;
use sekisho_runtime::metrics::Detection;
use sekisho_smtp::Reply;

use super::io::Gone;
use super::stream::Transport;
use super::{Flow, Session, refused};

impl<S: Transport> Session<S> {
    /// Judges the connection and greets.
    pub(super) async fn greet(&mut self) -> Result<Flow, Gone> {
        if self.shared.shutdown.is_draining() {
            return Err(Gone::Draining);
        }
        if self.wire.talks_already().await {
            self.shared.metrics.detected(Detection::EarlyTalker);
            Arc::make_mut(&mut self.facts).before_greeting = BeforeGreeting::Talked;
        }
        self.welcome().await
    }

    /// Judges the connection as it is known now and says 220: at its beginning and after XCLIENT.
    pub(super) async fn welcome(&mut self) -> Result<Flow, Gone> {
        let live = self.live();
        let judged = self.judge(&live, self.event(Stage::Connect)).await;
        self.pause(&judged).await;
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
            &live,
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
