//! Given rules, an event and the tallies it asked for, says what to do and why.
//!
//! Nothing here reads a clock, draws a random number or touches the world: yesterday's events against
//! tomorrow's rules give the same answer on every machine. The way through is
//! [`Event`] → [`Ruleset::needs`] → [`Ruleset::plan`] → counters → [`Plan::decide`].
#![warn(missing_docs)]

pub mod address;
pub mod decision;
pub mod event;
pub mod expr;
pub mod id;
pub mod op;
pub mod record;
pub mod snapshot;
pub mod time;

pub use address::{Account, Address};
pub use decision::{Class, Decision, Finding, Reason, Refusal, Said, Verdict};
pub use event::Event;
pub use id::DecisionId;
pub use op::{Item, Key, Op, Outcome, Results, Unavailable};
pub use record::Record;
pub use snapshot::{Envelope, ObjectRef, Snapshot};
pub use time::{Millis, Timestamp};
