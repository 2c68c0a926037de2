//! Why an engine gave no score, and what that says: of the message, or of the engine altogether.

use std::fmt;
use std::io;

use sekisho_policy::Opinion;
use sekisho_policy::opinion::EngineFault;
use sekisho_runtime::metrics::ClassifierResult;

use crate::dns::DnsFailure;

/// Why there is no score.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Its name leads nowhere.
    Unresolved(DnsFailure),
    /// Nobody takes connections there.
    Unreachable(io::Error),
    /// It is left alone for a while.
    Suspended,
    /// It did not manage this message.
    Fault(EngineFault),
    /// The message could not be read from where it is held.
    Unreadable,
}

impl Trouble {
    pub(super) const TIMEOUT: Self = Self::Fault(EngineFault::Timeout);

    pub(super) fn opinion(&self) -> Opinion {
        match self {
            Self::Unresolved(_) | Self::Unreachable(_) | Self::Suspended => Opinion::Out,
            Self::Fault(fault) => Opinion::Failed(*fault),
            // The engine saw a message that broke off.
            Self::Unreadable => Opinion::Failed(EngineFault::Broken),
        }
    }

    /// What is counted.
    pub(super) fn result(&self) -> ClassifierResult {
        match self {
            Self::Unresolved(_) | Self::Unreachable(_) => ClassifierResult::Unreachable,
            Self::Suspended => ClassifierResult::Suspended,
            Self::Unreadable => ClassifierResult::Abandoned,
            Self::Fault(fault) => match fault {
                EngineFault::Timeout => ClassifierResult::Timeout,
                EngineFault::Busy => ClassifierResult::Busy,
                EngineFault::Refused => ClassifierResult::Refused,
                EngineFault::Broken => ClassifierResult::Broken,
                EngineFault::BadAnswer => ClassifierResult::BadAnswer,
            },
        }
    }
}

impl From<EngineFault> for Trouble {
    fn from(fault: EngineFault) -> Self {
        Self::Fault(fault)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved(failure) => write!(f, "its name cannot be resolved: {failure}"),
            Self::Unreachable(error) => write!(f, "cannot connect: {error}"),
            Self::Suspended => f.write_str("is left alone for a while"),
            Self::Fault(fault) => fault.fmt(f),
            Self::Unreadable => f.write_str("the message cannot be read from where it is held"),
        }
    }
}
