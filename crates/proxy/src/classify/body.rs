//! A held message as the body of an HTTP request.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::held::{Content, Reader};

/// What is read next, and the reader back.
type Reading = Pin<Box<dyn Future<Output = (Reader, io::Result<Bytes>)> + Send + Sync>>;

/// Streams a message, wherever it is held.
pub(super) struct MessageBody {
    left: u64,
    reading: Reading,
    at_end: Progress,
}

/// How far a body has got, once HTTP has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<AtomicBool>);

impl Progress {
    /// Whether all of it was taken to be sent.
    pub(super) fn is_at_end(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl MessageBody {
    pub(super) fn new(message: &Content) -> Self {
        Self {
            left: message.octets(),
            reading: read(message.reader()),
            at_end: Progress(Arc::new((message.octets() == 0).into())),
        }
    }

    pub(super) fn progress(&self) -> Progress {
        self.at_end.clone()
    }
}

impl fmt::Debug for MessageBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageBody")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

fn read(mut reader: Reader) -> Reading {
    Box::pin(async move {
        let chunk = reader.next().await;
        (reader, chunk)
    })
}

impl Body for MessageBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let (reader, chunk) = ready!(self.reading.as_mut().poll(context));
        self.reading = read(reader);
        Poll::Ready(Some(chunk.and_then(|chunk| {
            if chunk.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.left = self.left.saturating_sub(chunk.len() as u64);
            if self.left == 0 {
                self.at_end.0.store(true, Ordering::Release);
            }
            Ok(Frame::data(chunk))
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
