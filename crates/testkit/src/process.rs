//! A child process that ends with the test that started it.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::wait::{PATIENCE, wait_until};

/// How long a process that is dropped gets to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// So many lines of what a program wrote are shown when a test fails.
const LAST_LINES: usize = 60;

/// A running program. Dropping it asks it to end (SIGTERM) and, if it does not, ends it (SIGKILL), by its id.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    output: PathBuf,
    _folder: tempfile::TempDir,
}

impl Process {
    /// Starts `command` with nothing to read; what it writes is kept in a file.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn spawn(mut command: Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("output");
        let file = File::create(&output).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self {
            child,
            name,
            output,
            _folder: folder,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far, to standard output and standard error.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap()).into_owned()
    }

    /// Where its output goes.
    pub fn output_path(&self) -> &Path {
        &self.output
    }

    /// Waits until it has written `text`, and returns all that it wrote.
    ///
    /// # Panics
    /// It ended before, or took too long; the message shows its output.
    pub fn wait_for_output(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.output();
            if output.contains(text) {
                return output;
            }
            if let Some(status) = self.try_wait() {
                panic!(
                    "{} ended ({status}) before it wrote {text:?}:\n{output}",
                    self.name
                );
            }
            assert!(
                Instant::now() < deadline,
                "{} did not write {text:?}:\n{output}",
                self.name
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it takes connections at `address`.
    ///
    /// # Panics
    /// It ended before, or took too long; the message shows its output.
    pub fn wait_for_port(&mut self, address: SocketAddr) {
        wait_until(&format!("{} to listen on {address}", self.name), || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!(
                    "{} ended ({status}) before it listened:\n{}",
                    self.name,
                    self.output()
                );
            }
            TcpStream::connect_timeout(&address, PATIENCE).ok()
        });
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// It has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal)
            .unwrap_or_else(|e| panic!("{} cannot be signalled: {e}", self.name));
    }

    /// Ends it at once (SIGKILL), unless it has ended.
    pub(crate) fn kill(&self) {
        let _ = kill_process(self.pid(), Signal::KILL);
    }

    /// Asks it to end and waits for it.
    ///
    /// # Panics
    /// It does not end.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// It does not end.
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        wait_until(&what, || self.child.try_wait().unwrap())
    }

    /// Its exit status, if it has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Process {
    /// The test failed: what the program said last is likely to tell why.
    #[expect(clippy::print_stderr, reason = "for whoever reads why a test failed")]
    fn show_last_lines(&self) {
        let output = self.output();
        let mut last: Vec<&str> = output.lines().rev().take(LAST_LINES).collect();
        last.reverse();
        let name = &self.name;
        eprintln!(
            "--- the end of what {name} wrote:\n{}\n---",
            last.join("\n")
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_last_lines();
        }
        // Not reaped yet, so the id cannot have become somebody else's.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process(self.pid(), Signal::TERM);
            let deadline = Instant::now() + GRACE;
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn(command)
    }

    #[test]
    fn output_and_status_are_there_to_see() {
        let mut process = shell("echo one; echo two >&2; exit 3");
        assert_eq!(process.wait().code(), Some(3));
        assert_eq!(process.output(), "one\ntwo\n");
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let mut process = shell("echo up; exec sleep 1000");
        process.wait_for_output("up");
        let id = process.id();
        drop(process);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    #[should_panic(expected = "ended (exit status: 1) before it wrote")]
    fn a_process_that_dies_is_not_waited_for() {
        shell("exit 1").wait_for_output("never");
    }
}
