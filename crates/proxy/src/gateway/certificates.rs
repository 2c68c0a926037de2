//! Where the certificates of listeners come from.

use std::fmt;

use sekisho_runtime::tls::Identity;

/// Finds certificates by the name of the Secret that holds them. It may read files; it is asked when a listener opens and
/// when certificates are read anew, never while a client waits.
pub trait Certificates: fmt::Debug + Send + Sync {
    /// The certificate and key of a Secret.
    ///
    /// # Errors
    /// There is none, or it cannot be used; the message names the Secret and what is wrong.
    fn of_secret(&self, name: &str) -> Result<Identity, sekisho_runtime::Error>;

    /// What a listener that names no Secret shows.
    ///
    /// # Errors
    /// It cannot be made or read.
    fn self_signed(&self) -> Result<Identity, sekisho_runtime::Error>;
}

/// The certificates of one listener, the first of them shown to who names no host.
pub(super) fn of_listener(
    source: &dyn Certificates,
    secrets: &[String],
) -> Result<(Identity, Vec<Identity>), sekisho_runtime::Error> {
    let Some((first, others)) = secrets.split_first() else {
        return Ok((source.self_signed()?, Vec::new()));
    };
    let others = others
        .iter()
        .map(|name| source.of_secret(name))
        .collect::<Result<_, _>>()?;
    Ok((source.of_secret(first)?, others))
}
