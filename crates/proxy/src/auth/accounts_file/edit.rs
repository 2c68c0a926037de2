//! Changing an accounts file: comments and other lines stay as they are, and the file is replaced in one step.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use sekisho_policy::Account;

use super::{AccountsError, LineFault, entries, is_name, read, read_octets};
use crate::auth::hash;
use crate::auth::scram::Verifier;

/// What [`add`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The account is new.
    New,
    /// The account was there; it has a new password.
    Replaced,
}

/// What [`remove`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// The account is no longer there.
    Gone,
    /// It was not there before.
    NotThere,
}

/// Adds an account to the file, or gives it a new password, hashed with argon2id and as a verifier for SCRAM. A file that is not there is made.
/// It is readable by its owner alone afterwards. Two changes at once wait for each other.
///
/// # Errors
/// The file is malformed already, or cannot be read or written.
pub fn add(path: &Path, account: &Account, password: &[u8]) -> Result<Added, AccountsError> {
    let fault = |fault| AccountsError::Account {
        path: path.to_owned(),
        fault,
    };
    if !is_name(account.as_str()) {
        return Err(fault(LineFault::Name));
    }
    let line = format!(
        "{account}:{} {}\n",
        hash::make(password).map_err(|f| fault(f.into()))?,
        Verifier::make(password).map_err(|f| fault(f.into()))?
    );
    change(path, |before| {
        let (mut after, found) = with_line(before, account, line.as_bytes());
        if found {
            return (Some(after), Added::Replaced);
        }
        if after.last().is_some_and(|&octet| octet != b'\n') {
            after.push(b'\n');
        }
        after.extend_from_slice(line.as_bytes());
        (Some(after), Added::New)
    })
}

/// Removes an account from the file.
///
/// # Errors
/// The file is malformed already, or cannot be read or written.
pub fn remove(path: &Path, account: &Account) -> Result<Removed, AccountsError> {
    read(path, None)?;
    change(path, |before| match with_line(before, account, b"") {
        (after, true) => (Some(after), Removed::Gone),
        (_, false) => (None, Removed::NotThere),
    })
}

/// The accounts in the file, as it names them, in its order.
///
/// # Errors
/// The file is malformed, or cannot be read.
pub fn list(path: &Path) -> Result<Vec<Account>, AccountsError> {
    read(path, None)?;
    let (octets, _) = read_octets(path)?;
    let names = entries(&octets).filter_map(|(_, entry)| entry.ok());
    Ok(names
        .map(|(name, _)| Account::canonical(name, None))
        .collect())
}

/// Replaces a well-formed file by what `edit` makes of it, if anything. A missing one counts as empty.
fn change<T>(
    path: &Path,
    edit: impl FnOnce(&[u8]) -> (Option<Vec<u8>>, T),
) -> Result<T, AccountsError> {
    let failed = |source| AccountsError::Write {
        path: path.to_owned(),
        source,
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let lock = File::open(folder).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let before = match read_octets(path) {
        Ok((octets, _)) => octets,
        Err(AccountsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    if !before.is_empty() {
        read(path, None)?;
    }
    let (after, done) = edit(&before);
    if let Some(after) = after {
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(&after).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        lock.sync_all().map_err(failed)?;
    }
    Ok(done)
}

/// The file with `line` in place of the account's, and whether it had one.
fn with_line(before: &[u8], account: &Account, line: &[u8]) -> (Vec<u8>, bool) {
    let is_ours = |name: &str| Account::canonical(name, None) == *account;
    let ours = entries(before)
        .find(|(_, entry)| entry.is_ok_and(|(name, _)| is_ours(name)))
        .map(|(at, _)| at);
    let mut after = Vec::with_capacity(before.len() + line.len() + 1);
    for (at, old) in before.split_inclusive(|&octet| octet == b'\n').enumerate() {
        after.extend_from_slice(if ours == Some(at + 1) { line } else { old });
    }
    (after, ours.is_some())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::auth::accounts_file::{AccountsFile, Found};

    const HASH: &str =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

    fn account(name: &str) -> Account {
        Account::canonical(name, None)
    }

    #[test]
    fn adding_keeps_the_rest_and_replaces_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts");
        assert_eq!(add(&path, &account("a@b"), b"one").unwrap(), Added::New);
        let first = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("# staff\n{first}c@d:{HASH}")).unwrap();
        assert_eq!(
            add(&path, &account("A@B"), b"two").unwrap(),
            Added::Replaced
        );
        assert_eq!(add(&path, &account("e@f"), b"three").unwrap(), Added::New);
        let text = std::fs::read_to_string(&path).unwrap();
        let names: Vec<_> = text
            .lines()
            .map(|line| line.split(':').next().unwrap())
            .collect();
        assert_eq!(names, ["# staff", "a@b", "c@d", "e@f"]);
        let file = AccountsFile::open(&path, None).unwrap();
        let Found::Known(hash) = file.find(&account("a@b"), &crate::auth::FleetKey::new([7; 32]))
        else {
            panic!("unknown")
        };
        assert!(hash.matches(b"two") && !hash.matches(b"one"));
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left behind"
        );
    }

    #[test]
    fn removing_keeps_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts");
        std::fs::write(&path, format!("# staff\na@b:{HASH}\n\nC:{HASH}\n")).unwrap();
        assert_eq!(list(&path).unwrap(), [account("a@b"), account("c")]);
        assert_eq!(remove(&path, &account("a@b")).unwrap(), Removed::Gone);
        assert_eq!(remove(&path, &account("a@b")).unwrap(), Removed::NotThere);
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("# staff\n\nC:{HASH}\n")
        );
        assert!(remove(&folder.path().join("none"), &account("a@b")).is_err());
    }

    #[test]
    fn a_malformed_file_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts");
        std::fs::write(&path, "broken\n").unwrap();
        assert!(
            add(&path, &account("a@b"), b"one")
                .unwrap_err()
                .to_string()
                .contains(":1: ")
        );
        assert!(
            add(&path, &account("a:b"), b"one")
                .unwrap_err()
                .to_string()
                .contains("name")
        );
        assert!(
            remove(&path, &account("a@b"))
                .unwrap_err()
                .to_string()
                .contains(":1: ")
        );
        assert!(list(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "broken\n");
    }
}
