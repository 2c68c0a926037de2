//! How each client is run. Programs of our own take the same arguments: the port, `starttls` or `implicit`, the mechanism, the user,
//! the password, the sender, the path of the message, and the recipients.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sekisho_testkit::{fetched, program, require};

use crate::up::{ACCOUNT, Up, run};

/// One message to be sent.
pub(super) struct Job<'a> {
    pub(super) up: &'a Up,
    pub(super) listener: Listener,
    pub(super) mechanism: &'a str,
    pub(super) password: &'a str,
    pub(super) sender: &'a str,
    pub(super) recipients: &'a [String],
    pub(super) message: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    StartTls,
    Implicit,
}

impl Job<'_> {
    pub(super) fn port(&self) -> u16 {
        match self.listener {
            Listener::StartTls => self.up.submission.number(),
            Listener::Implicit => self.up.submissions.number(),
        }
    }

    fn message_file(&self) -> PathBuf {
        self.up.file("message", self.message)
    }

    /// Adds the arguments that all programs of our own take.
    fn arguments(&self, command: &mut Command) {
        let tls = match self.listener {
            Listener::StartTls => "starttls",
            Listener::Implicit => "implicit",
        };
        command
            .args([
                &self.port().to_string(),
                tls,
                self.mechanism,
                ACCOUNT,
                self.password,
                self.sender,
            ])
            .arg(self.message_file())
            .args(self.recipients);
    }
}

/// Whether it says that the message was sent, and all that it wrote.
pub(super) type Said = (bool, String);

pub(super) fn swaks(job: &Job<'_>) -> Said {
    let tls: &[&str] = match job.listener {
        Listener::StartTls => &["--tls"],
        Listener::Implicit => &["--tls-on-connect"],
    };
    // It ends each message with a line end of its own.
    let message = job.message.strip_suffix(b"\r\n").unwrap_or(job.message);
    let path = job.up.file("message", message);
    let mut command = Command::new("swaks");
    command
        .args([
            "--server",
            "127.0.0.1",
            "--pipeline",
            "--port",
            &job.port().to_string(),
        ])
        .args(tls)
        .args([
            "--auth",
            job.mechanism,
            "--auth-user",
            ACCOUNT,
            "--auth-password",
            job.password,
        ])
        .args(["--from", job.sender, "--to", &job.recipients.join(",")])
        .args(["--data", &format!("@{}", path.display())]);
    run(&mut command)
}

pub(super) fn curl(job: &Job<'_>) -> Said {
    let scheme = match job.listener {
        Listener::StartTls => "smtp",
        Listener::Implicit => "smtps",
    };
    let mut command = Command::new("curl");
    command
        .args([
            "--silent",
            "--show-error",
            "--verbose",
            "--ssl-reqd",
            "--insecure",
        ])
        .args(["--url", &format!("{scheme}://127.0.0.1:{}", job.port())])
        .args(["--login-options", &format!("AUTH={}", job.mechanism)])
        .args(["--user", &format!("{ACCOUNT}:{}", job.password)])
        .args(["--mail-from", job.sender, "--mail-rcpt-allowfails"]);
    for recipient in job.recipients {
        command.args(["--mail-rcpt", recipient]);
    }
    run(command.arg("--upload-file").arg(job.message_file()))
}

pub(super) fn msmtp(job: &Job<'_>) -> Said {
    let starttls = match job.listener {
        Listener::StartTls => "on",
        Listener::Implicit => "off",
    };
    // It takes lines as files have them on Unix.
    let lines = String::from_utf8(job.message.to_vec())
        .unwrap()
        .replace("\r\n", "\n");
    let message = job.up.file("message", lines.as_bytes());
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "message=$1; shift; exec msmtp \"$@\" <\"$message\"",
            "sh",
        ])
        .arg(message)
        .args([
            "--file=/dev/null",
            "--host=127.0.0.1",
            "--tls=on",
            "--tls-certcheck=off",
        ])
        .arg(format!("--port={}", job.port()))
        .arg(format!("--tls-starttls={starttls}"))
        .arg(format!("--auth={}", job.mechanism.to_lowercase()))
        .arg(format!("--user={ACCOUNT}"))
        .arg(format!("--passwordeval=echo '{}'", job.password))
        .arg(format!("--from={}", job.sender))
        .args(["--undisclosed-recipients=off", "--"])
        .args(job.recipients);
    run(&mut command)
}

pub(super) fn smtplib(job: &Job<'_>) -> Said {
    let mut command = Command::new("python3");
    command.arg(source("sendmail.py"));
    job.arguments(&mut command);
    run(&mut command)
}

pub(super) fn nodemailer(job: &Job<'_>) -> Said {
    let module = fetched(NODEMAILER).unwrap().join("dist/esm/nodemailer.js");
    let mut command = Command::new("node");
    command.arg(source("nodemailer.mjs")).arg(module);
    job.arguments(&mut command);
    run(&mut command)
}

pub(super) fn net_smtp(job: &Job<'_>) -> Said {
    let program = job.up.path("netsmtp");
    if !program.exists() {
        let mut build = Command::new(go().unwrap());
        build
            .env("CGO_ENABLED", "0")
            .args(["build", "-o"])
            .arg(&program)
            .arg(source("netsmtp.go"));
        let (success, said) = run(&mut build);
        assert!(success, "{said}");
    }
    let mut command = Command::new(program);
    job.arguments(&mut command);
    run(&mut command)
}

const NODEMAILER: &str = "nodemailer";

/// A file beside this one.
pub(super) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/e2e/interop/programs")
        .join(name)
}

/// Go on the path, or the one that `make setup` fetched.
fn go() -> Option<PathBuf> {
    if let Some(go) = program("go") {
        return Some(go);
    }
    fetched("go-1.26.6/bin/go")
}

/// The version of a program, as it says itself: the word after `before` in what `arguments` print; or `None` after saying that
/// the test is skipped.
pub(super) fn version_of(name: &str, arguments: &[&str], before: &str) -> Option<String> {
    let (_, said) = run(Command::new(require(name)?).args(arguments));
    Some(word_after(&said, before).unwrap_or_else(|| panic!("no version in {said:?}")))
}

/// The word that follows `before` in `text`.
pub(super) fn word_after(text: &str, before: &str) -> Option<String> {
    let rest = text.split_once(before)?.1;
    rest.split([' ', '\n', ',', '\r']).next().map(str::to_owned)
}

pub(super) fn nodemailer_version() -> Option<String> {
    require("node")?;
    let about = fs::read_to_string(fetched(NODEMAILER)?.join("package.json")).unwrap();
    let about: serde_json::Value = serde_json::from_str(&about).unwrap();
    Some(about["version"].as_str().unwrap().to_owned())
}

pub(super) fn go_version() -> Option<String> {
    let (_, said) = run(Command::new(go()?).arg("version"));
    word_after(&said, "go version go")
}

/// The version that Cargo.lock pins.
pub(super) fn crate_version(name: &str) -> Option<String> {
    let lock = include_str!("../../../../../Cargo.lock");
    let pinned = lock
        .split_once(&format!("name = \"{name}\"\nversion = \""))?
        .1;
    pinned
        .split_once('"')
        .map(|(version, _)| version.to_owned())
}
