//! A session that never was, judged by the engine of a running gateway: what `explain` and `test` have in common.

mod message;
mod place;
mod session;

pub(crate) use message::Message;
pub(crate) use place::{listener, lookup, source_of};
pub(crate) use session::{Client, Given, Lookups, Session, Submission, Tallies, World, address};
