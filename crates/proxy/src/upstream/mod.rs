//! The way on: which next hop takes a message, over which connection, and what it said.
//!
//! One [`NextHops`] belongs to one snapshot; it is built from the one before it, whose connections, health and
//! slots it takes over where the targets stayed. One [`Caller`] belongs to one client session: whom we speak for,
//! and the connection that serves that session alone (relayed AUTH, PROXY header). One `Transaction` is one message
//! at one next hop; dropping it drops the connection.
//!
//! ```text
//! struct Environment { tls_opportunistic: Arc<ClientConfig>, tls_required: Arc<ClientConfig>, dns: Dns,
//!                      metrics: GatewayMetrics, host_name: ClientName, deadlines: Deadlines }
//! NextHops::load(&Snapshot, Arc<Environment>, Option<&NextHops>) -> Result<NextHops, LoadError>
//! Caller::new(ClientIdentity) -> Caller              // clone-free, lives as long as the client session
//! Caller::identify(&self, ClientIdentity)            // after EHLO, AUTH, XCLIENT: what is known now
//! async NextHops::begin(&self, &Caller, &Destination<'_>, MailCommand, Instant) -> Result<Transaction, Failure>
//!
//! async Transaction::recipients(&mut self, &[RcptCommand]) -> Result<Vec<Reply>, Failure>  // MAIL rides on the first call
//! async Transaction::data(&mut self) -> Result<(), Failure>           // DATA, 354; the relay's own header fields
//! async Transaction::write(&mut self, &[u8]) -> Result<(), Failure>   // message octets, CRLF lines, not dot-stuffed
//! async Transaction::finish(self) -> Result<End, Failure>             // the final dot; Err means: not sent. Never cancel it
//!       Transaction::reset(self)                     // gives the connection back (after Failure::Refused too)
//!       drop(transaction)                            // drops the connection: how to abort inside the message
//!       Transaction::set_deadline(&mut self, Instant)  // for everything before the final dot
//!       Transaction::hop(&self) -> &record::Hop      // `reply` is the last one that was read
//!       Transaction::metrics(&self) -> &PoolMetrics  // count `message(class, bytes)` there after End::Accepted
//!
//! enum End { Accepted(Reply), Refused(Reply), Uncertain(Failure) }
//! Failure::reply(&self) -> Reply       // what the client may be told, without the decision id; close if `is_closing()`
//! Failure::refusal(&self) -> Option<&Reply>   // Some: the next hop itself said no (record it as RefusedByNextHop)
//! Failure::hop(&self) -> Option<&record::Hop>
//! impl Display for Failure             // what the operator must see: address, phase, cause
//! ```

mod connection;
mod deadlines;
mod failure;
mod group;
mod handshake;
mod health;
mod hops;
mod identity;
mod idle;
mod lane;
mod login;
mod slots;
mod stream;
#[cfg(test)]
mod tests;
mod transaction;
mod wire;

pub(crate) use deadlines::Deadlines;
pub(crate) use failure::{Failure, Fault};
pub use hops::LoadError;
pub(crate) use hops::{Destination, Environment, NextHops};
pub(crate) use identity::{Caller, ClientIdentity};
pub(crate) use login::LoginAnswer;
pub(crate) use transaction::{End, Transaction};
