//! One contract suite for every implementation, and what is special to each.

mod contract;
mod memory;
mod model;
mod ops;
mod redis;
mod windows;

use sekisho_counters::{Counters, Limits};

contract::suite!(in_memory, async { Counters::memory(Limits::default()) });
