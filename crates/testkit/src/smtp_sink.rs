//! Postfix's `smtp-sink`: a next hop as fast as they come, that keeps nothing.

use std::net::SocketAddr;
use std::process::Command;

use crate::component::require;
use crate::port::Port;
use crate::process::Process;

/// A running `smtp-sink`.
#[derive(Debug)]
pub struct SmtpSink {
    port: Port,
    process: Process,
}

impl SmtpSink {
    /// Starts it with these options, or says that the test is skipped.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(options: &[&str]) -> Option<Self> {
        let program = require("smtp-sink")?;
        let port = Port::free();
        let mut command = Command::new(program);
        if rustix::process::geteuid().is_root() {
            // It insists on being somebody else.
            command.args(["-u", "nobody"]);
        }
        command
            .args(options)
            .arg(port.address().to_string())
            .arg("100");
        let mut process = Process::spawn(command);
        process.wait_for_port(port.address());
        Some(Self { port, process })
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What it wrote: with `-c` its counts, with `-v` the conversations.
    pub fn output(&self) -> String {
        self.process.output()
    }
}
