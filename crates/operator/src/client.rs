//! The way to the API server.

use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::error::Error;

/// A connection that is not there after so long is tried anew.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A request is written, and an answer or the next event of a watch comes, within so long. Watches are ended by the server
/// after 290 seconds.
const READ_WITHIN: Duration = Duration::from_secs(300);
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// The client of this process: by a kubeconfig file, or with the service account of the pod.
///
/// # Errors
/// [`Error::Access`].
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, Error> {
    let mut config = match kubeconfig {
        Some(path) => from_file(path).await?,
        None => Config::incluster().map_err(|error| Error::Access {
            origin: "the pod's service account".to_owned(),
            why: format!("{error}; outside a cluster name a file with --kubeconfig"),
        })?,
    };
    config.connect_timeout = Some(CONNECT_WITHIN);
    config.read_timeout = Some(READ_WITHIN);
    config.write_timeout = Some(WRITE_WITHIN);
    config.reset_reader_on_write = true;
    // Whoever writes tries again by itself, with the newest state.
    config.default_retry = false;
    Client::try_from(config).map_err(Error::api("a client cannot be made"))
}

async fn from_file(path: &Path) -> Result<Config, Error> {
    let access = |why: String| Error::Access {
        origin: path.display().to_string(),
        why,
    };
    let file = Kubeconfig::read_from(path).map_err(|error| access(error.to_string()))?;
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .map_err(|error| access(error.to_string()))
}
