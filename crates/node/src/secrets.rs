//! The folder of secret values: read whole, watched for the swap of its symlink, and asked by listeners and relays.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use sekisho_policy::Snapshot;
use sekisho_policy::snapshot::ListenerTls;
use sekisho_proxy::{Certificates, Credentials, FleetKey};
use sekisho_runtime::tls::{Identity, self_signed};
use sekisho_runtime::{Clock, Error};
use zeroize::Zeroizing;

/// The file of the fleet's key.
pub(crate) const FLEET_KEY: &str = "_fleet.key";
/// The file of the keys that the cluster signs the tokens of its service accounts with.
const CLUSTER_KEYS: &str = "_cluster.jwks";
/// A Secret holds 1 MiB; files beside it are of nobody's making.
const MOST_OCTETS: u64 = 2 << 20;
const MOST_FILES: usize = 4096;

/// The values by file name, `SECRET_KEY`: no Secret has an underscore in its name.
type Values = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// The secret values as they were last read. Cloning shares them; `Debug` shows none.
#[derive(Clone)]
pub(crate) struct Secrets {
    folder: PathBuf,
    namespace: String,
    held: Arc<RwLock<Values>>,
}

/// Whether the folder holds something else than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refreshed {
    Unchanged,
    Changed,
}

impl Secrets {
    pub(crate) fn new(folder: PathBuf, namespace: &str) -> Self {
        Self {
            folder,
            namespace: namespace.to_owned(),
            held: Arc::default(),
        }
    }

    /// Reads the folder anew. Blocks.
    ///
    /// # Errors
    /// It cannot be read; what was read before stays.
    pub(crate) fn refresh(&self) -> io::Result<Refreshed> {
        let found = read(&self.folder)?;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if *held == found {
            return Ok(Refreshed::Unchanged);
        }
        *held = found;
        Ok(Refreshed::Changed)
    }

    /// The key of the fleet.
    ///
    /// # Errors
    /// It is not there, or is no key.
    pub(crate) fn fleet_key(&self) -> Result<FleetKey, String> {
        let path = self.folder.join(FLEET_KEY);
        let key = self
            .value_of_file(FLEET_KEY)
            .ok_or_else(|| format!("waits for the fleet's key in {}", path.display()))?;
        <[u8; 32]>::try_from(&**key)
            .map(FleetKey::new)
            .map_err(|_| {
                format!(
                    "{}: a fleet key has 32 octets, this has {}",
                    path.display(),
                    key.len()
                )
            })
    }

    /// The Secrets that `snapshot` names and that are not here in whole, each once.
    pub(crate) fn pending(&self, snapshot: &Snapshot) -> Vec<String> {
        let mut pending: Vec<String> = needs(snapshot)
            .into_iter()
            .filter(|(name, kinds)| {
                let mut kinds = kinds.iter();
                !kinds.any(|keys| keys.iter().all(|key| self.has(name, key)))
            })
            .map(|(name, _)| name.to_owned())
            .collect();
        pending.sort_unstable();
        pending.dedup();
        pending
    }

    fn has(&self, secret: &str, key: &str) -> bool {
        self.value(secret, key)
            .is_some_and(|value| !value.is_empty())
    }

    fn value(&self, secret: &str, key: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.value_of_file(&format!("{secret}_{key}"))
    }

    fn value_of_file(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.get(name).cloned()
    }

    fn label(&self, secret: &str) -> String {
        format!("Secret {}/{secret}", self.namespace)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// The keys that a Secret must hold; of several kinds, those of one.
type Kinds = &'static [&'static [&'static str]];

/// What each Secret that a snapshot names must hold.
fn needs(snapshot: &Snapshot) -> Vec<(&str, Kinds)> {
    let listeners = snapshot.gateway.listeners.iter();
    let certificates = listeners
        .filter(|listener| listener.tls != ListenerTls::Off)
        .flat_map(|listener| &listener.certificates)
        .map(|name| {
            let kinds: Kinds = &[&["tls.crt", "tls.key"]];
            (name.as_str(), kinds)
        });
    let members = snapshot.pools.values().flat_map(|pool| &pool.members);
    let relays = members.filter_map(|member| member.relay.as_ref());
    let logins = relays
        .clone()
        .filter_map(|relay| relay.credentials.as_deref())
        .map(|name| {
            let kinds: Kinds = &[&["username", "password"], &["username", "token"]];
            (name, kinds)
        });
    let oauth = relays
        .clone()
        .filter_map(|relay| relay.oauth.as_ref())
        .map(|oauth| {
            let kinds: Kinds = &[&["username", "client_id", "client_secret"]];
            (oauth.credentials.as_str(), kinds)
        });
    let authorities = relays
        .map(|relay| &relay.trust)
        .chain([&snapshot.gateway.upstream.trust])
        .filter_map(|trust| trust.authorities.as_deref())
        .map(|name| {
            let kinds: Kinds = &[&["ca.crt"]];
            (name, kinds)
        });
    let backends = snapshot.gateway.authentication.backends.iter();
    let services = backends.flat_map(|backend| {
        let named: [(Option<&str>, Kinds); 3] = [
            (backend.authorities(), &[&["ca.crt"]]),
            (backend.header(), &[&["value"]]),
            (backend.credentials(), &[&["username", "password"]]),
        ];
        named
            .into_iter()
            .filter_map(|(name, kinds)| Some((name?, kinds)))
    });
    let counters = snapshot.gateway.counters.secret().map(|name| {
        let kinds: Kinds = &[&["url"]];
        (name, kinds)
    });
    certificates
        .chain(counters)
        .chain(logins)
        .chain(oauth)
        .chain(authorities)
        .chain(services)
        .collect()
}

/// Where the certificates of listeners come from.
#[derive(Debug)]
pub(crate) struct FolderCertificates {
    pub(crate) secrets: Secrets,
    /// The file that keeps the certificate made by ourselves, for listeners that name no Secret.
    pub(crate) own: PathBuf,
    /// The names that it is for.
    pub(crate) names: Vec<String>,
    pub(crate) clock: Clock,
}

impl Certificates for FolderCertificates {
    fn of_secret(&self, name: &str) -> Result<Identity, Error> {
        let value = |key| self.secrets.value(name, key).unwrap_or_default();
        Identity::from_pem(
            &self.secrets.label(name),
            &value("tls.crt"),
            &value("tls.key"),
            self.clock.now_ms(),
        )
    }

    fn self_signed(&self) -> Result<Identity, Error> {
        self_signed(&self.own, &self.names, self.clock.now_ms())
    }
}

impl Credentials for Secrets {
    fn value(&self, secret: &str, key: &str) -> Option<Zeroizing<Vec<u8>>> {
        Self::value(self, secret, key)
    }

    fn label(&self, secret: &str) -> String {
        Self::label(self, secret)
    }

    fn cluster_keys(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.value_of_file(CLUSTER_KEYS)
    }
}

/// Reads every file of the folder. A volume of Kubernetes is read through where its `..data` points now, so that a swap in
/// the middle mixes no old values with new ones.
fn read(folder: &Path) -> io::Result<Values> {
    let root = match fs::canonicalize(folder.join("..data")) {
        Ok(data) => data,
        Err(error) if error.kind() == io::ErrorKind::NotFound => folder.to_owned(),
        Err(error) => return Err(error),
    };
    let mut values = Values::new();
    let mut left = MOST_OCTETS;
    for (count, entry) in fs::read_dir(root)?.enumerate() {
        let entry = entry?;
        let too_much = || {
            io::Error::other(format!(
                "more than {MOST_FILES} files or {MOST_OCTETS} octets"
            ))
        };
        if count >= MOST_FILES {
            return Err(too_much());
        }
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.starts_with('.') || !fs::metadata(entry.path())?.is_file() {
            continue;
        }
        let mut value = Zeroizing::new(Vec::new());
        File::open(entry.path())?
            .take(left + 1)
            .read_to_end(&mut value)?;
        left = left.checked_sub(value.len() as u64).ok_or_else(too_much)?;
        values.insert(name, value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// As kubelet writes a volume: a folder of its own for each state, and one symlink that says which.
    fn publish(folder: &Path, state: &str, files: &[(&str, &str)]) {
        let data = folder.join(state);
        fs::create_dir(&data).unwrap();
        for (name, value) in files {
            fs::write(data.join(name), value).unwrap();
            let _ = symlink(Path::new("..data").join(name), folder.join(name));
        }
        symlink(state, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    }

    #[test]
    fn a_swap_of_the_symlink_changes_all_values_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(folder.path().to_owned(), "mail");
        publish(
            folder.path(),
            "..1",
            &[("ses_username", "a"), ("ses_password", "1")],
        );
        assert_eq!(secrets.refresh().unwrap(), Refreshed::Changed);
        assert_eq!(secrets.refresh().unwrap(), Refreshed::Unchanged);
        let before = Credentials::of_secret(&secrets, "ses").unwrap();
        publish(
            folder.path(),
            "..2",
            &[("ses_username", "a"), ("ses_password", "2")],
        );
        assert_eq!(secrets.refresh().unwrap(), Refreshed::Changed);
        assert_ne!(secrets.of_secret("ses").unwrap(), before);
        publish(folder.path(), "..3", &[("ses_username", "a")]);
        secrets.refresh().unwrap();
        let lacking = secrets.of_secret("ses").unwrap_err().to_string();
        assert!(
            lacking.contains("Secret mail/ses has no `password`"),
            "{lacking}"
        );
    }

    #[test]
    fn a_folder_that_is_away_leaves_what_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        fs::create_dir(&path).unwrap();
        fs::write(path.join(FLEET_KEY), [7; 32]).unwrap();
        let secrets = Secrets::new(path.clone(), "mail");
        assert!(
            secrets
                .fleet_key()
                .unwrap_err()
                .contains("waits for the fleet's key")
        );
        secrets.refresh().unwrap();
        fs::remove_dir_all(&path).unwrap();
        assert!(secrets.refresh().is_err());
        assert!(secrets.fleet_key().is_ok());
        // As bytes are shown; the folder's own name may have a 7 in it.
        assert!(!format!("{secrets:?}").contains("7, 7"));
    }

    #[test]
    fn a_folder_without_measure_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(folder.path().to_owned(), "mail");
        fs::write(folder.path().join("a_b"), vec![0; 3 << 20]).unwrap();
        assert!(secrets.refresh().is_err());
        fs::write(folder.path().join("a_b"), "short").unwrap();
        fs::write(folder.path().join("_fleet.key"), "short").unwrap();
        secrets.refresh().unwrap();
        let said = secrets.fleet_key().unwrap_err();
        assert!(said.contains("32 octets, this has 5"), "{said}");
    }
}
