//! Programs in a mount namespace of their own: there, users exist that only a package's installation would make, and
//! folders that are compiled in lie elsewhere. The machine itself is not touched.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Place;
use crate::component::{require, skip};

/// One user, with a group of the same name and number.
pub(super) struct User {
    pub(super) name: &'static str,
    pub(super) id: u32,
}

/// A command that runs `program` where `users` exist and each path of `mounts` shows the folder beside it, or `None`
/// after saying that the test is skipped: namespaces are forbidden here. Arguments can be added to it.
pub(super) fn command(
    place: &Place,
    users: &[User],
    mounts: &[(&str, PathBuf)],
    program: &Path,
) -> Option<Command> {
    let unshare = require("unshare")?;
    let forbidden = !Command::new(&unshare)
        .args(["--mount", "true"])
        .status()
        .is_ok_and(|status| status.success());
    if forbidden {
        skip("mount namespaces are forbidden here");
        return None;
    }
    let mut script = String::from("set -e\n");
    for file in ["passwd", "group"] {
        let text = fs::read_to_string(Path::new("/etc").join(file)).unwrap();
        place.write(file, &(text + &lines(file, users)));
        writeln!(
            script,
            "mount --bind {} /etc/{file}",
            place.path(file).display()
        )
        .unwrap();
    }
    for (path, folder) in mounts {
        writeln!(script, "mount --bind {} {path}", folder.display()).unwrap();
    }
    script.push_str("exec \"$@\"\n");
    let mut command = Command::new(unshare);
    command
        .args(["--mount", "--propagation", "private", "sh", "-c"])
        .arg(script)
        .arg("sh")
        .arg(program);
    Some(command)
}

fn lines(file: &str, users: &[User]) -> String {
    users
        .iter()
        .map(|User { name, id }| match file {
            "passwd" => format!("{name}:x:{id}:{id}::/nonexistent:/usr/sbin/nologin\n"),
            _ => format!("{name}:x:{id}:\n"),
        })
        .collect()
}
