//! `sekisho-proxy` from the outside: the real binary against a scripted control plane over TLS, and against the real servers of one.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod authority;
mod control;
mod desk;
mod errands;
mod follow;
mod guards;
mod hostile;
mod losses;
mod outages;
mod records;
mod restrictions;
mod secrets;
mod settings;
mod shared_abuse;
mod shared_limits;
mod start;
mod world;
