//! A process of a test's own, for what is of the whole process: a disk that is full, rights that root does not have.

use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};

use crate::component::environment;

/// Says to a process of a test's own which test it is.
const ALONE: &str = "SEKISHO_TEST_ALONE";

/// Does `work` in a process of its own, in which a write that finds no room is an error and no signal. `test` says which test this is:
/// `concat!(module_path!(), "::", "name_of_the_test")`.
///
/// # Panics
/// It fails there.
pub fn alone(test: &str, work: impl FnOnce()) {
    // Which signals are ignored is handed on to the program; that of a file that grew too long would end it.
    run(&["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"], test, work);
}

/// Does `work` where permissions of files bind, as they do not bind root: in a process of its own, without that right of root's.
///
/// # Panics
/// It fails there.
pub fn bound_by_permissions(test: &str, work: impl FnOnce()) {
    if !geteuid().is_root() {
        return work();
    }
    let rights = "-dac_override,-dac_read_search";
    let without = ["--bounding-set", rights, "--inh-caps", rights];
    run(&[&["setpriv"], &without[..]].concat(), test, work);
}

fn run(through: &[&str], test: &str, work: impl FnOnce()) {
    if environment(ALONE).as_deref() == Some(test) {
        return work();
    }
    // The harness does not say of which crate a test is.
    let name = test.split_once("::").map_or(test, |(_, name)| name);
    let ran = Command::new(through[0])
        .args(&through[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(ALONE, test)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [out, err] = [&ran.stdout, &ran.stderr].map(|said| String::from_utf8_lossy(said));
    let has_passed = ran.status.success() && out.contains(" 1 passed;");
    assert!(has_passed, "{test} in a process of its own:\n{out}\n{err}");
}

/// No file of this process grows beyond so many octets until this is dropped. What fits is written, and then there is an error, as on a
/// disk that is full. For tests that are [`alone`]: it is of the whole process.
#[derive(Debug)]
pub struct FullDisk(Rlimit);

impl FullDisk {
    pub fn after(octets: u64) -> Self {
        let before = getrlimit(Resource::Fsize);
        let maximum = before.maximum;
        let current = Some(octets);
        setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
        Self(before)
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let Rlimit { current, maximum } = self.0;
        setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{ErrorKind, Write as _};

    use super::*;

    #[test]
    fn what_fits_is_written_and_the_rest_when_there_is_room() {
        let test = concat!(
            module_path!(),
            "::what_fits_is_written_and_the_rest_when_there_is_room"
        );
        alone(test, || {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            let mut file = File::create(&path).unwrap();
            let full = FullDisk::after(3);
            let error = file.write_all(b"12345").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::FileTooLarge);
            assert_eq!(std::fs::read(&path).unwrap(), b"123");
            drop(full);
            file.write_all(b"45").unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"12345");
        });
    }

    #[test]
    #[should_panic(expected = "in a process of its own")]
    fn a_test_that_is_not_there_is_no_success() {
        alone("a::test::that_is_not_there", || panic!("not here"));
    }
}
