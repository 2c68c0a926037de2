//! What messages for a channel are signed with. It is read when there is one to be told, by whoever tells it; it is kept nowhere, and
//! goes to no proxy.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::time::timeout;

use super::{MAX_VALUE, read};
use crate::error::Error;

const PATIENCE: Duration = Duration::from_secs(5);
/// The key of a Secret that a channel names.
const KEY: &str = "secret";

/// Reads the Secrets that channels name. Cloning shares it.
#[derive(Clone)]
pub struct ChannelSecrets(Client);

impl ChannelSecrets {
    pub(crate) const fn new(client: Client) -> Self {
        Self(client)
    }

    /// What the Secret of that name holds under `secret`. The name is that of a channel's `secretRef`, and the namespace the channel's.
    ///
    /// # Errors
    /// There is none, or the API server does not say.
    pub async fn read(&self, namespace: &str, name: &str) -> Result<Vec<u8>, Error> {
        let api: Api<Secret> = Api::namespaced(self.0.clone(), namespace);
        let found = timeout(PATIENCE, read(&api, name)).await;
        let found = found.map_err(|_| Error::Late(PATIENCE))??;
        let lacks = |what: &str| Error::NoSigningSecret {
            secret: format!("{namespace}/{name}"),
            lacks: what.to_owned(),
        };
        let mut values = found.ok_or_else(|| lacks("is not there"))?;
        let value = values.remove(KEY).ok_or_else(|| lacks("has no `secret`"))?;
        if value.0.len() > MAX_VALUE {
            return Err(lacks("has a `secret` that is too large"));
        }
        Ok(value.0)
    }
}
