//! Services that say who somebody is. They are as little trusted as a client is: what they answer is read strictly.

mod authorities;

use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

pub(super) use authorities::Authorities;

use super::Tools;
use crate::outbound::{self, Answer, NoAnswer, Url};

/// Requests to one service at a time; the others wait for their turn.
const AT_ONCE: usize = 32;
/// What one request may take, unless whoever asks has less time. A client waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a service gave no answer that counts.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteFault {
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    #[error("its authorities are not there: {0}")]
    Authorities(String),
    #[error("the Secret {0} is not there, or has no value that serves")]
    Secret(String),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its answer is none: {0}")]
    Answer(&'static str),
    #[error("it failed a moment ago")]
    Resting,
}

/// One service.
#[derive(Debug)]
pub(super) struct Service {
    tools: Tools,
    authorities: Authorities,
    turns: Semaphore,
}

/// The body of a good answer.
pub(super) fn good(answer: Answer) -> Result<Bytes, RemoteFault> {
    match answer.status {
        StatusCode::OK => Ok(answer.body),
        status => Err(RemoteFault::Status(status)),
    }
}

impl Service {
    /// A service whose certificates must lead to the authorities of a Secret, or else to those of the process.
    pub(super) fn new(tools: Tools, ca: Option<&str>) -> Self {
        Self {
            tools,
            authorities: Authorities::new(ca),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// Sends a request, whose path and host are those of `url`, and reads the answer of `most` octets.
    pub(super) async fn ask(
        &self,
        url: &Url,
        request: Request<Full<Bytes>>,
        most: usize,
        deadline: Instant,
    ) -> Result<Answer, RemoteFault> {
        let deadline = deadline.min(Instant::now() + PATIENCE);
        let Ok(Ok(_turn)) = timeout_at(deadline, self.turns.acquire()).await else {
            return Err(NoAnswer::Timeout.into());
        };
        let tls = match url.is_encrypted() {
            true => self.authorities.config(&self.tools)?,
            false => Arc::clone(&self.tools.tls),
        };
        let dns = &self.tools.dns;
        Ok(outbound::ask(url, request, most, dns, &tls, deadline).await?)
    }
}
