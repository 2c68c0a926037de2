//! What a running Sekisho says of itself over HTTP: metrics, health, configuration, records, and a start page.
//! One file per resource. [`fleet`] is what the control plane of a cluster serves to its proxies.

mod access;
mod accounts;
mod asked;
mod bounces;
mod brakes;
mod configs;
mod error;
pub mod fleet;
mod health;
mod inbox;
mod json_line;
pub mod letters;
mod metrics;
mod overview;
mod page;
mod points;
mod problem;
mod records;
mod server;
mod settings;
mod settings_jobs;
mod state;
mod tally;
mod unheeded;

pub use access::Token;
pub use configs::{Configs, Published};
pub use error::Error;
pub use inbox::{Arrived, Inbox};
pub use json_line::wrong_in_line;
pub use server::Server;
pub use state::{
    Answer, NotHere, Points, Running, RunningGateway, RunningListener, Sources, Tallied, Unanswered,
};
pub use tally::Tally;
