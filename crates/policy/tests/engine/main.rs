//! The engine over snapshots, events and real memory counters: what each rule says at each stage, and what holds of all of them.
#![expect(clippy::unwrap_used, reason = "the builders of tests")]

mod abuse;
mod brake;
mod climbing;
mod country;
mod ladder;
mod load;
mod login;
mod login_shown;
mod matching;
mod opinions;
mod properties;
mod rate;
mod released;
mod restricted;
mod restricting;
mod restricting_model;
mod routing;
mod settings;
mod submission;
mod support;
mod untrusted;
