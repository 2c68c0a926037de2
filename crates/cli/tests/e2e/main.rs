//! The `sekisho` binary with the programs that people really use before and behind it.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

mod addresses;
mod ambiguities;
mod clients;
mod corpus;
mod country;
mod engines;
mod interop;
mod mechanisms;
mod pools;
mod postfix;
mod shared_limits;
mod signatures;
mod tokens;
mod up;
