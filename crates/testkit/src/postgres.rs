//! A real PostgreSQL on loopback. It runs as nobody in particular: it refuses to run as root.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::component::{require, skip};
use crate::port::Port;
use crate::process::Process;

/// Where Debian keeps what a user does not call by its name.
const FOLDER: &str = "/usr/lib/postgresql";
/// Who it runs as where tests run as root.
const USER: &str = "postgres";
const PASSWORD: &str = "secret";

/// A running PostgreSQL. It ends when this is dropped, and only this one.
#[derive(Debug)]
pub struct PostgresServer {
    programs: PathBuf,
    port: Port,
    process: Option<Process>,
    folder: tempfile::TempDir,
}

impl PostgresServer {
    /// Makes a cluster and starts it, or says that the test is skipped.
    ///
    /// # Panics
    /// It does not start; the message shows its log.
    pub fn start() -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        own(folder.path());
        own(&password);
        let data = folder.path().join("data");
        let made = as_user(&programs.join("initdb"))
            .args([
                "--auth=scram-sha-256",
                "--username=sekisho",
                "--no-sync",
                "--encoding=UTF8",
            ])
            .arg("--pwfile")
            .arg(&password)
            .arg("--pgdata")
            .arg(&data)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut server = Self {
            programs,
            port: Port::free(),
            process: None,
            folder,
        };
        server.begin();
        Some(server)
    }

    /// Starts it again after [`Self::kill`].
    ///
    /// # Panics
    /// It does not start, or runs.
    pub fn begin(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let mut command = as_user(&self.programs.join("postgres"));
        command.arg("-D").arg(self.folder.path().join("data"));
        command.args(["-p", &self.port.number().to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "shared_buffers=16MB",
            "max_connections=100",
        ] {
            command.args(["-c", setting]);
        }
        let mut process = Process::spawn(command);
        process.wait_for_output("ready to accept connections");
        self.process = Some(process);
    }

    /// Ends it at once, as a machine that fails.
    ///
    /// # Panics
    /// It does not run.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        // Its children end when the first of them is gone; an immediate shutdown is what a crash leaves.
        process.signal(Signal::QUIT);
        process.wait();
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The address of one of its databases.
    pub fn address(&self, database: &str) -> String {
        self.address_at(self.port(), database)
    }

    /// The same behind something that listens on another port of this machine.
    pub fn address_at(&self, port: u16, database: &str) -> String {
        format!("postgresql://sekisho:{PASSWORD}@127.0.0.1:{port}/{database}")
    }
}

/// The newest version that is installed.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin"));
    let found = folders
        .filter(|folder| folder.join("initdb").exists())
        .max();
    if found.is_some() {
        return found;
    }
    if let Some(initdb) = crate::component::program("initdb") {
        return initdb.parent().map(Path::to_owned);
    }
    skip("PostgreSQL is not installed (`make setup` installs it)");
    None
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The command, run by somebody who is not root.
fn as_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let setpriv = require("setpriv").expect("util-linux is everywhere");
    let mut command = Command::new(setpriv);
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
    command.arg("--").arg(program);
    command
}

fn own(path: &Path) {
    if is_root() {
        let (user, group) = ids();
        chown(path, Some(user), Some(group)).unwrap();
    }
}

/// The numbers of the user that it runs as.
fn ids() -> (u32, u32) {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd
        .lines()
        .find(|line| line.starts_with(&format!("{USER}:")))
        .expect("Debian's package makes the user");
    let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
    (fields.next().unwrap(), fields.next().unwrap())
}
