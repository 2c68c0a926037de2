//! The state folder: one process at a time, and the last good snapshot of each gateway.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sekisho_policy::{Envelope, ObjectRef};

use crate::error::Error;

/// The state folder of this process. Dropping it lets another process have it.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    _lock: File,
}

impl StateFolder {
    /// Takes the folder, making it if it is not there.
    ///
    /// # Errors
    /// It cannot be made or written, or another process has it.
    pub fn take(path: &Path) -> Result<Self, Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| fault(path, source))?;
        let lock_path = path.join("lock");
        let lock = private()
            .truncate(false)
            .open(&lock_path)
            .map_err(|source| fault(&lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::StateTaken(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(fault(&lock_path, source)),
        }
        let snapshots = path.join("snapshots");
        fs::create_dir_all(&snapshots).map_err(|source| fault(&snapshots, source))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a snapshot as the last good one; after a crash either this one or the one before is there.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn keep(&self, envelope: &Envelope) -> Result<(), Error> {
        let path = self.snapshot_path(&envelope.snapshot.gateway.object);
        serde_json::to_vec(envelope)
            .map_err(io::Error::other)
            .and_then(|json| write_atomically(&path, &json))
            .map_err(|source| fault(&path, source))
    }

    /// Forgets the last good snapshot of a gateway that was deleted.
    pub fn forget(&self, gateway: &ObjectRef) {
        let path = self.snapshot_path(gateway);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "the snapshot of a deleted gateway stays");
        }
    }

    /// The last good snapshot of one gateway.
    #[must_use]
    pub fn last_good_of(&self, gateway: &ObjectRef) -> Option<Envelope> {
        read(&self.snapshot_path(gateway))
    }

    /// The last good snapshots of all gateways.
    #[must_use]
    pub fn all_last_good(&self) -> Vec<Envelope> {
        last_good(&self.path)
    }

    fn snapshot_path(&self, gateway: &ObjectRef) -> PathBuf {
        // Names of objects and namespaces are DNS labels, so neither a slash nor an underscore can be in them.
        self.path
            .join("snapshots")
            .join(format!("{}_{}.json", gateway.namespace, gateway.name))
    }
}

/// The last good snapshots that a state folder holds, whether a process runs there or not.
#[must_use]
pub fn last_good(state: &Path) -> Vec<Envelope> {
    let entries = fs::read_dir(state.join("snapshots"))
        .into_iter()
        .flatten()
        .flatten();
    let json = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "json"));
    json.filter_map(|path| read(&path)).collect()
}

fn read(path: &Path) -> Option<Envelope> {
    let json = match fs::read(path) {
        Ok(json) => json,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "a last good snapshot cannot be read");
            return None;
        }
    };
    match Envelope::read(&json) {
        Ok(envelope) => Some(envelope),
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "a last good snapshot is damaged and not used");
            None
        }
    }
}

fn fault(path: &Path, source: io::Error) -> Error {
    Error::State {
        path: path.to_owned(),
        source,
    }
}

pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = private().truncate(true).open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    rename_safely(&draft, path)
}

/// Puts a file that is on the disk in the place of another.
pub(crate) fn rename_safely(draft: &Path, path: &Path) -> io::Result<()> {
    fs::rename(draft, path)?;
    // The rename itself must survive a crash too.
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_folder_serves_one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let taken = StateFolder::take(folder.path()).unwrap();
        let refused = StateFolder::take(folder.path()).unwrap_err().to_string();
        assert!(
            refused.contains("another sekisho uses the state folder"),
            "{refused}"
        );
        drop(taken);
        StateFolder::take(folder.path()).unwrap();
    }

    #[test]
    fn a_damaged_snapshot_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::take(folder.path()).unwrap();
        let gateway = ObjectRef {
            kind: sekisho_policy::snapshot::Kind::MailGateway,
            namespace: "default".into(),
            name: "g".into(),
        };
        fs::write(state.snapshot_path(&gateway), "{}").unwrap();
        assert_eq!(state.all_last_good(), []);
    }
}
