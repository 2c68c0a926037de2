//! The programs of a control plane: the folder that `.ci/envtest` fills, or the one that `KUBEBUILDER_ASSETS` names.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::component::{environment, program};

#[derive(Debug)]
pub(super) struct Assets {
    pub(super) etcd: PathBuf,
    pub(super) api_server: PathBuf,
    pub(super) controller_manager: PathBuf,
    pub(super) kubectl: PathBuf,
    pub(super) helm: PathBuf,
}

impl Assets {
    /// All of them, or what to do about those that are missing.
    pub(super) fn find() -> Result<Self, String> {
        let folder = folder()?;
        let find = |name: &str| {
            let inside = folder.join(name);
            if inside.is_file() {
                return Ok(inside);
            }
            // kubectl and helm may be installed otherwise.
            program(name).ok_or_else(|| {
                format!(
                    "{name} is neither in {} nor on the PATH (`make envtest` provides it)",
                    folder.display()
                )
            })
        };
        Ok(Self {
            etcd: find("etcd")?,
            api_server: find("kube-apiserver")?,
            controller_manager: find("kube-controller-manager")?,
            kubectl: find("kubectl")?,
            helm: find("helm")?,
        })
    }
}

/// Asks `.ci/envtest` where they are; it is told not to build, which takes minutes that no test should.
fn folder() -> Result<PathBuf, String> {
    if let Some(folder) = environment("KUBEBUILDER_ASSETS") {
        return Ok(PathBuf::from(folder));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/envtest");
    let asked = Command::new(script)
        .arg("--where")
        .output()
        .map_err(|error| format!("no Kubernetes: .ci/envtest cannot be run: {error}"))?;
    if !asked.status.success() {
        return Err(
            "Kubernetes is not built (`make envtest` builds it, once, in about ten minutes)"
                .to_owned(),
        );
    }
    Ok(PathBuf::from(
        String::from_utf8_lossy(&asked.stdout).trim_end(),
    ))
}
