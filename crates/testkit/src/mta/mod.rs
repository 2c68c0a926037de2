//! Real mail servers other than Postfix, each in a folder of its own, that pass on at once what they take to one address.

mod dovecot;
mod exim;
mod opensmtpd;
mod private;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::component::skip;
use crate::port::Port;
use crate::process::Process;

/// What a test needs of a mail server.
#[derive(Clone, Debug)]
pub struct MtaSetup {
    /// Where everything that it takes goes on to, without TLS.
    pub relay_to: SocketAddr,
    /// The user and the password of AUTH PLAIN and LOGIN, which is offered under TLS. Dovecot demands it.
    pub login: (String, String),
    /// The recipient that it refuses, in words of its own. Dovecot refuses nobody: it asks where it relays to.
    pub refused: String,
}

/// A running mail server, with STARTTLS and a certificate of its own. It ends when this is dropped, and only this one.
#[derive(Debug)]
pub struct Mta {
    port: Port,
    process: Process,
    folder: tempfile::TempDir,
}

impl Mta {
    /// Exim, or `None` after saying that the test is skipped.
    ///
    /// # Panics
    /// It does not start; the message shows its log.
    pub fn exim(setup: &MtaSetup) -> Option<Self> {
        let place = Place::new()?;
        let command = exim::configure(&place, setup)?;
        Some(place.run(command))
    }

    /// OpenSMTPD, or `None` after saying that the test is skipped.
    ///
    /// # Panics
    /// It does not start; the message shows its log.
    pub fn opensmtpd(setup: &MtaSetup) -> Option<Self> {
        let place = Place::new()?;
        let command = opensmtpd::configure(&place, setup)?;
        Some(place.run(command))
    }

    /// Dovecot's submission proxy, or `None` after saying that the test is skipped.
    ///
    /// # Panics
    /// It does not start; the message shows its log.
    pub fn dovecot(setup: &MtaSetup) -> Option<Self> {
        let place = Place::new()?;
        let command = dovecot::configure(&place, setup)?;
        Some(place.run(command))
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.process.output() + &self.main_log()
    }

    /// Exim writes to a file.
    fn main_log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log/mainlog")).unwrap_or_default()
    }
}

impl Drop for Mta {
    #[expect(clippy::print_stderr, reason = "for whoever reads why a test failed")]
    fn drop(&mut self) {
        // What it printed is shown by the process.
        if std::thread::panicking() {
            eprintln!("{}", self.main_log());
        }
    }
}

/// Where one server lives: a folder with a certificate, and a port.
struct Place {
    folder: tempfile::TempDir,
    port: Port,
}

impl Place {
    /// All of these servers change to users of their own, which only root may.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip("mail servers start only as root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let place = Self {
            folder,
            port: Port::free(),
        };
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["hop.test".to_owned()]).unwrap();
        place.write("certificate.pem", &params.self_signed(&key).unwrap().pem());
        place.write("key.pem", &key.serialize_pem());
        fs::set_permissions(place.path("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
        Some(place)
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.root().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn make_folder(&self, name: &str) -> std::path::PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn run(self, command: std::process::Command) -> Mta {
        let mut process = Process::spawn(command);
        process.wait_for_port(self.port.address());
        Mta {
            port: self.port,
            process,
            folder: self.folder,
        }
    }
}
