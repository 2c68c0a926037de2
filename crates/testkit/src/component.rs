//! Real programs that a test needs. With `CI` set a missing one fails the test; elsewhere the test is skipped, loudly.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::data;

/// Where Debian keeps what is not on every user's path.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// The path of a program, or `None` after saying that the test is skipped.
///
/// # Panics
/// The program is missing and `CI` is set.
pub fn require(name: &str) -> Option<PathBuf> {
    let found = program(name);
    if found.is_none() {
        skip(&format!(
            "{name} is not installed (`make setup` installs it)"
        ));
    }
    found
}

/// The path of a program if it is installed.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = environment("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
}

/// A program of a Debian package that cannot be installed beside another (all mail servers exclude one another), from
/// where `make setup` unpacks it; or `None` after saying that the test is skipped.
///
/// # Panics
/// It is missing and `CI` is set.
pub fn unpacked(package: &str, path: &str) -> Option<PathBuf> {
    data::fetched(&format!("debian/{package}/{path}"))
}

/// Says that this test is skipped and why; return from the test after it. It writes past the capture of the test
/// harness, so that the line is seen (and counted by `make test`) even though the test counts as passed.
///
/// # Panics
/// `CI` is set.
pub fn skip(reason: &str) {
    assert!(
        environment("CI").is_none(),
        "{reason}; with CI set nothing may be skipped"
    );
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // In one write, so that nothing comes between; a closed standard error is no reason to fail.
    let line = format!("SKIPPED: {test}: {reason}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// A variable that is set and not empty.
pub(crate) fn environment(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests learn from the environment where they run"
    )]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name_and_others_are_not() {
        assert!(program("sh").is_some_and(|path| path.ends_with("sh")));
        assert_eq!(program("no-such-program-anywhere"), None);
    }
}
