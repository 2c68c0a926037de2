//! A running `sekisho up` in a folder of its own, with one account, on free ports.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use sekisho_testkit::{Port, Process, wait_until};

pub(crate) const ACCOUNT: &str = "alice@example.jp";
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A gateway with a STARTTLS and an implicit TLS listener in front of one next hop.
pub(crate) struct Up {
    pub(crate) submission: Port,
    pub(crate) submissions: Port,
    http: Port,
    folder: tempfile::TempDir,
    process: Process,
}

/// What differs between tests, as pieces of YAML.
pub(crate) struct Setup<'a> {
    /// The next hop.
    pub(crate) upstream: SocketAddr,
    /// Fields of `spec.upstream` beside the endpoints.
    pub(crate) upstream_fields: &'a str,
    /// The entry of `spec.authentication.backends`.
    pub(crate) backend: &'a str,
    /// The entries of `spec.authentication.mechanisms`.
    pub(crate) mechanisms: &'a str,
    /// Fields of the STARTTLS listener.
    pub(crate) listener_fields: &'a str,
    /// Fields of `spec`.
    pub(crate) gateway_fields: &'a str,
    /// Further objects.
    pub(crate) objects: &'a str,
    /// Further arguments.
    pub(crate) arguments: &'a [&'a str],
    /// Files that its state holds before it starts.
    pub(crate) state: &'a [(&'a str, &'a [u8])],
}

impl Setup<'_> {
    /// Accounts from a file, nothing but the gateway.
    pub(crate) fn to(upstream: SocketAddr) -> Self {
        Self {
            upstream,
            upstream_fields: "",
            backend: "{ type: AccountsFile, accountsFile: { path: accounts } }",
            mechanisms: "PLAIN, LOGIN",
            listener_fields: "",
            gateway_fields: "",
            objects: "",
            arguments: &[],
            state: &[],
        }
    }

    fn yaml(&self, submission: &Port, submissions: &Port) -> String {
        let Self {
            upstream,
            upstream_fields,
            backend,
            mechanisms,
            listener_fields,
            gateway_fields,
            objects,
            arguments: _,
            state: _,
        } = self;
        let (starttls, implicit) = (submission.number(), submissions.number());
        let comma = |fields: &str| {
            if fields.is_empty() {
                String::new()
            } else {
                format!(", {fields}")
            }
        };
        let (listener_fields, upstream_fields) = (comma(listener_fields), comma(upstream_fields));
        format!(
            "apiVersion: sekisho.dev/v1alpha1
kind: MailGateway
metadata: {{ name: gate }}
spec:
  listeners:
  - {{ name: submission, port: {starttls}, tls: StartTls{listener_fields} }}
  - {{ name: submissions, port: {implicit}, tls: Implicit }}
  authentication: {{ backends: [{backend}], mechanisms: [{mechanisms}], defaultDomain: example.jp, domains: [example.net] }}
  upstream: {{ endpoints: [{{ address: \"{upstream}\" }}]{upstream_fields} }}
{gateway_fields}
---
{objects}
"
        )
    }
}

impl Up {
    pub(crate) fn start(setup: &Setup<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (submission, submissions, http) = (Port::free(), Port::free(), Port::free());
        let objects = folder.path().join("objects");
        fs::create_dir(&objects).unwrap();
        add_account(&objects.join("accounts"), ACCOUNT, PASSWORD);
        fs::write(
            objects.join("objects.yaml"),
            setup.yaml(&submission, &submissions),
        )
        .unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        for (name, content) in setup.state {
            fs::write(state.join(name), content).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
        command.arg("up").arg(&objects).arg("--state").arg(&state);
        command.arg("--http").arg(http.address().to_string());
        command.args(setup.arguments);
        let mut process = Process::spawn(command);
        process.wait_for_port(submission.address());
        process.wait_for_port(submissions.address());
        Self {
            submission,
            submissions,
            http,
            folder,
            process,
        }
    }

    /// What it printed and logged.
    pub(crate) fn log(&self) -> String {
        self.process.output()
    }

    /// What `sekisho explain` says of a decision, once its record is in the ledger.
    pub(crate) fn explained(&self, id: &str) -> String {
        let state = self.folder.path().join("state");
        wait_until(&format!("the record of {id}"), || {
            let mut explain = Command::new(env!("CARGO_BIN_EXE_sekisho"));
            let (success, text) = run(explain.args(["explain", id, "--state"]).arg(&state));
            success.then_some(text)
        })
    }

    /// Its metrics, as Prometheus gets them.
    pub(crate) fn metrics(&self) -> String {
        use std::io::Read as _;
        let mut stream = TcpStream::connect(self.http.address()).unwrap();
        let request = "GET /metrics HTTP/1.1\r\nHost: sekisho\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// A place in its folder.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// The certificate that it made for itself.
    pub(crate) fn certificate(&self) -> std::path::PathBuf {
        self.folder.path().join("state/self-signed.pem")
    }

    /// All that it keeps: every file of its state, one after the other.
    pub(crate) fn kept(&self) -> Vec<u8> {
        let files = fs::read_dir(self.folder.path().join("state")).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        paths
            .filter(|path| path.is_file())
            .flat_map(|path| fs::read(path).unwrap())
            .collect()
    }

    /// A file in its folder.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> std::path::PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }
}

/// `sekisho accounts add`, as an operator does it.
pub(crate) fn add_account(file: &Path, account: &str, password: &str) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sekisho"))
        .args(["accounts", "add", "--password-stdin"])
        .arg(file)
        .arg(account)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    assert!(child.wait().unwrap().success(), "accounts add failed");
}

/// Runs a program to its end and returns whether it succeeded, and all that it wrote.
pub(crate) fn run(command: &mut Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}
