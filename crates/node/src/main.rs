//! The `sekisho-proxy` binary: the data plane of one gateway, configured by the control plane.

mod args;
mod checkpoint;
mod control;
mod http;
mod mounted;
mod process;
mod records;
mod restrictions;
mod secrets;
mod settings;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use sekisho_runtime::executor;

use crate::args::Args;

/// The C library's allocator keeps what each thread has freed, and with it the 19 MiB of a password hash for every thread that
/// ever made one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<()> {
    executor()
        .context("the runtime cannot be built")?
        .block_on(process::run(args))
}

#[expect(clippy::print_stderr, reason = "the last words of the process")]
fn complain(error: &anyhow::Error) {
    eprintln!("sekisho-proxy: {error:#}");
}
