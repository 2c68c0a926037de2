//! The key that proxies of a fleet share, made once for the control plane; each gateway has one of its own, made from it.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::PostParams;
use kube::{Api, Client};
use sekisho_compile::ObjectKey;
use sha2::Sha256;
use tokio::sync::OnceCell;

use super::checks::Values;
use super::read;
use crate::error::Error;
use crate::labels;

/// The Secret of the control plane's namespace that holds it.
const SECRET: &str = "sekisho.fleet";
/// Its key there, and that of a gateway's own in owned Secrets.
pub(super) const KEY: &str = "_fleet.key";

pub(super) struct FleetKey {
    /// Where it is kept.
    pub(super) namespace: String,
    pub(super) owner: Option<OwnerReference>,
    pub(super) known: OnceCell<Vec<u8>>,
}

impl FleetKey {
    /// The key of one gateway: whoever reads a gateway's Secret learns nothing of the others'.
    pub(super) async fn of(
        &self,
        client: &Client,
        gateway: &ObjectKey,
    ) -> Result<ByteString, Error> {
        let fleet = self.known.get_or_try_init(|| self.read_or_make(client));
        let mut mac =
            Hmac::<Sha256>::new_from_slice(fleet.await?).expect("HMAC takes keys of any length");
        mac.update(gateway.namespace.as_bytes());
        mac.update(b"/");
        mac.update(gateway.name.as_bytes());
        Ok(ByteString(mac.finalize().into_bytes().to_vec()))
    }

    async fn read_or_make(&self, client: &Client) -> Result<Vec<u8>, Error> {
        let api: Api<Secret> = Api::namespaced(client.clone(), &self.namespace);
        if let Some(values) = read(&api, SECRET).await? {
            let key = values.get(KEY).map(|key| key.0.clone());
            return key.filter(|key| key.len() == 32).ok_or_else(|| {
                Error::Unwritable(format!(
                    "the Secret {}/{SECRET} holds no key of 32 octets; delete it, and a new one is made",
                    self.namespace
                ))
            });
        }
        let mut key = vec![0; 32];
        rustls::crypto::aws_lc_rs::default_provider()
            .secure_random
            .fill(&mut key)
            .map_err(|_| Error::Unwritable("the system has no randomness to give".to_owned()))?;
        let data: Values = BTreeMap::from([(KEY.to_owned(), ByteString(key.clone()))]);
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(SECRET.to_owned()),
                labels: Some(labels::of_control()),
                owner_references: self.owner.clone().map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            data: Some(data),
            immutable: Some(true),
            ..Secret::default()
        };
        let what = format!("creating the Secret {}/{SECRET}", self.namespace);
        api.create(&PostParams::default(), &secret)
            .await
            .map_err(Error::api(what))?;
        Ok(key)
    }
}
