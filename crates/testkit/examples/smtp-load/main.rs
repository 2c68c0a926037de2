//! A load of mail for `make bench`: as fast as it goes, or at a rate that does not wait for slow answers. It prints one
//! line for a person and one of `key=value` pairs for the scripts.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its figures, and may panic like a test"
)]

mod client;
mod figures;
mod load;
mod options;
mod tls;

use clap::Parser as _;

use crate::figures::Figures;
use crate::options::{Options, Pace};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = Options::parse();
    let plan = options.plan();
    let figures: Figures = match options.pace() {
        Pace::AsFastAsItGoes { messages } => load::closed(&plan, options.sessions, messages).await,
        Pace::Rate { per_second, during } => {
            load::open(&plan, options.sessions, per_second, during).await
        }
    };
    println!("{figures}");
}
