//! A certificate of our own making, for a first start without one.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use super::Identity;
use crate::Error;

/// Clients that remember a certificate should not have to do so often; some refuse longer ones.
const VALID_FOR: Duration = Duration::from_secs(825 * 86_400);
/// One that ends sooner than this is replaced at the next start.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 86_400);
/// A peer's clock may be slow.
const VALID_SINCE: Duration = Duration::from_secs(86_400);

/// The self-signed certificate for `names` that is kept at `path` (certificate and key in one file, readable by
/// its owner alone); made if it is not there, does not serve, is for other names, or ends within 30 days.
/// Names that are addresses go in as addresses.
///
/// # Errors
/// The file cannot be read or written, or a name cannot stand in a certificate.
pub fn self_signed(path: &Path, names: &[String], now_ms: u64) -> Result<Identity, Error> {
    let origin = path.display().to_string();
    match fs::read(path) {
        Ok(pem) => match Identity::from_pem(&origin, &pem, &pem, now_ms) {
            Ok(identity) if serves(&identity, names, now_ms) => return Ok(identity),
            Ok(_) => tracing::info!(path = origin, "self-signed certificate is made anew"),
            Err(error) => tracing::warn!(%error, "self-signed certificate is made anew"),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => {
            return Err(Error::Read {
                path: path.to_owned(),
                source,
            });
        }
    }
    let pem = make(names, now_ms).map_err(|source| Error::SelfSigned {
        name: names.join(", "),
        source,
    })?;
    write_private(path, pem.as_bytes()).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })?;
    Identity::from_pem(&origin, pem.as_bytes(), pem.as_bytes(), now_ms)
}

fn serves(identity: &Identity, names: &[String], now_ms: u64) -> bool {
    let dns = names
        .iter()
        .filter(|n| n.parse::<std::net::IpAddr>().is_err());
    let same_names = dns
        .map(|n| n.to_ascii_lowercase())
        .eq(identity.names().iter().cloned());
    let soon = now_ms.saturating_add(u64::try_from(RENEW_BEFORE.as_millis()).unwrap_or(u64::MAX));
    same_names && identity.check_validity(soon).is_ok()
}

fn make(names: &[String], now_ms: u64) -> Result<String, rcgen::Error> {
    let now = UNIX_EPOCH + Duration::from_millis(now_ms);
    let mut params = CertificateParams::new(names.to_vec())?;
    params.not_before = now.checked_sub(VALID_SINCE).unwrap_or(UNIX_EPOCH).into();
    params.not_after = (now + VALID_FOR).into();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(
        DnType::OrganizationName,
        "Sekisho, self-signed at first start",
    );
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
}

/// Writes the file whole or not at all. Temporary files are made with mode 0600, which the rename keeps.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NOW: u64 = 1_780_300_000_000;
    const DAY: u64 = 86_400_000;

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn it_is_made_once_kept_private_and_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tls/self-signed.pem");
        let wanted = names(&["localhost", "127.0.0.1"]);
        let first = self_signed(&path, &wanted, NOW).unwrap();
        assert_eq!(first.names(), ["localhost"]);
        let kept = fs::read(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        self_signed(&path, &wanted, NOW + 700 * DAY).unwrap();
        assert_eq!(fs::read(&path).unwrap(), kept, "made again without need");
    }

    #[test]
    fn it_is_made_anew_when_it_would_not_serve() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("self-signed.pem");
        let wanted = names(&["localhost"]);
        self_signed(&path, &wanted, NOW).unwrap();
        let first = fs::read(&path).unwrap();

        let late = NOW + 800 * DAY;
        assert!(
            self_signed(&path, &wanted, late)
                .unwrap()
                .check_validity(late + 100 * DAY)
                .is_ok()
        );
        let second = fs::read(&path).unwrap();
        assert_ne!(first, second, "about to end");

        let renamed = self_signed(&path, &names(&["mail.example.jp"]), late).unwrap();
        assert_eq!(renamed.names(), ["mail.example.jp"]);

        fs::write(&path, "spoilt").unwrap();
        assert!(self_signed(&path, &wanted, late).is_ok());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let path = folder.path().join("file/self-signed.pem");
        let error = self_signed(&path, &names(&["localhost"]), NOW)
            .unwrap_err()
            .to_string();
        assert!(error.contains("file/self-signed.pem"), "{error}");
    }
}
