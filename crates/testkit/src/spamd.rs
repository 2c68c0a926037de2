//! SpamAssassin's real spamd with a configuration of its own: Debian's rules, no network, nothing learned.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::component::{require, skip};
use crate::port::Port;
use crate::process::Process;

/// Where Debian keeps the rules, and which plugins there are.
const RULES: &str = "/usr/share/spamassassin";
const PLUGINS: &str = "/etc/spamassassin";

/// A running spamd. It ends when this is dropped, and only this one.
#[derive(Debug)]
pub struct Spamd {
    port: Port,
    process: Process,
    _folder: tempfile::TempDir,
}

impl Spamd {
    /// Starts it with so many children, or says that the test is skipped.
    ///
    /// # Panics
    /// It does not start; the message shows its log.
    pub fn start(children: usize) -> Option<Self> {
        let program = require("spamd")?;
        if !Path::new(RULES).is_dir() {
            skip(&format!(
                "SpamAssassin's rules are not installed in {RULES}"
            ));
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = Port::free();
        let root = folder.path();
        configure(root);
        let mut command = Command::new(program);
        command
            .args(["--local", "--nouser-config", "--syslog", "stderr"])
            .args(["--listen", &port.address().to_string()])
            .args(["--configpath", RULES])
            .arg("--siteconfigpath")
            .arg(root.join("site"))
            .arg("--helper-home-dir")
            .arg(root.join("home"));
        for bound in ["--max-children", "--min-children"] {
            command.args([bound, &children.to_string()]);
        }
        if rustix::process::geteuid().is_root() {
            // It refuses to read messages as root.
            command.args(["--username", "nobody"]);
        }
        let mut process = Process::spawn(command);
        process.wait_for_port(port.address());
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

fn configure(root: &Path) {
    // Its children run as somebody else and must get in.
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open(root, 0o755);
    let (site, home) = (root.join("site"), root.join("home"));
    for folder in [&site, &home] {
        fs::create_dir(folder).unwrap();
    }
    open(&home, 0o777);
    for entry in fs::read_dir(PLUGINS).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "pre") {
            fs::copy(&path, site.join(path.file_name().unwrap())).unwrap();
        }
    }
    fs::write(site.join("local.cf"), "use_bayes 0\ndns_available no\n").unwrap();
}
