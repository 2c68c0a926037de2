//! The fleet's server over real TLS on loopback.

mod config;
mod harness;
mod hostile;
mod records;
mod relay;
