//! Accounts in a file: one `account:hash` a line, perhaps with a SCRAM verifier behind the hash or in its place, `#` for comments. A file that became malformed changes nothing.

mod edit;
mod fault;
mod ring;

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use sekisho_policy::Account;
use sekisho_smtp::sasl::{ClientFirst, Secret};

use super::FleetKey;
use super::hash::Hash;
use super::scram::{Known, Scram, Verifier};

use ring::Ring;

pub use edit::{Added, Removed, add, list, remove};
pub use fault::{AccountsError, HashFault, LineFault};

/// Octets of a file that are read; half a million accounts.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// Octets of an account's name.
const MAX_NAME: usize = 320;

/// What [`AccountsFile::refresh`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    Unchanged,
    Reloaded,
}

/// An accounts file and what it said when it was last good.
pub(crate) struct AccountsFile {
    path: PathBuf,
    default_domain: Option<String>,
    accounts: ArcSwap<Accounts>,
    /// The file that was looked at last, good or not, so that a fault is reported once.
    seen: Mutex<Option<Stamp>>,
}

impl std::fmt::Debug for AccountsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountsFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

/// The accounts, in the order of the file.
struct Accounts {
    by_name: HashMap<Account, usize>,
    hashes: Vec<Arc<Hash>>,
    /// Beside each hash, what SCRAM needs.
    verifiers: Vec<Option<Arc<Verifier>>>,
    /// Those that have one, and all.
    with_verifier: Ring,
    all: Ring,
    nobody: Arc<Hash>,
}

/// What there is to check a password against.
pub(super) enum Found {
    /// The account's own hash.
    Known(Arc<Hash>),
    /// Somebody else's: checking it takes the time, and its answer means nothing.
    Unknown(Arc<Hash>),
}

impl AccountsFile {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or one of its lines is wrong.
    pub(crate) fn open(path: &Path, default_domain: Option<&str>) -> Result<Self, AccountsError> {
        let (accounts, stamp) = read(path, default_domain)?;
        Ok(Self {
            path: path.to_owned(),
            default_domain: default_domain.map(Into::into),
            accounts: ArcSwap::from_pointee(accounts),
            seen: Mutex::new(Some(stamp)),
        })
    }

    /// Whether it is the file at `path`, read with this default domain.
    pub(super) fn is(&self, path: &Path, default_domain: Option<&str>) -> bool {
        self.path == path && self.default_domain.as_deref() == default_domain
    }

    /// Reads the file again if it is another than last time. Blocks for as long as reading takes.
    ///
    /// # Errors
    /// As [`AccountsFile::open`], once for each change; the accounts stay as they were.
    pub(crate) fn refresh(&self) -> Result<Refresh, AccountsError> {
        let now = std::fs::metadata(&self.path)
            .ok()
            .map(|metadata| Stamp::of(&metadata));
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == now {
                return Ok(Refresh::Unchanged);
            }
            *seen = now;
        }
        let (accounts, _) = read(&self.path, self.default_domain.as_deref())?;
        self.accounts.store(Arc::new(accounts));
        Ok(Refresh::Reloaded)
    }

    /// What to check a password of `account` against. An unknown account is given the hash of one that is known, always
    /// the same, so that the time an answer takes says nothing of who exists, even where hashes differ in cost.
    pub(super) fn find(&self, account: &Account, key: &FleetKey) -> Found {
        let accounts = self.accounts.load();
        if let Some(&at) = accounts.by_name.get(account) {
            return Found::Known(Arc::clone(&accounts.hashes[at]));
        }
        let stranger = accounts.all.pick(account, key);
        let hash = stranger.map_or(&accounts.nobody, |at| &accounts.hashes[at]);
        Found::Unknown(Arc::clone(hash))
    }

    /// Whether the file has an account of this name.
    pub(super) fn has(&self, account: &Account) -> bool {
        self.accounts.load().by_name.contains_key(account)
    }

    /// Whether any account of it can log in by SCRAM.
    pub(super) fn has_verifiers(&self) -> bool {
        !self.accounts.load().with_verifier.is_empty()
    }

    /// Answers the first message of SCRAM, for an account that is known as for one that is not.
    pub(super) fn start_scram(
        &self,
        first: &ClientFirst,
        account: &Account,
        channel: &[u8],
        nonce: &str,
        key: &FleetKey,
    ) -> (Scram, Secret) {
        let accounts = self.accounts.load();
        let verifier = |at: usize| accounts.verifiers[at].as_deref();
        let usual = Verifier::usual();
        let like = accounts.with_verifier.pick(account, key).and_then(verifier);
        let own = accounts.by_name.get(account).copied().and_then(verifier);
        let known = own.map_or(Known::No(like.unwrap_or(&usual)), Known::Yes);
        Scram::start(first, account.clone(), &known, channel, nonce, key)
    }
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

fn read(path: &Path, default_domain: Option<&str>) -> Result<(Accounts, Stamp), AccountsError> {
    let (octets, stamp) = read_octets(path)?;
    let mut accounts = Accounts {
        by_name: HashMap::new(),
        hashes: Vec::new(),
        verifiers: Vec::new(),
        with_verifier: Ring::default(),
        all: Ring::default(),
        nobody: Arc::new(Hash::nobody().map_err(|f| AccountsError::Account {
            path: path.into(),
            fault: f.into(),
        })?),
    };
    let mut lines = Vec::new();
    for (line, entry) in entries(&octets) {
        let at = |fault| AccountsError::Line {
            path: path.to_owned(),
            line,
            fault,
        };
        let (name, hash) = entry.map_err(at)?;
        let account = Account::canonical(name, default_domain);
        let (hash, verifier) = secrets(hash).map_err(|fault| at(fault.into()))?;
        let place = accounts.hashes.len();
        accounts.all.add(&account, place);
        if verifier.is_some() {
            accounts.with_verifier.add(&account, place);
        }
        if let Some(before) = accounts.by_name.insert(account, place) {
            return Err(at(LineFault::Duplicate(lines[before])));
        }
        accounts.verifiers.push(verifier.map(Arc::new));
        accounts.hashes.push(Arc::new(hash));
        lines.push(line);
    }
    accounts.all.close();
    accounts.with_verifier.close();
    Ok((accounts, stamp))
}

/// `HASH`, `VERIFIER` or `HASH VERIFIER`: what a password is checked against, and what SCRAM needs.
fn secrets(text: &str) -> Result<(Hash, Option<Verifier>), HashFault> {
    let Some((hash, verifier)) = text.split_once(' ') else {
        let hash = Hash::parse(text)?;
        let verifier = match &hash {
            Hash::Scram(verifier) => Some(verifier.clone()),
            Hash::Argon2id(_) | Hash::Bcrypt(_) => None,
        };
        return Ok((hash, verifier));
    };
    let verifier = Verifier::parse(verifier.trim_start())?;
    Ok((Hash::parse(hash)?, Some(verifier)))
}

fn read_octets(path: &Path) -> Result<(Vec<u8>, Stamp), AccountsError> {
    let failed = |source| AccountsError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let stamp = Stamp::of(&file.metadata().map_err(failed)?);
    let mut octets = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut octets)
        .map_err(failed)?;
    if octets.len() as u64 > MAX_FILE {
        return Err(AccountsError::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok((octets, stamp))
}

/// The entries with the numbers of their lines: names and hashes as they stand there.
fn entries(octets: &[u8]) -> impl Iterator<Item = (usize, Result<(&str, &str), LineFault>)> {
    octets
        .split(|&octet| octet == b'\n')
        .enumerate()
        .filter_map(|(at, line)| {
            let entry = match std::str::from_utf8(line) {
                Err(_) => Err(LineFault::NotUtf8),
                Ok(line) => match line.trim() {
                    "" => return None,
                    comment if comment.starts_with('#') => return None,
                    line => split(line),
                },
            };
            Some((at + 1, entry))
        })
}

fn split(line: &str) -> Result<(&str, &str), LineFault> {
    let (name, hash) = line.split_once(':').ok_or(LineFault::NoColon)?;
    if is_name(name) {
        Ok((name, hash))
    } else {
        Err(LineFault::Name)
    }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && !name.starts_with('#')
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

    fn account(name: &str) -> Account {
        Account::canonical(name, None)
    }

    fn key() -> FleetKey {
        FleetKey::new([7; 32])
    }

    fn write(path: &Path, text: &str) {
        // A new inode each time, so that the change shows even within one tick of the file system's clock.
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    #[test]
    fn reads_what_people_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts");
        write(
            &path,
            &format!("# staff\r\n\n  Aya@Example.jp:{HASH}\r\nbob:{HASH}\n  # end"),
        );
        let file = AccountsFile::open(&path, Some("example.jp")).unwrap();
        for name in ["aya@example.jp", "bob@example.jp"] {
            assert!(
                matches!(file.find(&account(name), &key()), Found::Known(_)),
                "{name}"
            );
        }
        assert!(matches!(
            file.find(&account("bob"), &key()),
            Found::Unknown(_)
        ));
        let Found::Unknown(hash) = file.find(&account("nobody@example.jp"), &key()) else {
            panic!("known")
        };
        assert!(
            hash.matches(b"password"),
            "an unknown account costs what a known one does"
        );
    }

    #[test]
    fn each_fault_names_the_line_and_not_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts");
        let table = [
            (format!("a@b:{HASH}\nnothing\n"), 2, "account:hash"),
            (format!("a@b:{HASH}\n\n# x\nA@B:{HASH}\n"), 4, "in line 1 already"),
            ("a@b:sesame\n".to_owned(), 1, "neither argon2id"),
            (format!(":{HASH}\n"), 1, "name"),
            (format!("a b:{HASH}\n"), 1, "name"),
            ("a@b:$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4".to_owned(), 1, "cost too much"),
        ];
        for (text, line, fault) in table {
            write(&path, &text);
            let message = AccountsFile::open(&path, None).unwrap_err().to_string();
            let place = format!("{}:{line}: ", path.display());
            assert!(
                message.starts_with(&place) && message.contains(fault),
                "{message}"
            );
            assert!(
                !message.contains("sesame") && !message.contains("c29tZXNhbHQ"),
                "{message}"
            );
        }
        std::fs::write(&path, b"a@b:\xff\n").unwrap();
        assert!(
            AccountsFile::open(&path, None)
                .unwrap_err()
                .to_string()
                .ends_with(":1: it is not UTF-8")
        );
        let missing = AccountsFile::open(&folder.path().join("none"), None)
            .unwrap_err()
            .to_string();
        assert!(missing.contains("none: cannot be read"), "{missing}");
    }

    #[test]
    fn a_file_that_became_malformed_changes_nothing_and_is_reported_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts");
        write(&path, &format!("a@b:{HASH}\n"));
        let file = AccountsFile::open(&path, None).unwrap();
        assert_eq!(file.refresh().unwrap(), Refresh::Unchanged);
        write(&path, "a@b\n");
        assert!(file.refresh().unwrap_err().to_string().contains(":1: "));
        assert_eq!(file.refresh().unwrap(), Refresh::Unchanged);
        assert!(matches!(
            file.find(&account("a@b"), &key()),
            Found::Known(_)
        ));
        std::fs::remove_file(&path).unwrap();
        assert!(file.refresh().is_err());
        assert!(matches!(
            file.find(&account("a@b"), &key()),
            Found::Known(_)
        ));
        write(&path, &format!("c@d:{HASH}\n"));
        assert_eq!(file.refresh().unwrap(), Refresh::Reloaded);
        assert!(matches!(
            file.find(&account("a@b"), &key()),
            Found::Unknown(_)
        ));
        assert!(matches!(
            file.find(&account("c@d"), &key()),
            Found::Known(_)
        ));
    }
}
