//! One contract suite for every implementation, and what is special to the one in memory.

mod contract;
mod memory;
mod model;
mod ops;
mod windows;

use sekisho_counters::{Counters, Limits};

contract::suite!(in_memory, async { Counters::memory(Limits::default()) });
