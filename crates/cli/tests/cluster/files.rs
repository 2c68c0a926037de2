//! Where the repository keeps what is applied to a cluster, and the tool from the outside.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) const SEKISHO: &str = env!("CARGO_BIN_EXE_sekisho");

/// A path within the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// The text of each definition in `crds/`, with its name.
pub(crate) fn definitions() -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> = fs::read_dir(repository("crds"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(file).unwrap())
        })
        .collect()
}

/// What `sekisho lint` prints of objects, and whether it accepts them.
pub(crate) fn lint(objects: &str) -> (bool, String) {
    let mut child = Command::new(SEKISHO)
        .args(["lint", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(objects.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

/// What `sekisho lint` prints of a folder.
pub(crate) fn lint_folder(folder: &Path) -> String {
    let output = Command::new(SEKISHO)
        .arg("lint")
        .arg(folder)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}
