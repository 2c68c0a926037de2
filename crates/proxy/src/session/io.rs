//! The client's connection: bounded buffers that an idle session does not hold, replies gathered until the
//! client waits for them, and a deadline on every wait.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use sekisho_smtp::Reply;
use sekisho_smtp::line::{Expect, LineReader, LineStep};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, timeout_at};

use crate::memory::Claim;

/// Octets taken from the connection at once. They pass over the stack of the worker, not the session's state.
const CHUNK: usize = 16 * 1024;
/// Octets of replies that are gathered before they are sent even though more commands wait.
const GATHER: usize = 8 * 1024;
/// Octets that a client may send ahead while its message is on its way; what is beyond stays in the network.
const AHEAD: usize = 64 * 1024;

/// How long, and for how much, a client may still talk after our last words.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_OCTETS: usize = 1024 * 1024;

/// The client cannot be talked to any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Gone {
    #[error("the client closed the connection")]
    Closed,
    #[error("the client was silent for too long")]
    Silent,
    #[error("the client does not take its replies")]
    Stalled,
    /// Not the client: the process ends.
    #[error("the proxy shuts down")]
    Draining,
    /// The last reply was given, and it closes the connection.
    #[error("the session was ended")]
    Finished,
    /// Nothing that could be answered would be surely true.
    #[error("the client is left without an answer")]
    Unanswered,
}

/// What was taken from the buffer.
#[derive(Debug)]
pub(crate) enum Taken<T> {
    Line(T),
    Fault(sekisho_smtp::Error),
    /// No complete line is there.
    Incomplete,
}

/// A client's connection with its buffers.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    input: Vec<u8>,
    /// Octets at the front of `input` that were dealt with.
    taken: usize,
    output: Vec<u8>,
    lines: LineReader,
    /// What is kept of octets that the client sent ahead of time.
    ahead: Claim,
}

impl<S> Wire<S> {
    pub(crate) fn new(stream: S, ahead: Claim) -> Self {
        Self {
            stream,
            input: Vec::new(),
            taken: 0,
            output: Vec::new(),
            lines: LineReader::new(),
            ahead,
        }
    }

    /// The connection, and how many octets were received that nobody looked at: they are discarded.
    pub(crate) fn into_stream(self) -> (S, usize) {
        (self.stream, self.input.len() - self.taken)
    }

    /// The connection.
    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    /// What was received and not dealt with.
    pub(crate) fn received(&self) -> &[u8] {
        &self.input[self.taken..]
    }

    /// Deals with the first `count` octets of [`Wire::received`].
    pub(crate) fn consume(&mut self, count: usize) {
        self.taken = (self.taken + count).min(self.input.len());
        if self.taken == self.input.len() {
            self.input.clear();
            self.taken = 0;
            self.ahead.release();
        }
    }

    /// Takes the next line that is complete already, read by `parse`.
    pub(crate) fn take_line<T>(
        &mut self,
        expect: Expect,
        parse: impl FnOnce(&[u8]) -> T,
    ) -> Taken<T> {
        loop {
            let before = self.input.len() - self.taken;
            let (consumed, taken) = match self.lines.next(&self.input[self.taken..], expect) {
                LineStep::Line { line, consumed } => (consumed, Taken::Line(parse(line))),
                LineStep::Fault { error, consumed } => (consumed, Taken::Fault(error)),
                LineStep::NeedMore { consumed } => {
                    self.consume(consumed);
                    // After the end of a refused line there may be a good one.
                    if consumed > 0 && consumed < before {
                        continue;
                    }
                    return Taken::Incomplete;
                }
            };
            self.consume(consumed);
            return taken;
        }
    }

    /// Looks at the next line, if it is complete, and leaves it where it is.
    pub(crate) fn peek_line<T>(&self, expect: Expect, parse: impl FnOnce(&[u8]) -> T) -> Option<T> {
        match self.lines.clone().next(self.received(), expect) {
            LineStep::Line { line, .. } => Some(parse(line)),
            LineStep::Fault { .. } | LineStep::NeedMore { .. } => None,
        }
    }

    /// Gathers a reply; it leaves at the next [`Wire::fill`] or [`Wire::flush`].
    pub(crate) fn reply(&mut self, reply: &Reply) {
        reply.write_to(&mut self.output);
    }

    /// Gives back the memory of empty buffers: the session waits, perhaps for minutes.
    pub(super) fn release(&mut self) {
        if self.input.is_empty() {
            self.input = Vec::new();
            self.ahead.release();
        }
        if self.output.is_empty() {
            self.output = Vec::new();
        }
    }

    /// Whether so many replies are gathered that they should leave.
    pub(crate) fn is_laden(&self) -> bool {
        self.output.len() >= GATHER
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Sends what is gathered, then waits for more from the client.
    pub(crate) async fn fill(&mut self, reply_by: Instant, until: Instant) -> Result<(), Gone> {
        self.flush(reply_by).await?;
        let read = timeout_at(until, poll_fn(|cx| self.poll_fill(cx))).await;
        match read.map_err(|_| Gone::Silent)? {
            0 => Err(Gone::Closed),
            _ => Ok(()),
        }
    }

    /// Sends what is gathered.
    pub(crate) async fn flush(&mut self, by: Instant) -> Result<(), Gone> {
        if self.output.is_empty() {
            return Ok(());
        }
        let send = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        let sent = timeout_at(by, send).await;
        self.output.clear();
        sent.map_err(|_| Gone::Stalled)?.map_err(|_| Gone::Closed)
    }

    /// Sends what is gathered while something is done that its reader need not wait for, and that is done whether or not he reads.
    pub(crate) async fn flush_meanwhile<T>(
        &mut self,
        by: Instant,
        doing: impl Future<Output = T>,
    ) -> (T, Result<(), Gone>) {
        let (flushed, done) = tokio::join!(self.flush(by), doing);
        (done, flushed)
    }

    /// Says goodbye to the transport, so that a client under TLS can tell the end from a cut. Then waits a moment for the
    /// client to close too: closing on octets that nobody read would reset the connection, and the client might never see
    /// our last words.
    pub(crate) async fn close(&mut self, by: Instant) {
        if self.flush(by).await.is_err() || timeout_at(by, self.stream.shutdown()).await.is_err() {
            return;
        }
        let linger = async {
            let mut unread = 0;
            while unread < LINGER_OCTETS {
                let read = poll_fn(|cx| self.poll_fill(cx)).await;
                self.consume(self.input.len());
                unread += read;
                if read == 0 {
                    return;
                }
            }
        };
        let _ = timeout_at((Instant::now() + LINGER).min(by), linger).await;
    }

    /// Resolves when the client has gone while we work for it. What it sends meanwhile is kept, up to a bound.
    ///
    /// A client that sent further commands and then closed its sending side may still be listening (scripts do
    /// that), so it counts as gone only if it left nothing to be answered.
    pub(crate) async fn gone(&mut self) {
        loop {
            let received = self.input.len() - self.taken;
            // What cannot be kept stays in the network.
            if received >= AHEAD || !self.ahead.grow_to((received + CHUNK) as u64) {
                return std::future::pending().await;
            }
            let read = poll_fn(|cx| self.poll_fill(cx)).await;
            if read == 0 {
                if self.received().is_empty() {
                    return;
                }
                return std::future::pending().await;
            }
        }
    }

    /// Whether something has arrived that nobody waited for.
    pub(crate) async fn talks_already(&mut self) -> bool {
        !self.received().is_empty()
            || poll_fn(|cx| Poll::Ready(matches!(self.poll_fill(cx), Poll::Ready(1..)))).await
    }

    /// Waits until the client talks or goes away, but no longer than `until`.
    pub(crate) async fn wait_for_talk(&mut self, until: Instant) {
        let _ = timeout_at(until, poll_fn(|cx| self.poll_fill(cx))).await;
    }

    /// Reads once into `input`; 0 is the end of the stream, broken connections included.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let mut room = [const { MaybeUninit::<u8>::uninit() }; CHUNK];
        let mut chunk = ReadBuf::uninit(&mut room);
        match Pin::new(&mut self.stream).poll_read(cx, &mut chunk) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(0),
            Poll::Pending => {
                self.release();
                return Poll::Pending;
            }
        }
        let chunk = chunk.filled();
        self.input.drain(..self.taken);
        self.taken = 0;
        self.input.extend_from_slice(chunk);
        Poll::Ready(chunk.len())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::memory::MessageMemory;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    fn line<S>(wire: &mut Wire<S>) -> Option<String> {
        match wire.take_line(Expect::Command, |line| {
            String::from_utf8_lossy(line).into_owned()
        }) {
            Taken::Line(line) => Some(line),
            Taken::Fault(error) => Some(format!("fault: {error}")),
            Taken::Incomplete => None,
        }
    }

    #[tokio::test]
    async fn replies_of_a_group_leave_together_when_the_client_waits() {
        let (mut client, server) = tokio::io::duplex(4096);
        let mut wire = Wire::new(server, MessageMemory::new(1 << 20).claim());
        client.write_all(b"NOOP\r\nRSET\r\nQU").await.unwrap();
        wire.fill(soon(), soon()).await.unwrap();
        assert_eq!(line(&mut wire).as_deref(), Some("NOOP"));
        assert_eq!(line(&mut wire).as_deref(), Some("RSET"));
        assert_eq!(line(&mut wire), None);
        wire.reply(&Reply::plain(250, "one"));
        wire.reply(&Reply::plain(250, "two"));
        let (filled, read) = tokio::join!(wire.fill(soon(), soon()), async {
            let mut replies = vec![0; 18];
            client.read_exact(&mut replies).await.unwrap();
            client.write_all(b"IT\r\n").await.unwrap();
            replies
        });
        filled.unwrap();
        assert_eq!(read, b"250 one\r\n250 two\r\n");
        assert_eq!(line(&mut wire).as_deref(), Some("QUIT"));
    }

    #[tokio::test]
    async fn buffers_are_given_back_while_waiting() {
        let (mut client, server) = tokio::io::duplex(4096);
        let mut wire = Wire::new(server, MessageMemory::new(1 << 20).claim());
        client.write_all(b"NOOP\r\n").await.unwrap();
        wire.fill(soon(), soon()).await.unwrap();
        assert!(line(&mut wire).is_some());
        let idle = Instant::now() + Duration::from_millis(1);
        assert_eq!(wire.fill(soon(), idle).await, Err(Gone::Silent));
        assert_eq!((wire.input.capacity(), wire.output.capacity()), (0, 0));
    }

    #[tokio::test]
    async fn a_client_that_left_commands_behind_is_not_gone() {
        let (mut client, server) = tokio::io::duplex(4096);
        let mut wire = Wire::new(server, MessageMemory::new(1 << 20).claim());
        client.write_all(b"QUIT\r\n").await.unwrap();
        client.shutdown().await.unwrap();
        assert!(
            tokio::time::timeout(Duration::from_millis(5), wire.gone())
                .await
                .is_err()
        );
        assert_eq!(line(&mut wire).as_deref(), Some("QUIT"));
        wire.gone().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_hears_before_what_follows_is_done_and_it_is_done_if_nobody_listens() {
        let (mut client, server) = tokio::io::duplex(16);
        let mut wire = Wire::new(server, MessageMemory::new(1 << 20).claim());
        wire.reply(&Reply::plain(250, "taken"));
        let counting = async {
            let mut heard = [0; 11];
            client.read_exact(&mut heard).await.unwrap();
            heard
        };
        let (heard, told) = wire.flush_meanwhile(soon(), counting).await;
        assert_eq!((&heard, told), (b"250 taken\r\n", Ok(())));
        wire.reply(&Reply::plain(250, "longer than the pipe is wide"));
        let (counted, told) = wire.flush_meanwhile(soon(), async { "counted" }).await;
        assert_eq!((counted, told), ("counted", Err(Gone::Stalled)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_given_up() {
        let (_client, server) = tokio::io::duplex(16);
        let mut wire = Wire::new(server, MessageMemory::new(1 << 20).claim());
        wire.reply(&Reply::plain(250, "longer than the pipe is wide"));
        assert_eq!(wire.flush(soon()).await, Err(Gone::Stalled));
    }
}
