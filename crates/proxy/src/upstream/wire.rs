//! Lines out, replies in. Everything that a next hop may do wrong with its octets is noticed here.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use sekisho_smtp::Reply;
use sekisho_smtp::reply::{ReplyParser, ReplyProgress};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout_at;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};
use zeroize::Zeroize as _;

use super::deadlines::Until;
use super::failure::Fault;
use super::stream::Stream;

/// Octets read at a time.
const READ: usize = 2048;
/// Octets of replies that may lie unread while commands are being written.
const MAX_UNREAD: usize = 256 * 1024;
/// Octets of the output buffer that are kept between messages.
const KEPT_OUTPUT: usize = 8 * 1024;

/// A stream with what was read and not yet taken, and what is to be written.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Option<Stream>,
    input: BytesMut,
    parser: ReplyParser,
    /// What the next [`Wire::flush`] writes.
    pub(super) output: Vec<u8>,
}

/// What it means that the peer speaks while we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meanwhile {
    /// It answers pipelined commands.
    Replies,
    /// It interrupts a message.
    Interruption,
}

/// A write that failed.
#[derive(Debug)]
pub(super) struct WriteFailure {
    pub(super) fault: Fault,
    pub(super) sent: Sent,
}

/// How much of the output the peer can have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The end of it was surely not sent.
    InPart,
    /// All of it may have arrived.
    PerhapsAll,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream: Some(stream),
            input: BytesMut::new(),
            parser: ReplyParser::default(),
            output: Vec::new(),
        }
    }

    /// The stream; `None` only after a TLS handshake that failed.
    pub(super) fn stream(&self) -> Option<&Stream> {
        self.stream.as_ref()
    }

    /// Writes one command and reads its reply.
    pub(super) async fn ask(&mut self, command: &[u8], until: Until) -> Result<Reply, Fault> {
        self.output.extend_from_slice(command);
        self.send(until).await?;
        self.reply(until).await
    }

    /// Writes the commands in the output.
    pub(super) async fn send(&mut self, until: Until) -> Result<(), Fault> {
        self.flush(Meanwhile::Replies, until)
            .await
            .map_err(|failure| failure.fault)
    }

    /// Reads one reply.
    pub(super) async fn reply(&mut self, until: Until) -> Result<Reply, Fault> {
        loop {
            if let Some(reply) = self.buffered_reply()? {
                return Ok(reply);
            }
            match timeout_at(until.at, poll_fn(|cx| self.poll_fill(cx))).await {
                Ok(Ok(0)) => return Err(Fault::Closed),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(broken(error)),
                Err(_) => return Err(until.fault()),
            }
        }
    }

    /// The next reply, if it has been read in full.
    fn buffered_reply(&mut self) -> Result<Option<Reply>, Fault> {
        if self.input.is_empty() {
            return Ok(None);
        }
        match self.parser.feed(&self.input)? {
            ReplyProgress::NeedMore => {
                self.input.clear();
                Ok(None)
            }
            ReplyProgress::Done { consumed, reply } => {
                self.input.advance(consumed);
                Ok(Some(reply))
            }
        }
    }

    /// Writes all of the output. After a failure the connection is of no more use.
    pub(super) async fn flush(
        &mut self,
        meanwhile: Meanwhile,
        until: Until,
    ) -> Result<(), WriteFailure> {
        let mut written = 0;
        while written < self.output.len() {
            let step = timeout_at(
                until.at,
                poll_fn(|cx| self.poll_write(cx, written, meanwhile)),
            )
            .await;
            written += step
                .unwrap_or_else(|_| Err(until.fault()))
                .map_err(|fault| WriteFailure {
                    fault,
                    sent: Sent::InPart,
                })?;
        }
        let flushed = match timeout_at(until.at, poll_fn(|cx| self.poll_flush(cx))).await {
            Ok(flushed) => flushed.map_err(broken),
            Err(_) => Err(until.fault()),
        };
        self.output.clear();
        flushed.map_err(|fault| WriteFailure {
            fault,
            sent: Sent::PerhapsAll,
        })
    }

    /// Writes what the peer takes. Where it takes nothing, it is listened to: it may wait for us to read its replies,
    /// or have refused the message and stopped reading.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        from: usize,
        meanwhile: Meanwhile,
    ) -> Poll<Result<usize, Fault>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Err(Fault::Closed));
        };
        match Pin::new(stream).poll_write(cx, &self.output[from..]) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Err(Fault::Closed)),
            Poll::Ready(Ok(taken)) => return Poll::Ready(Ok(taken)),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(error))),
            Poll::Pending => {}
        }
        while self.input.len() < MAX_UNREAD {
            match std::task::ready!(self.poll_fill(cx)) {
                Ok(0) => return Poll::Ready(Err(Fault::Closed)),
                Ok(_) if meanwhile == Meanwhile::Interruption => {
                    return Poll::Ready(Err(Fault::Unsolicited));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(broken(error))),
            }
        }
        Poll::Pending
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_flush(cx),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Ok(0));
        };
        let mut octets = [0; READ];
        let mut buffer = ReadBuf::new(&mut octets);
        std::task::ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        self.input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Whether the peer has said nothing that was not asked for, and is still there.
    ///
    /// # Errors
    /// [`Fault::Unsolicited`], [`Fault::Closed`] or [`Fault::Broken`]: the connection is out of step.
    pub(super) fn check_silence(&mut self) -> Result<(), Fault> {
        if !self.input.is_empty() || self.parser.is_mid_reply() {
            return Err(Fault::Unsolicited);
        }
        let Some(stream) = &self.stream else {
            return Err(Fault::Closed);
        };
        let silent = stream.is_silent();
        if silent == Some(true) && !stream.is_tls() {
            return Ok(());
        }
        match self.poll_fill(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending if silent != Some(false) => Ok(()),
            // The kernel has the end of the stream, or octets, of which the reactor has not heard yet.
            Poll::Pending | Poll::Ready(Ok(0)) => Err(Fault::Closed),
            Poll::Ready(Ok(_)) => Err(Fault::Unsolicited),
            Poll::Ready(Err(error)) => Err(broken(error)),
        }
    }

    /// What the peer said when it interrupted: its refusal, if it is one that has arrived in full.
    pub(super) fn interruption(&mut self) -> Option<Reply> {
        // What else there is to read; nothing is waited for.
        while let Poll::Ready(Ok(1..)) = self.poll_fill(&mut Context::from_waker(Waker::noop())) {
            if self.input.len() > MAX_UNREAD {
                break;
            }
        }
        self.buffered_reply()
            .ok()
            .flatten()
            .filter(|reply| reply.is_transient() || reply.is_permanent())
    }

    /// Whether what lies unread is the farewell of a server that closes (RFC 5321 3.8).
    pub(super) fn holds_farewell(&self) -> bool {
        self.input.starts_with(b"421")
    }

    /// Wipes what was written: it held a password.
    pub(super) fn forget_output(&mut self) {
        self.output.zeroize();
    }

    /// Gives back the memory that a message needed.
    pub(super) fn rest(&mut self) {
        self.output.shrink_to(KEPT_OUTPUT);
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_tls)
    }

    /// Begins TLS. What came before it in clear text is discarded: somebody may have put it there (RFC 3207 6).
    pub(super) async fn secure(
        &mut self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        until: Until,
    ) -> Result<(), Fault> {
        self.input.clear();
        self.parser = ReplyParser::default();
        let stream = self.stream.take().ok_or(Fault::Closed)?;
        match timeout_at(until.at, stream.secure(config, name)).await {
            Ok(stream) => self.stream = Some(stream.map_err(refused)?),
            Err(_) => return Err(until.fault()),
        }
        Ok(())
    }

    /// Says QUIT without waiting for anything; whether it arrives does not matter.
    pub(super) fn say_goodbye(mut self) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let cx = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(Ok(_)) = Pin::new(&mut *stream).poll_write(cx, b"QUIT\r\n") {
            let _ = Pin::new(stream).poll_shutdown(cx);
        }
    }
}

fn refused(error: io::Error) -> Fault {
    let cause = error.get_ref();
    match cause.and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => Fault::Certificate(error),
        _ => Fault::Tls(error),
    }
}

fn broken(error: io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Fault::Closed,
        _ => Fault::Broken(error),
    }
}
