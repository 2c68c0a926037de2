//! The `sekisho` binary from the outside: its tools, and everything in one process from files.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod abuse;
mod account;
mod attack;
mod cases;
mod client;
mod http;
mod inject;
mod policy_tests;
mod restricting;
mod running;
mod settings;
mod tools;
mod up;
