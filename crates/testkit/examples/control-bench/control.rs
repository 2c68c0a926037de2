//! The one `sekisho control` process, with the rights that the chart gives it, and what it costs.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use sekisho_testkit::{BoundTo, ControlPlane, Port, Process};

const SYSTEM: &str = "sekisho-system";
const NAME: &str = "sekisho-control";
const WEBHOOK: &str = "sekisho-system-sekisho-control";
const POD: &str = "control-0";

pub(crate) struct Control {
    process: Process,
    fleet: Port,
    _http: Port,
    _folder: tempfile::TempDir,
}

/// Installs the chart: kinds, rights, webhook. Its Deployment has no node that would run it.
pub(crate) fn install(plane: &ControlPlane) {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/sekisho");
    plane
        .helm([
            "install",
            "sekisho",
            chart.to_str().unwrap(),
            "--create-namespace",
            "--namespace",
            SYSTEM,
        ])
        .ok();
    plane
        .kubectl([
            "wait",
            "--for=condition=Established",
            "--timeout=60s",
            "crd",
            "--all",
        ])
        .ok();
}

impl Control {
    /// Starts it as the chart does, and waits until it has read the cluster.
    pub(crate) fn start(plane: &ControlPlane, program: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (fleet, http) = (Port::free(), Port::free());
        plane.apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{ name: {POD}, namespace: {SYSTEM} }}\n\
             spec: {{ serviceAccountName: {NAME}, containers: [{{ name: main, image: none }}] }}\n"
        ));
        let token = plane.token(SYSTEM, NAME, Some(NAME), BoundTo::Pod(POD));
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, token).unwrap();
        let kubeconfig = plane.kubeconfig_for_service_account(SYSTEM, NAME);
        let mut command = Command::new(program);
        command
            .args(["control", "--namespace", SYSTEM, "--pod", POD])
            .args(["--pod-address", "127.0.0.1", "--deployment", NAME])
            .args(["--proxy-image", "sekisho-proxy:bench"])
            .args(["--webhook-configuration", WEBHOOK, "--log-format", "text"])
            .args(["--listen", &fleet.address().to_string()])
            .args(["--http", &http.address().to_string()])
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--token-file")
            .arg(token_file)
            .arg("--store")
            .arg(folder.path().join("store"));
        let mut process = Process::spawn(command);
        process.wait_for_output("everything that is in the cluster has been read");
        process.wait_for_port(fleet.address());
        Self {
            process,
            fleet,
            _http: http,
            _folder: folder,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.fleet.address()
    }

    /// It stops where it is, and goes on where it stopped.
    pub(crate) fn pause(&self) {
        self.process.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.process.signal(Signal::CONT);
    }

    /// MiB of memory that are resident now, or were at most.
    pub(crate) fn resident(&self, which: Resident) -> u64 {
        let name = match which {
            Resident::Now => "VmRSS:",
            Resident::AtMost => "VmHWM:",
        };
        let text = self.read("status");
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib / 1024
    }

    /// Seconds of processor time so far.
    pub(crate) fn cpu(&self) -> f64 {
        let text = self.read("stat");
        // After the name, which ends in a parenthesis, come the state and ten more; Linux counts hundredths.
        let fields: Vec<&str> = text
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        let ticks: u32 = fields[11..13]
            .iter()
            .map(|field| field.parse::<u32>().unwrap())
            .sum();
        f64::from(ticks) / 100.0
    }

    pub(crate) fn log(&self) -> String {
        self.process.output()
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id())).unwrap()
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Resident {
    Now,
    AtMost,
}
