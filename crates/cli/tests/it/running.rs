//! The quickstart on free ports, in a folder of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sekisho_testkit::{Port, Process, wait_until};
use serde_json::Value;

use crate::http::{self, Answer};

pub(crate) const SEKISHO: &str = env!("CARGO_BIN_EXE_sekisho");

/// The quickstart's own ports: listeners, relays, and the content engine, which nobody shall find.
const OWN_PORTS: [&str; 7] = ["2587", "2465", "2588", "2589", "2601", "2602", "11333"];

/// A running `sekisho up` over a copy of the quickstart.
pub(crate) struct Running {
    pub(crate) process: Process,
    pub(crate) submission: SocketAddr,
    pub(crate) submissions: SocketAddr,
    pub(crate) http: SocketAddr,
    folder: tempfile::TempDir,
    ports: Vec<Port>,
}

impl Running {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts with further arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self::start_changed(arguments, |_| ())
    }

    /// Starts with further arguments, after a change of the objects.
    pub(crate) fn start_changed(arguments: &[&str], change: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports: Vec<Port> = (0..=OWN_PORTS.len()).map(|_| Port::free()).collect();
        let objects = folder.path().join("objects");
        copy_quickstart(&objects, &ports);
        change(&objects);
        Self::launch(folder, ports, arguments)
    }

    /// Ends the process and starts another one over the same files.
    pub(crate) fn restart(self) -> Self {
        assert_eq!(self.process.terminate().code(), Some(0));
        Self::launch(self.folder, self.ports, &[])
    }

    fn launch(folder: tempfile::TempDir, ports: Vec<Port>, arguments: &[&str]) -> Self {
        let mut command = Command::new(SEKISHO);
        command
            .arg("up")
            .arg(folder.path().join("objects"))
            .arg("--state")
            .arg(folder.path().join("data"));
        command
            .arg("--http")
            .arg(ports[OWN_PORTS.len()].address().to_string())
            .args(arguments);
        let mut process = Process::spawn(command);
        process.wait_for_output("Start page");
        Self {
            process,
            submission: ports[0].address(),
            submissions: ports[1].address(),
            http: ports[OWN_PORTS.len()].address(),
            folder,
            ports,
        }
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.folder.path().join("objects")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        http::get(self.http, path)
    }

    /// What arrived at the built-in relays.
    pub(crate) fn arrived(&self) -> Vec<Value> {
        self.get("/demo/messages").json()["messages"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// Replaces text in one of the files, as an editor does.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        edit(&self.objects(), file, from, to);
    }

    /// Waits until a record is in the ledger, and says how `sekisho explain` puts it.
    pub(crate) fn explained(&self, id: &str) -> String {
        wait_until(&format!("record {id} in the ledger"), || {
            (self.get(&format!("/v1/records/{id}")).status == 200).then_some(())
        });
        let output = sekisho(&["explain", id, "--state", self.state().to_str().unwrap()]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Runs the binary to its end.
pub(crate) fn sekisho(arguments: &[&str]) -> Output {
    Command::new(SEKISHO).args(arguments).output().unwrap()
}

/// Replaces text in a file through another one that takes its name.
pub(crate) fn edit(folder: &Path, file: &str, from: &str, to: &str) {
    let path = folder.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from:?}");
    let draft = folder.join(".draft");
    fs::write(&draft, text.replacen(from, to, 1)).unwrap();
    fs::rename(draft, path).unwrap();
}

pub(crate) fn quickstart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/quickstart")
}

/// Copies the quickstart with these ports in the place of its own.
fn copy_quickstart(to: &Path, ports: &[Port]) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(quickstart()).unwrap() {
        let path = entry.unwrap().path();
        let mut text = fs::read_to_string(&path).unwrap();
        // In two steps, since the digits of one port may be found in another one.
        for (index, own) in OWN_PORTS.iter().enumerate() {
            text = text.replace(own, &format!("@port{index}@"));
        }
        for (index, free) in ports.iter().enumerate() {
            text = text.replace(&format!("@port{index}@"), &free.number().to_string());
        }
        fs::write(to.join(path.file_name().unwrap()), text).unwrap();
    }
}
