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
/// Nobody writes a body that is larger unpacked, or needs a larger window (a power of two); what claims to is not looked at.
const MAX_UNPACKED: u64 = 8 * 1024 * 1024;
const WINDOW_LOG_MAX: u32 = 23;
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
            .map_err(|error| Error::Unwritable(error.to_string()))?;
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
    let mut decoder =
        zstd::stream::read::Decoder::new(packed).map_err(|error| error.to_string())?;
    decoder
        .window_log_max(WINDOW_LOG_MAX)
        .map_err(|error| error.to_string())?;
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

#[cfg(test)]
mod tests {
    use sekisho_compile::{Objects, cluster, compile_all};
    use sekisho_crd::Kind;
    use sekisho_policy::Snapshot;
    use serde_json::{Value, json};

    use super::*;

    fn envelope() -> Arc<Envelope> {
        let mut objects = Objects::default();
        let gateway = json!({
            "apiVersion": sekisho_crd::API_VERSION, "kind": "MailGateway",
            "metadata": { "namespace": "mail", "name": "outbound" },
            "spec": { "listeners": [{ "name": "submission", "port": 587 }], "upstream": { "endpoints": [{ "address": "mta:25" }] } },
        });
        let findings = cluster::read(Kind::MailGateway, &gateway)
            .unwrap()
            .put(&mut objects);
        assert_eq!(findings, []);
        let none: BTreeMap<ObjectKey, Snapshot> = BTreeMap::new();
        let body = compile_all(&objects, &none).gateways.into_values().next();
        Arc::new(Envelope::seal(7, body.flatten().unwrap()))
    }

    fn item() -> Item {
        let wanted = Wanted {
            gateway: ObjectKey::new("mail", "outbound"),
            owner: OwnerReference::default(),
            envelope: envelope(),
            authorities: "PEM".to_owned(),
            replaces: None,
        };
        let object = wanted.object().unwrap();
        let mut data = serde_json::to_value(&object).unwrap();
        data.as_object_mut().unwrap().remove("metadata");
        Item {
            metadata: object.metadata,
            data,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (key, stored) = read(&item()).unwrap();
        assert_eq!(key, ObjectKey::new("mail", "outbound"));
        assert_eq!(stored.envelope, envelope());
        assert_eq!(stored.authorities, "PEM");
        assert_eq!(Envelope::read(&stored.written).unwrap(), *envelope());
    }

    #[test]
    fn what_others_wrote_is_not_believed() {
        let with = |packed: &[u8]| {
            let mut item = item();
            item.data["binaryData"][FILE] = Value::String(BASE64.encode(packed));
            read(&item).unwrap_err()
        };
        assert!(with(b"no zstd").len() > 3);
        assert!(with(&pack(b"{}")).contains("generation"));
        let forged = serde_json::to_string(&*envelope())
            .unwrap()
            .replace("587", "588");
        assert!(with(&pack(forged.as_bytes())).contains("digest"));
        let bomb = pack(&vec![b' '; 9 << 20]);
        assert!(with(&bomb).contains("larger than"));

        let mut other = item();
        other.metadata.namespace = Some("shop".to_owned());
        assert!(
            read(&other)
                .unwrap_err()
                .contains("it holds the snapshot of")
        );
        let mut renamed = item();
        renamed.metadata.name = Some("sekisho-inbound".to_owned());
        assert!(read(&renamed).unwrap_err().contains("its label names"));
    }
}
