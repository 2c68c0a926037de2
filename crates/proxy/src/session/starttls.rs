//! STARTTLS (RFC 3207): what came before it is forgotten, what came with it is discarded.

use std::sync::Arc;

use sekisho_policy::event::{HeloForm, Tls};
use sekisho_runtime::metrics::{Detection, HandshakeError, Transport as Protection};
use sekisho_runtime::tls::handshake_error;
use sekisho_smtp::Reply;
use tokio::time::timeout_at;

use super::io::{Gone, Wire};
use super::stream::{Stream, Transport};
use super::{Flow, Session};

impl<S: Transport> Session<S> {
    pub(super) async fn starttls(&mut self) -> Result<Flow, Gone> {
        let Some(config) = self.door.tls_config.clone() else {
            return Ok(self.say(&Reply::new(454, (4, 7, 0), "TLS is not available now")));
        };
        let Ok(shaking) = self.place.shake(&self.limits) else {
            self.shared.metrics.detected(Detection::TooManyConnections);
            return Ok(self.say(&Reply::new(454, (4, 7, 0), "TLS is not available now")));
        };
        self.say(&Reply::new(220, (2, 0, 0), "Begin TLS"));
        let reply_by = self.reply_by();
        self.wire.flush(reply_by).await?;
        let wire = self.rewire(Stream::Gone);
        let (plain, injected) = wire.into_stream();
        if injected > 0 {
            self.shared.metrics.detected(Detection::StartTlsInjection);
        }
        let until = self.until(self.shared.limits.handshake);
        let door = Arc::clone(&self.door);
        let securing = plain.secure(config, door.certificates.as_deref(), &self.shared.hellos);
        let secured = tokio::select! {
            biased;
            secured = timeout_at(until, securing) => secured,
            () = self.shared.shutdown.aborting() => return Err(Gone::Draining),
        };
        match secured {
            Ok(Ok(secured)) => drop(self.rewire(secured)),
            Ok(Err(error)) => return Ok(self.fail_handshake(handshake_error(&error))),
            Err(_) => return Ok(self.fail_handshake(HandshakeError::Timeout)),
        }
        drop(shaking);
        self.forget();
        Ok(Flow::On)
    }

    /// Another stream from now on; what was received by the one before is not looked at.
    fn rewire(&mut self, stream: Stream<S>) -> Wire<Stream<S>> {
        let wire = Wire::new(stream, self.live().memory.claim());
        std::mem::replace(&mut self.wire, wire)
    }

    fn fail_handshake(&self, error: HandshakeError) -> Flow {
        self.door.metrics.handshake_failed(error);
        Flow::Close
    }

    /// The client has to introduce itself anew: nothing said in the clear counts.
    fn forget(&mut self) {
        self.grammar.tls_started();
        self.open.secured(Protection::StartTls);
        self.account = None;
        self.caller.forget_login();
        let facts = Arc::make_mut(&mut self.facts);
        facts.tls = Tls::On;
        facts.helo = None;
        facts.helo_form = HeloForm::Unsaid;
        self.identify();
    }
}
