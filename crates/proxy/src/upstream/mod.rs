//! The way on: which next hop takes a message, over which connection, and what it said.
//!
//! One [`NextHops`] belongs to one snapshot; it is built from the one before it, whose connections, health and
//! slots it takes over where the targets stayed. One [`Caller`] belongs to one client session: whom we speak for,
//! and the connection that serves that session alone (relayed AUTH, PROXY header). One `Transaction` is one message
//! at one next hop; dropping it drops the connection.
//!
//! The way of a message: [`NextHops::begin`] chooses a way (`choice`), takes an idle connection (`idle`) or makes one
//! (`handshake`), and [`Transaction`] speaks over it (`wire` has the octets). What fails is a [`Failure`]: it says what
//! the client may be told, and what the operator must see.
//!
//! A client that logged in at the upstream sends over that connection alone; see [`NextHops::log_in`].

mod balance;
mod choice;
mod connection;
mod deadlines;
mod dial;
mod discreet;
mod endpoint;
mod failure;
mod group;
mod handshake;
mod health;
mod hops;
mod identity;
mod idle;
mod introduce;
mod lane;
mod load;
mod login;
mod oauth;
mod offers;
mod outlier;
mod probe;
mod relay_login;
mod relayed;
mod slots;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod told;
mod transaction;
mod wire;

pub(crate) use deadlines::Deadlines;
pub(crate) use failure::Failure;
#[cfg(test)]
pub(crate) use failure::Fault;
pub(crate) use hops::{Destination, Environment, NextHops};
pub(crate) use identity::{Caller, ClientIdentity};
pub(crate) use load::LoadError;
pub(crate) use login::{LoginAnswer, Shown};
pub(crate) use oauth::Tokens;
pub(crate) use offers::least;
pub(crate) use relayed::RelayedLogin;
pub(crate) use transaction::{End, Transaction};
