//! The key under which secrets and private data enter counters and records: whoever has them without the key has nothing.

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sekisho_policy::{Account, Item};
use sha2::Sha256;

const LENGTH: usize = 32;

/// HMAC-SHA-256, cut to 128 bits. Cloning shares the key; `Debug` does not show it.
#[derive(Clone)]
pub struct FleetKey(Arc<Hmac<Sha256>>);

impl FleetKey {
    /// Takes a key.
    #[must_use]
    pub fn new(key: [u8; LENGTH]) -> Self {
        // HMAC takes a key of any length, and this one is a block's half.
        Self(Arc::new(
            Hmac::new_from_slice(&key).expect("HMAC takes any length"),
        ))
    }

    /// Reads the key in `path`, or makes one and keeps it there, readable by its owner alone. Of two processes that do
    /// so at once, both get the same.
    ///
    /// # Errors
    /// The file cannot be read or made, or is no key.
    pub fn read_or_create(path: &Path) -> io::Result<Self> {
        match std::fs::read(path) {
            Ok(octets) => Self::from_octets(path, &octets),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path),
            Err(error) => Err(error),
        }
    }

    /// Reads the key in `path`.
    ///
    /// # Errors
    /// The file cannot be read, or is no key.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::from_octets(path, &std::fs::read(path)?)
    }

    fn create(path: &Path) -> io::Result<Self> {
        let mut key = [0; LENGTH];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&key)?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(path) {
            Ok(_) => Ok(Self::new(key)),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Self::from_octets(path, &std::fs::read(path)?)
            }
            Err(error) => Err(error.error),
        }
    }

    fn from_octets(path: &Path, octets: &[u8]) -> io::Result<Self> {
        <[u8; LENGTH]>::try_from(octets)
            .map(Self::new)
            .map_err(|_| {
                let message = format!(
                    "{}: a fleet key has {LENGTH} octets, this has {}",
                    path.display(),
                    octets.len()
                );
                io::Error::new(io::ErrorKind::InvalidData, message)
            })
    }

    /// Stands for one password of one account: the same password of another account gives another.
    #[must_use]
    pub fn fingerprint(&self, account: &Account, password: &[u8]) -> Item {
        self.item("password", &[account.as_str().as_bytes(), password])
    }

    /// What `X-Sekisho-Account` says of an account: 32 hexadecimal digits.
    #[must_use]
    pub fn account_tag(&self, account: &Account) -> String {
        let item = self.item("account header", &[account.as_str().as_bytes()]);
        item.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// Stands for anything else that is not to be read, such as a recipient's local part.
    #[must_use]
    pub fn pseudonym(&self, text: &str) -> Item {
        self.item("pseudonym", &[text.as_bytes()])
    }

    /// What names of tallies are hashed under where they are shared.
    pub(crate) fn naming_key(&self) -> [u8; LENGTH] {
        let mut mac = Hmac::clone(&self.0);
        mac.update(b"names of tallies");
        mac.finalize().into_bytes().into()
    }

    /// A part of what stands in for the secrets of an account that has none, always the same.
    pub(super) fn stand_in(&self, purpose: &str, part: usize, account: &Account) -> Item {
        self.item(purpose, &[&part.to_be_bytes(), account.as_str().as_bytes()])
    }

    /// Where an account that does not exist finds the one whose secrets it is likened to.
    pub(super) fn place(&self, account: &Account) -> u64 {
        let item = self.item("place of a stranger", &[account.as_str().as_bytes()]);
        item.iter()
            .take(8)
            .fold(0, |place, &octet| place << 8 | u64::from(octet))
    }

    /// So many letters that stand for `seed`, always the same.
    pub(super) fn letters(&self, purpose: &str, seed: &Item, count: usize) -> String {
        let octets = (0..count.div_ceil(seed.len()))
            .flat_map(|part: usize| self.item(purpose, &[&part.to_be_bytes(), seed]));
        let letters = octets.map(|octet| char::from(b'a' + octet % 26));
        letters.take(count).collect()
    }

    fn item(&self, purpose: &str, parts: &[&[u8]]) -> Item {
        let mut mac = Hmac::clone(&self.0);
        for part in [purpose.as_bytes()].iter().chain(parts) {
            // Framed, so that no two lists of parts run together into the same octets.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let digest = mac.finalize().into_bytes();
        std::array::from_fn(|at| digest[at])
    }
}

impl fmt::Debug for FleetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FleetKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn account(name: &str) -> Account {
        Account::canonical(name, None)
    }

    #[test]
    fn tells_apart_what_differs_and_nothing_else() {
        let key = FleetKey::new([7; 32]);
        let item = key.fingerprint(&account("a@b"), b"secret");
        assert_eq!(item, key.fingerprint(&account("A@B"), b"secret"));
        let others = [
            key.fingerprint(&account("a@b"), b"Secret"),
            key.fingerprint(&account("a@bs"), b"ecret"),
            key.pseudonym("a@bsecret"),
            FleetKey::new([8; 32]).fingerprint(&account("a@b"), b"secret"),
        ];
        assert!(others.iter().all(|other| *other != item));
    }

    #[test]
    fn is_made_once_and_kept_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.key");
        let made = FleetKey::read_or_create(&path).unwrap();
        let read = FleetKey::read_or_create(&path).unwrap();
        assert_eq!(made.pseudonym("x"), read.pseudonym("x"));
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::write(&path, b"short").unwrap();
        let error = FleetKey::read_or_create(&path).unwrap_err().to_string();
        assert!(
            error.contains("fleet.key") && error.contains("this has 5"),
            "{error}"
        );
        assert!(!format!("{made:?}").contains('7'));
    }
}
