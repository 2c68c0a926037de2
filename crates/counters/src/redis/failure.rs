//! Why Redis did not count, and how often the log says so.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{ErrorKind, RedisError};
use sekisho_policy::op::{Cause, Unavailable};
use tokio::time::Instant;

use super::call::Call;

/// What fails once fails a thousand times; the log says it so often.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Why a call did not get its answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("cannot be reached: {0}")]
    Connection(String),
    /// It answers and does not do as it is told: out of memory, a replica, no rights.
    #[error("refuses: {0}")]
    Refused(String),
    #[error(
        "the key {0} holds what is not of its kind; look at it, and delete it with `redis-cli DEL` to begin anew"
    )]
    Corrupt(String),
    #[error("does not speak as expected: {0}")]
    Protocol(String),
    /// It is not asked for a while.
    #[error("not asked until it answers a probe again: {0}")]
    Open(Arc<str>),
    #[error("{0} calls wait for it already")]
    Crowded(usize),
}

impl Failure {
    /// Reads an error that came for `call`.
    pub(super) fn of(error: &RedisError, call: &Call) -> Self {
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => match error.code() {
                Some("CORRUPT") => Self::corrupt(error, call),
                _ => Self::Refused(error.to_string()),
            },
            ErrorKind::Io
            | ErrorKind::ClusterConnectionNotFound
            | ErrorKind::AuthenticationFailed
            | ErrorKind::RESP3NotSupported => Self::Connection(error.to_string()),
            _ => Self::Protocol(error.to_string()),
        }
    }

    fn corrupt(error: &RedisError, call: &Call) -> Self {
        let at = error.detail().and_then(|detail| {
            let digits: String = detail.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        });
        match at {
            Some(at) => Self::Corrupt(call.key(at).to_owned()),
            None => Self::Protocol(error.to_string()),
        }
    }

    /// Whether it says nothing of the server, and of one key alone.
    pub(super) const fn is_of_one_key(&self) -> bool {
        matches!(self, Self::Corrupt(_))
    }

    /// Whether the next call on the same connection would fail in the same way, whatever became of the server meanwhile. One that
    /// is late may still be on its way.
    pub(super) const fn may_last(&self) -> bool {
        !matches!(self, Self::Timeout(_))
    }

    const fn cause(&self) -> Cause {
        match self {
            Self::Timeout(_) => Cause::Timeout,
            Self::Connection(_) => Cause::Connection,
            Self::Refused(_) => Cause::Refused,
            Self::Corrupt(_) | Self::Protocol(_) => Cause::Protocol,
            Self::Open(_) => Cause::Open,
            Self::Crowded(_) => Cause::Crowded,
        }
    }

    /// As whoever asked is told.
    pub(super) fn unavailable(&self) -> Unavailable {
        Unavailable {
            dependency: "counters (redis)".to_owned(),
            why: self.to_string(),
            cause: self.cause(),
            alone: None,
        }
    }
}

/// Says in the log what fails, now and then.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    of_keys: Mutex<Quiet>,
    of_servers: Mutex<Quiet>,
}

#[derive(Debug, Default)]
struct Quiet {
    said: Option<Instant>,
    unsaid: u64,
}

impl Complaints {
    pub(super) fn note(&self, failure: &Failure) {
        let quiet = match failure {
            // That it is not asked any more was said when that began.
            Failure::Open(_) => return,
            Failure::Corrupt(_) => &self.of_keys,
            _ => &self.of_servers,
        };
        let Some(unsaid) = quiet.lock().unwrap_or_else(PoisonError::into_inner).turn() else {
            return;
        };
        match failure {
            Failure::Corrupt(key) => tracing::error!(
                key,
                unsaid,
                "a key in Redis holds what is not of its kind; what it limits is decided by onUnavailable until somebody \
                 deletes it with `redis-cli DEL`"
            ),
            _ => {
                tracing::warn!(%failure, unsaid, "Redis did not count; onUnavailable of the rules decides")
            }
        }
    }
}

impl Quiet {
    /// How much was left unsaid, if it is time to speak.
    fn turn(&mut self) -> Option<u64> {
        let now = Instant::now();
        let due = self.said.is_none_or(|said| now - said >= SAY_EVERY);
        if due {
            self.said = Some(now);
            return Some(std::mem::take(&mut self.unsaid));
        }
        self.unsaid += 1;
        None
    }
}
