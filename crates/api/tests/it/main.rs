//! The fleet's server over real TLS on loopback.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "one test measures")]

mod config;
mod desk;
mod errands;
mod harness;
mod hostile;
mod letters;
mod records;
mod relay;
mod settings;
mod state;
mod state_outage;
