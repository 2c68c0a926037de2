//! kubectl and helm as an administrator, or as whom a kubeconfig names.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use super::ControlPlane;
use crate::wait::PATIENCE;

/// How a program ended, and what it wrote.
#[derive(Debug)]
pub struct Ran {
    what: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Its standard output.
    ///
    /// # Panics
    /// It failed; the message shows what it wrote.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(
            self.status.success(),
            "{}: {}\n{}{}",
            self.what,
            self.status,
            self.stdout,
            self.stderr
        );
        self.stdout
    }

    /// Its standard error.
    ///
    /// # Panics
    /// It succeeded.
    #[track_caller]
    pub fn refused(self) -> String {
        assert!(
            !self.status.success(),
            "{} succeeded:\n{}",
            self.what,
            self.stdout
        );
        self.stderr
    }
}

impl ControlPlane {
    /// Runs kubectl as the administrator.
    pub fn kubectl<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        self.kubectl_as(&self.admin_kubeconfig(), arguments, "")
    }

    /// Runs kubectl as whom the kubeconfig names, with something to read.
    pub fn kubectl_as<S: AsRef<OsStr>>(
        &self,
        kubeconfig: &Path,
        arguments: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Ran {
        let mut command = self.command(&self.shared.assets.kubectl, kubeconfig);
        command.args(arguments);
        run(command, input)
    }

    /// Applies objects, as the administrator and the server's side.
    ///
    /// # Panics
    /// They are refused.
    #[track_caller]
    pub fn apply(&self, objects: &str) {
        self.try_apply(objects).ok();
    }

    /// Applies objects, which may be refused.
    pub fn try_apply(&self, objects: &str) -> Ran {
        let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.kubectl_as(&self.admin_kubeconfig(), arguments, objects)
    }

    /// Makes a namespace that is not there yet.
    ///
    /// # Panics
    /// It is there.
    #[track_caller]
    pub fn create_namespace(&self, name: &str) {
        self.kubectl(["create", "namespace", name]).ok();
    }

    /// Runs helm as the administrator.
    pub fn helm<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        let mut command = self.command(&self.shared.assets.helm, &self.admin_kubeconfig());
        command.args(arguments);
        run(command, "")
    }

    /// Where helm is, for scripts that run it themselves.
    pub fn helm_program(&self) -> &Path {
        &self.shared.assets.helm
    }

    /// The answer to a GET of the API, by the administrator.
    pub fn raw(&self, path: &str) -> Ran {
        self.kubectl(["get", "--raw", path])
    }

    fn command(&self, program: &Path, kubeconfig: &Path) -> Command {
        let mut command = Command::new(program);
        let cache = self.shared.path("cache");
        command
            .env("KUBECONFIG", kubeconfig)
            .env("KUBECACHEDIR", cache.join("kubectl"))
            .env("HELM_CACHE_HOME", cache.join("helm"))
            .env("HELM_CONFIG_HOME", cache.join("helm-config"))
            .env("HELM_DATA_HOME", cache.join("helm-data"));
        command
    }

    /// Waits for the API server, and without controllers for nothing else: what bootstraps itself is part of its readiness.
    pub(super) fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(ended) = self.servers().ended() {
                panic!("{ended}\n{}", self.logs());
            }
            let asked = self.kubectl(["get", "--raw", "/readyz", "--request-timeout=5s"]);
            if asked.status.success() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the API server is not ready: {}\n{}",
                asked.stderr,
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn run(mut command: Command, input: &str) -> Ran {
    let what = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{what} cannot be started: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // It may end without reading all of it.
        scope.spawn(move || stdin.write_all(input.as_bytes()).ok());
        child.wait_with_output().unwrap()
    });
    Ran {
        what,
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
