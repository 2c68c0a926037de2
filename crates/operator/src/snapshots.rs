//! The snapshot object: how an envelope lies in a ConfigMap, and how it is read back.
//!
//! A ConfigMap may be written by others than us, so what is in it is checked like anything foreign: size, digest, and that it
//! is of the gateway whose name it bears.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use sekisho_compile::ObjectKey;
use sekisho_policy::Envelope;

use crate::error::Error;
use crate::watch::Item;

/// The label by which snapshot objects are found.
pub(crate) const LABEL: &str = "sekisho.dev/snapshot-of";
const GENERATION: &str = "sekisho.dev/generation";
const DIGEST: &str = "sekisho.dev/digest";
const FILE: &str = "snapshot.json.zst";
const AUTHORITIES: &str = "ca.crt";

/// An object has at most 1 MiB, and metadata and base64 need their part of it.
pub(crate) const MAX_PACKED: usize = 900 * 1024;
/// Nobody writes a body that is larger unpacked; what claims to be is not looked at.
const MAX_UNPACKED: u64 = 32 * 1024 * 1024;
/// Snapshots are read far more often than written, and are small.
const LEVEL: i32 = 9;

/// A snapshot object as it is in the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) envelope: Arc<Envelope>,
    /// The envelope as it was written. A newer control plane may have put descriptions into it that this one does not know,
    /// and its digest covers them.
    pub(crate) written: Arc<[u8]>,
    /// The authorities beside it, as PEM.
    pub(crate) authorities: String,
    pub(crate) resource_version: String,
}

/// What a snapshot object is to be.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) gateway: ObjectKey,
    pub(crate) owner: OwnerReference,
    pub(crate) envelope: Arc<Envelope>,
    pub(crate) authorities: String,
    /// The version that it replaces; none if there is none yet.
    pub(crate) replaces: Option<String>,
}

pub(crate) use crate::labels::object_name as name_of;

impl Wanted {
    /// The object.
    ///
    /// # Errors
    /// [`Error::SnapshotTooLarge`].
    pub(crate) fn object(&self) -> Result<ConfigMap, Error> {
        let json = serde_json::to_vec(&*self.envelope)
            .map_err(|error| Error::Certificates(error.to_string()))?;
        let packed = pack(&json);
        if packed.len() > MAX_PACKED {
            return Err(Error::SnapshotTooLarge {
                gateway: format!("{}/{}", self.gateway.namespace, self.gateway.name),
                size: packed.len(),
            });
        }
        let mut labels = crate::labels::managed(&self.gateway.name);
        labels.insert(LABEL.to_owned(), self.gateway.name.clone());
        Ok(ConfigMap {
            metadata: ObjectMeta {
                name: Some(name_of(&self.gateway.name)),
                namespace: Some(self.gateway.namespace.clone()),
                labels: Some(labels),
                annotations: Some(BTreeMap::from([
                    (GENERATION.to_owned(), self.envelope.generation.to_string()),
                    (DIGEST.to_owned(), self.envelope.digest.clone()),
                ])),
                owner_references: Some(vec![self.owner.clone()]),
                resource_version: self.replaces.clone(),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(
                AUTHORITIES.to_owned(),
                self.authorities.clone(),
            )])),
            binary_data: Some(BTreeMap::from([(FILE.to_owned(), ByteString(packed))])),
            ..ConfigMap::default()
        })
    }
}

fn pack(json: &[u8]) -> Vec<u8> {
    // Compressing memory into memory fails for want of memory only.
    zstd::bulk::compress(json, LEVEL).unwrap_or_else(|_| json.to_vec())
}

/// Reads a snapshot object.
///
/// # Errors
/// What is wrong with it, in words for the log.
pub(crate) fn read(item: &Item) -> Result<(ObjectKey, Stored), String> {
    let gateway = item.label(LABEL).ok_or("it has no gateway")?;
    if item.name() != name_of(gateway) {
        return Err(format!("its label names the gateway {gateway}"));
    }
    let key = ObjectKey::new(item.namespace(), gateway);
    let packed = item.data["binaryData"][FILE]
        .as_str()
        .ok_or("it has no snapshot")?;
    let packed = BASE64.decode(packed).map_err(|error| error.to_string())?;
    let json = unpack(&packed)?;
    let envelope = Envelope::read(&json).map_err(|error| error.to_string())?;
    let object = &envelope.snapshot.gateway.object;
    if (&object.namespace, &object.name) != (&key.namespace, &key.name) {
        return Err(format!("it holds the snapshot of {object}"));
    }
    let stored = Stored {
        envelope: Arc::new(envelope),
        written: json.into(),
        authorities: item.data["data"][AUTHORITIES]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        resource_version: item.metadata.resource_version.clone().unwrap_or_default(),
    };
    Ok((key, stored))
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    let decoder = zstd::stream::read::Decoder::new(packed).map_err(|error| error.to_string())?;
    let mut json = Vec::new();
    decoder
        .take(MAX_UNPACKED + 1)
        .read_to_end(&mut json)
        .map_err(|error| error.to_string())?;
    if json.len() as u64 > MAX_UNPACKED {
        return Err(format!("it is larger than {MAX_UNPACKED} octets unpacked"));
    }
    Ok(json)
}
