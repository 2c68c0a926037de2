//! The engine over snapshots, events and real memory counters: what each rule says at each stage, and what holds of all of them.

mod brake;
mod country;
mod load;
mod login;
mod matching;
mod properties;
mod rate;
mod routing;
mod submission;
mod support;
