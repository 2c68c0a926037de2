//! Bytes to commands, replies to bytes, the session grammar and message framing.
//!
//! Nothing here opens a socket, reads a clock or waits: bytes come in as slices, and each parser says how many it took.
//! The peer on either side is taken for an attacker, so every parser is bounded and none of them guesses.
#![warn(missing_docs)]

pub mod address;
mod charset;
pub mod command;
pub mod data;
pub mod ehlo;
mod error;
pub mod grammar;
pub mod header;
pub mod line;
pub mod mime;
pub mod proxy_protocol;
pub mod reply;
pub mod sasl;
pub mod xclient;
pub mod xtext;

pub use address::{ForwardPath, Mailbox, ReversePath};
pub use command::Command;
pub use ehlo::Capabilities;
pub use error::Error;
pub use reply::{EnhancedCode, Refusal, Reply, Then};
