//! A cluster with Sekisho in it: a real API server, the control plane as processes with the rights of its service account, and
//! proxies as processes with the tokens of their pods. The tests play the kubelet: they make pods and mount what pods mount.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sekisho_testkit::{BoundTo, ControlPlane, Controllers, Port, Process, wait_until};
use serde_json::Value;
use tempfile::TempDir;

use crate::files::{SEKISHO, definitions, repository};

pub(crate) const SYSTEM: &str = "sekisho-system";
pub(crate) const WEBHOOK: &str = "sekisho-system-sekisho-control";
const AUDIENCE: &str = "sekisho-control";

pub(crate) struct Site {
    pub(crate) plane: ControlPlane,
    folder: TempDir,
}

/// One replica of the control plane.
pub(crate) struct Control {
    pub(crate) process: Process,
    pub(crate) fleet: Port,
    pub(crate) http: Port,
}

/// One proxy.
pub(crate) struct Proxy {
    pub(crate) process: Process,
    /// Its metrics and health are there.
    _http: Port,
    /// What the pod mounts.
    pub(crate) mounts: PathBuf,
}

impl Site {
    /// A cluster with the chart installed; its Deployment has no kubelet that would run it.
    pub(crate) fn install(controllers: Controllers, values: &[&str]) -> Option<Self> {
        let plane = ControlPlane::start(controllers)?;
        let site = Self {
            plane,
            folder: tempfile::tempdir().unwrap(),
        };
        let chart = repository("charts/sekisho");
        let mut arguments = vec![
            "install",
            "sekisho",
            chart.to_str().unwrap(),
            "--namespace",
            SYSTEM,
            "--create-namespace",
        ];
        arguments.extend(values.iter().flat_map(|value| ["--set", value]));
        site.plane.helm(arguments).ok();
        let established = [
            "wait",
            "--for=condition=Established",
            "--timeout=30s",
            "crd",
            "--all",
        ];
        site.plane.kubectl(established).ok();
        assert_eq!(definitions().len(), site.list("crd", "").len());
        Some(site)
    }

    /// Starts a replica of the control plane as the pod `name`, and waits until it has read the cluster.
    pub(crate) fn control(&self, name: &str, more: &[&str]) -> Control {
        let (fleet, http) = (Port::free(), Port::free());
        self.control_at(name, fleet, http, more)
    }

    pub(crate) fn control_at(&self, name: &str, fleet: Port, http: Port, more: &[&str]) -> Control {
        self.pod(SYSTEM, name, "sekisho-control", "{}");
        let token = self.token_file(SYSTEM, "sekisho-control", name);
        let kubeconfig = self
            .plane
            .kubeconfig_for_service_account(SYSTEM, "sekisho-control");
        let mut command = Command::new(SEKISHO);
        command
            .args([
                "control",
                "--namespace",
                SYSTEM,
                "--pod",
                name,
                "--pod-address",
                "127.0.0.1",
            ])
            .args([
                "--deployment",
                "sekisho-control",
                "--proxy-image",
                "sekisho-proxy:test",
            ])
            .args(["--webhook-configuration", WEBHOOK])
            .args([
                "--listen",
                &fleet.address().to_string(),
                "--http",
                &http.address().to_string(),
            ])
            .args([
                "--kubeconfig",
                kubeconfig.to_str().unwrap(),
                "--token-file",
                token.to_str().unwrap(),
            ])
            .args(["--lease-duration", "3s", "--log-format", "text"])
            .args(more);
        let mut process = Process::spawn(command);
        process.wait_for_output("everything that is in the cluster has been read");
        process.wait_for_port(fleet.address());
        Control {
            process,
            fleet,
            http,
        }
    }

    /// Starts a proxy of a gateway as the pod `name`, which knows the control plane at `control`.
    pub(crate) fn proxy(&self, gateway: &str, name: &str, control: SocketAddr) -> Proxy {
        let (namespace, own) = gateway.split_once('/').unwrap();
        let account = format!("sekisho-{own}");
        self.eventually(&format!("the service account {account}"), || {
            self.find("serviceaccount", namespace, &account)
        });
        self.pod(
            namespace,
            name,
            &account,
            &format!("{{ sekisho.dev/proxy-of: {own} }}"),
        );
        let token = self.token_file(namespace, &account, name);
        let mounts = self.folder.path().join(format!("{namespace}.{name}"));
        self.eventually("the snapshot object", || self.mount(gateway, &mounts));
        self.proxy_process(gateway, name, control, &token, mounts)
    }

    /// The same with whatever token.
    pub(crate) fn proxy_process(
        &self,
        gateway: &str,
        name: &str,
        control: SocketAddr,
        token: &Path,
        mounts: PathBuf,
    ) -> Proxy {
        let http = Port::free();
        let path = |name: &str| mounts.join(name).display().to_string();
        let mut command = Command::new(proxy_binary());
        command
            .args([
                "--gateway",
                gateway,
                "--name",
                name,
                "--control",
                &format!("https://{control}"),
            ])
            .args([
                "--token-file",
                token.to_str().unwrap(),
                "--ca",
                &path("snapshot/ca.crt"),
            ])
            .args([
                "--snapshot",
                &path("snapshot/snapshot.json.zst"),
                "--secrets",
                &path("secrets"),
            ])
            .args([
                "--state",
                &path("state"),
                "--listen",
                "127.0.0.1",
                "--http",
                &http.address().to_string(),
            ])
            .args(["--log-format", "text", "--host-name", "proxy.example"]);
        Proxy {
            process: Process::spawn(command),
            _http: http,
            mounts,
        }
    }

    /// Does what the kubelet does with the ConfigMap and the Secret of a gateway; nothing while the ConfigMap is not there.
    pub(crate) fn mount(&self, gateway: &str, mounts: &Path) -> Option<()> {
        let (namespace, own) = gateway.split_once('/').unwrap();
        let object = format!("sekisho-{own}");
        let snapshot = self.find("configmap", namespace, &object)?;
        let mut files = vec![(
            "ca.crt".to_owned(),
            snapshot["data"]["ca.crt"].as_str()?.as_bytes().to_vec(),
        )];
        files.extend(decoded(&snapshot["binaryData"]));
        write_mount(&mounts.join("snapshot"), &files);
        let secret = self.find("secret", namespace, &object).unwrap_or_default();
        write_mount(&mounts.join("secrets"), &decoded(&secret["data"]));
        Some(())
    }

    /// Makes a Pod that nobody runs.
    pub(crate) fn pod(&self, namespace: &str, name: &str, account: &str, labels: &str) {
        self.plane.apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{ name: {name}, namespace: {namespace}, labels: {labels} }}\n\
             spec: {{ serviceAccountName: {account}, containers: [{{ name: main, image: none }}] }}\n"
        ));
    }

    /// A file with a token for the control plane, bound to a Pod.
    pub(crate) fn token_file(&self, namespace: &str, account: &str, pod: &str) -> PathBuf {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let token = self
            .plane
            .token(namespace, account, Some(AUDIENCE), BoundTo::Pod(pod));
        let path = self
            .folder
            .path()
            .join(format!("token-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        fs::write(&path, token).unwrap();
        path
    }

    /// A file with a text.
    pub(crate) fn file(&self, text: &str) -> PathBuf {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.path().join(format!("file-{number}"));
        fs::write(&path, text).unwrap();
        path
    }

    /// What a replica answers over plain HTTP.
    pub(crate) fn http(&self, control: &Control, path: &str) -> String {
        let url = format!("http://{}{path}", control.http.address());
        let output = Command::new("curl")
            .args(["--silent", "--max-time", "20", &url])
            .output();
        String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
    }

    /// An object, if it is there.
    pub(crate) fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let ran = self.plane.kubectl([
            "get",
            kind,
            name,
            "--namespace",
            namespace,
            "--output=json",
            "--ignore-not-found",
        ]);
        serde_json::from_str(&ran.ok()).ok()
    }

    /// The objects of a kind in a namespace.
    pub(crate) fn list(&self, kind: &str, namespace: &str) -> Vec<Value> {
        let ran = self
            .plane
            .kubectl(["get", kind, "--namespace", namespace, "--output=json"]);
        let list: Value = serde_json::from_str(&ran.ok()).unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// Waits for something, and shows what the cluster's programs said if it does not come.
    #[track_caller]
    pub(crate) fn eventually<T>(&self, what: &str, ask: impl FnMut() -> Option<T>) -> T {
        wait_until(what, ask)
    }

    /// Waits until every connected proxy enforces an object as it is now.
    #[track_caller]
    pub(crate) fn programmed(&self, kind: &str, name: &str) -> String {
        self.condition(kind, name, "Programmed", "True", "Programmed")
    }

    /// Waits until a condition of an object has this status and reason; its message.
    #[track_caller]
    pub(crate) fn condition(
        &self,
        kind: &str,
        name: &str,
        type_: &str,
        status: &str,
        reason: &str,
    ) -> String {
        let (namespace, name) = name.split_once('/').unwrap();
        let mut last = Value::Null;
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(
                &format!("{type_}={status} ({reason}) of {kind} {namespace}/{name}"),
                || {
                    let object = self.find(kind, namespace, name)?;
                    last = object["status"].clone();
                    let conditions = object["status"]["conditions"].as_array()?;
                    let found = conditions.iter().find(|each| each["type"] == type_)?;
                    let is_current =
                        object["status"]["observedGeneration"] == object["metadata"]["generation"];
                    (is_current && found["status"] == status && found["reason"] == reason)
                        .then(|| found["message"].as_str().unwrap_or_default().to_owned())
                },
            )
        }));
        found.unwrap_or_else(|_| {
            panic!("no {type_}={status} ({reason}) of {kind} {namespace}/{name}: {last:#}")
        })
    }
}

fn decoded(data: &Value) -> Vec<(String, Vec<u8>)> {
    let entries = data.as_object().into_iter().flatten();
    entries
        .map(|(key, value)| (key.clone(), BASE64.decode(value.as_str().unwrap()).unwrap()))
        .collect()
}

/// As the kubelet does it: a new folder beside the old one, and then one link that points to the new one.
fn write_mount(mount: &Path, files: &[(String, Vec<u8>)]) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let version = format!("..v{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    fs::create_dir_all(mount.join(&version)).unwrap();
    for (name, content) in files {
        fs::write(mount.join(&version).join(name), content).unwrap();
        let link = mount.join(name);
        if fs::symlink_metadata(&link).is_err() {
            std::os::unix::fs::symlink(Path::new("..data").join(name), link).unwrap();
        }
    }
    let next = mount.join("..data_tmp");
    std::os::unix::fs::symlink(&version, &next).unwrap();
    fs::rename(next, mount.join("..data")).unwrap();
}

/// The other binary, which lies beside ours.
fn proxy_binary() -> PathBuf {
    let path = Path::new(SEKISHO).with_file_name("sekisho-proxy");
    assert!(
        path.exists(),
        "{} is not there; `cargo build -p sekisho-node` makes it",
        path.display()
    );
    path
}
