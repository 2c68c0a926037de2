//! One contract suite for every implementation, and what is special to each.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::print_stderr,
    reason = "what was measured, for whoever reads it"
)]

mod abuse;
mod contract;
mod disowned;
mod memory;
mod model;
mod ops;
mod redis;
mod windows;

use sekisho_counters::{Counters, Limits};

contract::suite!(in_memory, async { Counters::memory(Limits::default()) });
