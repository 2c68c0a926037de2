//! Given rules, an event and the tallies it asked for, says what to do and why.
//!
//! Nothing here reads a clock, draws a random number or touches the world: yesterday's events against
//! tomorrow's rules give the same answer on every machine. The way through is
//! [`Event`] → [`Ruleset::needs`] → [`Ruleset::plan`] → counters → [`Plan::decide`].
#![warn(missing_docs)]

pub mod address;
pub mod brake;
mod by_stage;
pub mod content;
mod decide;
pub mod decision;
pub mod envelope;
pub mod errand;
pub mod error;
pub mod event;
pub mod explain;
pub mod expr;
mod expr_eval;
mod field_path;
mod glob;
mod helo;
pub mod id;
pub mod key;
mod load;
mod matching;
pub mod needs;
mod netset;
pub mod op;
pub mod opinion;
pub mod plan;
pub mod record;
mod reply;
pub mod report;
pub mod restriction;
pub mod route;
mod rules;
pub mod ruleset;
mod saw;
mod senders;
pub mod settings;
pub mod signal;
pub mod snapshot;
pub mod states;
pub mod time;
pub mod watch;

pub use address::{Account, Address};
pub use content::ContentNeeds;
pub use decision::{Class, Decision, Finding, Reason, Refusal, Said, Verdict};
pub use error::LoadError;
pub use event::Event;
pub use field_path::FieldPath;
pub use id::DecisionId;
pub use needs::{Need, Needs};
pub use op::{Item, Key, Op, Outcome, Results, Unavailable};
pub use opinion::Opinion;
pub use plan::Plan;
pub use record::Record;
pub use report::{Fleet, Report};
pub use restriction::{Level, Origin, Restriction, Standing};
pub use route::Route;
pub use ruleset::{MessageLimits, Ruleset};
pub use settings::{AccountSettings, Settings};
pub use signal::Signal;
pub use snapshot::{Envelope, ObjectRef, Snapshot};
pub use time::{Millis, Span, Timestamp};
pub use watch::{Seen, Upshot};
