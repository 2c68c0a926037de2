//! A real Dovecot in a folder of its own, of which only the authentication service runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::component::{require, skip};
use crate::process::Process;
use crate::wait::wait_until;

/// A running Dovecot. It ends when this is dropped, and only this one.
#[derive(Debug)]
pub struct Dovecot {
    folder: tempfile::TempDir,
    _process: Process,
}

impl Dovecot {
    /// Starts Dovecot with one account, for PLAIN, LOGIN, CRAM-MD5 and SCRAM-SHA-256. Or says that the test is skipped: it is not
    /// installed, or we are not root, whose users it runs as.
    ///
    /// # Panics
    /// It does not start.
    pub fn start(user: &str, password: &str) -> Option<Self> {
        let program = require("dovecot")?;
        if !rustix::process::geteuid().is_root() {
            skip("Dovecot starts only as root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(path.join("users"), format!("{user}:{{PLAIN}}{password}\n")).unwrap();
        let place = path.display();
        let config = format!(
            "base_dir = {place}/run
state_dir = {place}/run
log_path = {place}/log
protocols =
ssl = no
auth_mechanisms = plain login scram-sha-256 cram-md5
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {place}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener auth-client {{
    mode = 0666
  }}
}}
service stats {{
  chroot =
}}
service anvil {{
  chroot =
}}
"
        );
        fs::write(path.join("dovecot.conf"), config).unwrap();
        let mut command = Command::new(program);
        command.arg("-F").arg("-c").arg(path.join("dovecot.conf"));
        let dovecot = Self {
            _process: Process::spawn(command),
            folder,
        };
        wait_until("Dovecot listens", || {
            dovecot.socket().exists().then_some(())
        });
        Some(dovecot)
    }

    /// Where clients of its authentication service connect.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("run/auth-client")
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}
