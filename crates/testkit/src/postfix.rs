//! A real Postfix in a folder of its own, as Debian configures it, delivering to a Maildir.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::component::{require, skip};
use crate::port::Port;
use crate::wait::{wait_for_port, wait_until};

/// Mail for any address of this domain is delivered.
const DOMAIN: &str = "example.net";

/// What a test needs beyond Debian's defaults.
#[derive(Clone, Debug, Default)]
pub struct PostfixSetup {
    /// Lines for main.cf.
    pub parameters: Vec<String>,
    /// Offers AUTH PLAIN and LOGIN (Cyrus SASL, sasldb) to this user (with its domain) and password.
    pub account: Option<(String, String)>,
    /// The loopback address that it listens on; 127.0.0.1 if not given.
    pub listen: Option<Ipv4Addr>,
}

/// A running Postfix. It ends when this is dropped, and only this one.
#[derive(Debug)]
pub struct Postfix {
    port: Port,
    listen: IpAddr,
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Postfix {
    /// Starts Postfix, or says that the test is skipped: it is not installed, or we are not root, which Postfix demands.
    ///
    /// # Panics
    /// It does not start; the message shows its log.
    pub fn start(setup: &PostfixSetup) -> Option<Self> {
        let program = require("postfix")?;
        if !rustix::process::geteuid().is_root() {
            skip("Postfix starts only as root");
            return None;
        }
        let postfix = Self {
            port: Port::free(),
            listen: setup.listen.unwrap_or(Ipv4Addr::LOCALHOST).into(),
            program,
            folder: tempfile::tempdir().unwrap(),
        };
        if let Some((user, password)) = &setup.account {
            let saslpasswd = require("saslpasswd2")?;
            postfix.add_account(&saslpasswd, user, password);
        }
        postfix.configure(setup);
        postfix.command("start");
        wait_for_port(postfix.address());
        Some(postfix)
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.listen, self.port.number())
    }

    /// The domain that it delivers for.
    pub fn domain(&self) -> &'static str {
        DOMAIN
    }

    /// The messages delivered so far, as Postfix wrote them (its headers first, LF line ends).
    pub fn delivered(&self) -> Vec<Vec<u8>> {
        let Ok(entries) = fs::read_dir(self.folder.path().join("mail/all/new")) else {
            return Vec::new();
        };
        let mut files: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| fs::read(file).unwrap()).collect()
    }

    /// Waits until `count` messages were delivered, and returns all that were.
    ///
    /// # Panics
    /// They do not come; look at [`Postfix::log`].
    pub fn wait_for(&self, count: usize) -> Vec<Vec<u8>> {
        wait_until(
            &format!("{count} messages in the Maildir of Postfix"),
            || {
                let delivered = self.delivered();
                (delivered.len() >= count).then_some(delivered)
            },
        )
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("postfix.log")).unwrap_or_default()
    }

    fn configure(&self, setup: &PostfixSetup) {
        let root = self.folder.path();
        // Its daemons run as the user postfix and must get in.
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        let etc = root.join("etc");
        for folder in ["etc", "queue", "data", "mail"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let owner = owner_of_postfix();
        for folder in ["data", "mail"] {
            chown(root.join(folder), Some(owner.0), Some(owner.1)).unwrap();
        }
        fs::write(etc.join("master.cf"), master_cf(self.address())).unwrap();
        fs::write(etc.join("main.cf"), main_cf(root, owner, setup)).unwrap();
    }

    fn command(&self, verb: &str) {
        let mut command = Command::new(&self.program);
        let output = command
            .arg("-c")
            .arg(self.folder.path().join("etc"))
            .arg(verb)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "postfix {verb}: {said}{}",
            self.log()
        );
    }

    fn add_account(&self, saslpasswd: &Path, user: &str, password: &str) {
        use std::io::Write as _;
        let database = self.folder.path().join("sasldb2");
        let (name, realm) = user.split_once('@').unwrap_or((user, DOMAIN));
        let mut child = Command::new(saslpasswd)
            .args(["-p", "-c", "-u", realm, "-f"])
            .arg(&database)
            .arg(name)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(password.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success(), "saslpasswd2 failed");
        let owner = owner_of_postfix();
        chown(&database, Some(owner.0), Some(owner.1)).unwrap();
        let configuration = format!(
            "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}\nmech_list: PLAIN LOGIN\n",
            database.display()
        );
        // Debian's Postfix looks beside its own configuration.
        fs::create_dir_all(self.folder.path().join("etc/sasl")).unwrap();
        fs::write(
            self.folder.path().join("etc/sasl/smtpd.conf"),
            configuration,
        )
        .unwrap();
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // `stop` reads the pid of this instance from its own queue folder.
        let etc = self.folder.path().join("etc");
        let _ = Command::new(&self.program)
            .arg("-c")
            .arg(etc)
            .arg("stop")
            .output();
    }
}

/// Debian's own main.cf, with the places changed to ours.
fn main_cf(root: &Path, (uid, gid): (u32, u32), setup: &PostfixSetup) -> String {
    let root = root.display();
    let mut lines = vec![
        // What Debian 12 writes at installation.
        "compatibility_level = 3.6".to_owned(),
        "smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination".to_owned(),
        "mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128".to_owned(),
        "biff = no".to_owned(),
        "append_dot_mydomain = no".to_owned(),
        "recipient_delimiter = +".to_owned(),
        // Where this one lives.
        "myhostname = postfix.test".to_owned(),
        "mydestination =".to_owned(),
        "inet_interfaces = 127.0.0.1".to_owned(),
        format!("queue_directory = {root}/queue"),
        format!("data_directory = {root}/data"),
        format!("maillog_file = {root}/postfix.log"),
        format!("maillog_file_prefixes = {root}"),
        format!("virtual_mailbox_domains = {DOMAIN}"),
        format!("virtual_mailbox_base = {root}/mail"),
        "virtual_mailbox_maps = static:all/".to_owned(),
        format!("virtual_minimum_uid = {}", uid.min(gid)),
        format!("virtual_uid_maps = static:{uid}"),
        format!("virtual_gid_maps = static:{gid}"),
    ];
    if setup.account.is_some() {
        lines.push("smtpd_sasl_auth_enable = yes".to_owned());
        lines.push(format!("smtpd_sasl_local_domain = {DOMAIN}"));
    }
    lines.extend(setup.parameters.iter().cloned());
    lines.join("\n") + "\n"
}

/// The services that take, queue and deliver, none of them in a chroot (the folder has no libraries).
fn master_cf(address: SocketAddr) -> String {
    let services = [
        "LISTEN inet n - n - - smtpd",
        "pickup unix n - n 60 1 pickup",
        "cleanup unix n - n - 0 cleanup",
        "qmgr unix n - n 300 1 qmgr",
        "rewrite unix - - n - - trivial-rewrite",
        "bounce unix - - n - 0 bounce",
        "defer unix - - n - 0 bounce",
        "trace unix - - n - 0 bounce",
        "verify unix - - n - 1 verify",
        "proxymap unix - - n - - proxymap",
        "virtual unix - n n - - virtual",
        "error unix - - n - - error",
        "retry unix - - n - - error",
        "discard unix - - n - - discard",
        "smtp unix - - n - - smtp",
        "anvil unix - - n - 1 anvil",
        "tlsmgr unix - - n 1000? 1 tlsmgr",
        "scache unix - - n - 1 scache",
        "postlog unix-dgram n - n - 1 postlogd",
    ];
    services
        .map(|line| format!("{line}\n"))
        .concat()
        .replace("LISTEN", &address.to_string())
}

/// The user and group of Postfix's daemons, as the package created them.
fn owner_of_postfix() -> (u32, u32) {
    let installed =
        fs::metadata("/var/lib/postfix").expect("Debian's postfix package makes /var/lib/postfix");
    (installed.uid(), installed.gid())
}
