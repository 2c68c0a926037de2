//! Login guards over a fleet: real proxies, one Redis, one backend that counts what it is asked, and attackers who spread what they try over
//! sources and proxies.
#![expect(
    clippy::print_stderr,
    reason = "what was counted, for whoever reads it"
)]

mod attacks;
mod backend;
mod existence;
mod fleet;
mod growth;
mod outage;
mod stale;
mod stuffing;
