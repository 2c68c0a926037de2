//! A real rspamd with a configuration of its own: Debian's rules, no network, nothing learned.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::time::Instant;

use crate::component::require;
use crate::port::Port;
use crate::process::Process;

/// The first start compiles regular expressions for a while; later ones find them.
const PATIENCE: Duration = Duration::from_secs(180);

/// Modules that ask the network or Redis, or that are about mail coming in.
const SILENT: [&str; 27] = [
    "antivirus",
    "arc",
    "asn",
    "aws_s3",
    "bimi",
    "clickhouse",
    "dcc",
    "dkim",
    "dkim_signing",
    "dmarc",
    "elastic",
    "external_services",
    "fuzzy_check",
    "greylist",
    "history_redis",
    "metadata_exporter",
    "metric_exporter",
    "mx_check",
    "neural",
    "p0f",
    "ratelimit",
    "rbl",
    "replies",
    "reputation",
    "rspamd_update",
    "spf",
    "url_redirector",
];

/// A running rspamd. It ends when this is dropped, and only this one.
#[derive(Debug)]
pub struct Rspamd {
    port: Port,
    process: Process,
    _folder: tempfile::TempDir,
}

impl Rspamd {
    /// Starts it with so many workers, or says that the test is skipped.
    ///
    /// # Panics
    /// It does not start; the message shows its log.
    pub fn start(workers: usize) -> Option<Self> {
        let program = require("rspamd")?;
        let folder = tempfile::tempdir().unwrap();
        let port = Port::free();
        let root = folder.path();
        configure(root, &port, workers);
        let mut command = Command::new(program);
        command.arg("-f").arg("-c").arg(root.join("rspamd.conf"));
        for name in ["DBDIR", "LOCAL_CONFDIR", "RUNDIR", "LOGDIR"] {
            command.arg(format!("--var={name}={}", root.display()));
        }
        if rustix::process::geteuid().is_root() {
            // It would become a user who may not read the folder.
            command.args(["-i", "-u", "root", "-g", "root"]);
        }
        let mut process = Process::spawn(command);
        wait(&mut process, port.address());
        Some(Self {
            port,
            process,
            _folder: folder,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.process.output()
    }
}

fn configure(root: &Path, port: &Port, workers: usize) {
    let overrides = root.join("override.d");
    fs::create_dir(&overrides).unwrap();
    for module in SILENT {
        let file = overrides.join(format!("{module}.conf"));
        fs::write(file, "enabled = false;\n").unwrap();
    }
    // Nobody answers there, so maps from the network are not fetched. No address is local, or mail from it would pass unread.
    let options = format!(
        "filters = \"\";
dns {{ nameserver = [\"127.0.0.1:9\"]; timeout = 0.01s; retransmits = 1; }}
local_addrs = [];
tempdir = \"{}\";
hs_cache_dir = \"{}\";
",
        root.display(),
        compiled().display()
    );
    fs::write(overrides.join("options.inc"), options).unwrap();
    let main = format!(
        ".include \"$CONFDIR/common.conf\"
options {{
    pidfile = \"$RUNDIR/rspamd.pid\";
    .include \"$CONFDIR/options.inc\"
    .include(priority=10) \"$LOCAL_CONFDIR/override.d/options.inc\"
}}
logging {{ type = \"console\"; level = \"notice\"; }}
worker \"normal\" {{
    bind_socket = \"{}\";
    count = {workers};
    .include \"$CONFDIR/worker-normal.inc\"
}}
",
        port.address()
    );
    fs::write(root.join("rspamd.conf"), main).unwrap();
}

/// Regular expressions once compiled, for all tests of this user.
fn compiled() -> PathBuf {
    let folder = std::env::temp_dir().join(format!(
        "sekisho-rspamd-{}",
        rustix::process::getuid().as_raw()
    ));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .unwrap();
    folder
}

fn wait(process: &mut Process, address: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect_timeout(&address, PATIENCE).is_err() {
        let ended = process.try_wait();
        assert!(
            ended.is_none() && Instant::now() < deadline,
            "rspamd does not listen ({ended:?}):\n{}",
            process.output()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
