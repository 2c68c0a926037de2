//! The programs and their flags: small, loopback only, and nothing waits for a disk.

use std::process::Command;

use rustix::process::Signal;

use super::{Controllers, Shared};
use crate::process::Process;

/// How much of each log is shown.
const SHOWN: usize = 6000;

#[derive(Debug, Default)]
pub(super) struct Servers {
    // In the order in which they are ended.
    controllers: Option<Process>,
    api: Option<Process>,
    etcd: Option<Process>,
}

impl Servers {
    pub(super) fn start_etcd(&mut self, shared: &Shared) {
        let client = format!("http://{}", shared.etcd.address());
        let peer = format!("http://{}", shared.etcd_peer.address());
        let mut command = Command::new(&shared.assets.etcd);
        command
            .arg(format!("--data-dir={}", shared.path("etcd").display()))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster=default={peer}"))
            .args(["--unsafe-no-fsync", "--log-level=warn"]);
        let mut etcd = Process::spawn(command);
        etcd.wait_for_port(shared.etcd.address());
        self.etcd = Some(etcd);
    }

    pub(super) fn start_api(&mut self, shared: &Shared) {
        let pki = &shared.pki;
        let mut command = Command::new(&shared.assets.api_server);
        command
            .arg(format!("--etcd-servers=http://{}", shared.etcd.address()))
            .arg(format!("--secure-port={}", shared.api.number()))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            // There are no endpoints of the service `kubernetes` to keep, and loopback addresses may not be any.
            .arg("--endpoint-reconciler-type=none")
            .arg(format!("--tls-cert-file={}", pki.file("server.crt")))
            .arg(format!("--tls-private-key-file={}", pki.file("server.key")))
            .arg(format!("--client-ca-file={}", pki.file("ca.crt")))
            .arg("--authorization-mode=RBAC")
            .args([
                "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
                "--api-audiences=https://kubernetes.default.svc.cluster.local",
                "--service-cluster-ip-range=10.96.0.0/16",
            ])
            .arg(format!(
                "--service-account-signing-key-file={}",
                pki.file("tokens.key")
            ))
            .arg(format!(
                "--service-account-key-file={}",
                pki.file("tokens.pub")
            ))
            // Pods without nodes are all there are: nothing may be held up or torn down for want of a kubelet.
            .arg("--disable-admission-plugins=DefaultTolerationSeconds,RuntimeClass,StorageObjectInUseProtection")
            .args(["--shutdown-delay-duration=0s", "--shutdown-send-retry-after=false", "--profiling=false"]);
        self.api = Some(Process::spawn(command));
    }

    pub(super) fn start_controllers(&mut self, shared: &Shared) {
        if shared.controllers == Controllers::None {
            return;
        }
        let mut command = Command::new(&shared.assets.controller_manager);
        let kubeconfig = shared.path("admin.kubeconfig").display().to_string();
        command
            .arg(format!("--kubeconfig={kubeconfig}"))
            .args([
                "--secure-port=0",
                "--leader-elect=false",
                "--controllers=*,-nodeipam,-nodelifecycle",
            ])
            .arg(format!("--root-ca-file={}", shared.pki.file("ca.crt")))
            .arg(format!(
                "--service-account-private-key-file={}",
                shared.pki.file("tokens.key")
            ))
            .arg("--profiling=false");
        self.controllers = Some(Process::spawn(command));
    }

    /// Kills it: to its clients it is gone from one moment to the next.
    pub(super) fn stop_api(&mut self) {
        if let Some(mut api) = self.api.take() {
            api.signal(Signal::KILL);
            api.wait();
        }
    }

    pub(super) fn stop_etcd(&mut self) {
        if let Some(etcd) = self.etcd.take() {
            etcd.terminate();
        }
    }

    /// The name and status of a program that should run and does not.
    pub(super) fn ended(&mut self) -> Option<String> {
        let programs = [
            ("kube-controller-manager", &mut self.controllers),
            ("kube-apiserver", &mut self.api),
            ("etcd", &mut self.etcd),
        ];
        programs.into_iter().find_map(|(name, process)| {
            let status = process.as_mut()?.try_wait()?;
            Some(format!("{name} ended ({status})"))
        })
    }

    pub(super) fn logs(&self) -> String {
        let programs = [
            ("etcd", &self.etcd),
            ("kube-apiserver", &self.api),
            ("kube-controller-manager", &self.controllers),
        ];
        let mut logs = String::new();
        for (name, process) in programs {
            let output = process.as_ref().map_or_else(String::new, Process::output);
            let mut from = output.len().saturating_sub(SHOWN);
            while !output.is_char_boundary(from) {
                from += 1;
            }
            logs.push_str(&format!("== {name}\n{}\n", &output[from..]));
        }
        logs
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // Nothing of it is kept, so nobody waits for an orderly end; each is dropped in the order above.
        for process in [&self.controllers, &self.api, &self.etcd]
            .into_iter()
            .flatten()
        {
            process.kill();
        }
    }
}
