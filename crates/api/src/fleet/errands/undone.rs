//! Why an errand was not done, in words for people.

use sekisho_policy::errand::Failure;
use serde::{Deserialize, Serialize};

/// Why there is no answer of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Undone {
    NobodyConnected,
    /// Nobody asked for something to do in time.
    NotTaken,
    /// Somebody did, and was not heard of again.
    NotAnswered,
    /// Too much waits already.
    TooMany,
    /// Nobody is known to hold the lease, or who does cannot be asked.
    NoHolder,
    /// It was asked, and was not heard of again.
    HolderSilent,
    /// One proxy of several does not know what the others counted.
    EachCountsAlone {
        proxies: usize,
    },
    Failed(Failure),
}

impl Undone {
    /// What is said of a gateway.
    pub(crate) fn words(self, gateway: &str) -> String {
        match self {
            Self::NobodyConnected => format!("no proxy of {gateway} is connected"),
            Self::NotTaken => format!(
                "no proxy of {gateway} answered: those that are connected are cut off, or older than this control plane"
            ),
            Self::NotAnswered => {
                format!("a proxy of {gateway} was asked, and did not answer in time")
            }
            Self::TooMany => format!("too much is asked of {gateway} at once; try again"),
            Self::NoHolder => {
                "no replica of the control plane that holds the lease can be asked now; try again"
                    .to_owned()
            }
            Self::HolderSilent => {
                "the replica of the control plane that holds the lease was asked, and did not answer in time"
                    .to_owned()
            }
            Self::EachCountsAlone { proxies } => format!(
                "each of the {proxies} proxies of {gateway} counts for itself (counters in memory), and none knows what the others counted"
            ),
            Self::Failed(Failure::CountersSilent) => {
                format!("the counters of {gateway} do not answer now; try again")
            }
            Self::Failed(Failure::NotRunning) => {
                format!("a proxy of {gateway} was asked that has no rules in force yet; try again")
            }
            Self::Failed(Failure::NotUnderstood) => {
                format!("a proxy of {gateway} was asked that is older than this control plane")
            }
        }
    }

    /// Whether it is certain that no proxy did it.
    pub(crate) fn is_certain(self) -> bool {
        !matches!(self, Self::NotAnswered | Self::HolderSilent)
    }
}
