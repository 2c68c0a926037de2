//! The canonical form of a snapshot, its digest, and reading an envelope from bytes.

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::LoadError;
use crate::snapshot::{Envelope, SCHEMA, Snapshot};

/// The most octets of an envelope's JSON.
pub const MAX_OCTETS: usize = 64 << 20;

impl Snapshot {
    /// The canonical body: JSON without white space, keys sorted at every level. Equal snapshots give equal bytes.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        // Strings, integers, lists and maps with string keys: serialising them cannot fail.
        canonical(&serde_json::to_value(self).unwrap_or_default())
    }
}

impl Envelope {
    /// Names `snapshot` by `generation` and its digest.
    #[must_use]
    pub fn seal(generation: u64, snapshot: Snapshot) -> Self {
        Self {
            generation,
            digest: digest(&snapshot.canonical()),
            snapshot,
        }
    }

    /// Reads an envelope's JSON and checks its digest over the body as it came, unknown fields included.
    ///
    /// # Errors
    /// [`LoadError::TooLarge`], [`LoadError::Parse`] or [`LoadError::Digest`].
    pub fn read(json: &[u8]) -> Result<Self, LoadError> {
        #[derive(Deserialize)]
        struct Raw {
            generation: u64,
            digest: String,
            snapshot: Value,
        }
        if json.len() > MAX_OCTETS {
            return Err(LoadError::TooLarge {
                size: json.len(),
                limit: MAX_OCTETS,
            });
        }
        let parse = |error: serde_json::Error| LoadError::Parse(error.to_string());
        let raw: Raw = serde_json::from_slice(json).map_err(parse)?;
        let actual = digest(&canonical(&raw.snapshot));
        if actual != raw.digest {
            return Err(LoadError::Digest {
                stated: raw.digest,
                actual,
            });
        }
        let schema = raw.snapshot.get("schema").and_then(Value::as_u64);
        let snapshot = Snapshot::deserialize(raw.snapshot).map_err(|error| match schema {
            // What a newer version writes may well be no snapshot to this one; that it is newer says more.
            Some(found) if found > u64::from(SCHEMA) => LoadError::Schema {
                found: u32::try_from(found).unwrap_or(u32::MAX),
                newest: SCHEMA,
            },
            _ => parse(error),
        })?;
        Ok(Self {
            generation: raw.generation,
            digest: actual,
            snapshot,
        })
    }
}

fn digest(canonical: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(canonical)
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_canonical(value, &mut out);
    out
}

/// Sorts keys itself: whether `serde_json`'s maps are sorted depends on features that another crate may switch on.
fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (at, (name, field)) in fields.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
                out.push(b':');
                write_canonical(field, out);
            }
            out.push(b'}');
        }
        scalar => out.extend_from_slice(scalar.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_at_every_level() {
        let value: Value =
            serde_json::from_str(r#"{ "b": [ {"z": 1, "a": "\"é\n"} ], "a": -7 }"#).unwrap();
        assert_eq!(
            String::from_utf8(canonical(&value)).unwrap(),
            r#"{"a":-7,"b":[{"a":"\"é\n","z":1}]}"#
        );
    }

    #[test]
    fn a_newer_schema_is_named_even_if_it_cannot_be_parsed() {
        let body: Value = serde_json::json!({ "schema": SCHEMA + 1, "gateway": "elsewhere" });
        let digest = digest(&canonical(&body));
        let json = serde_json::json!({ "generation": 1, "digest": digest, "snapshot": body });
        let refused = Envelope::read(json.to_string().as_bytes()).unwrap_err();
        let newest = SCHEMA;
        let found = newest + 1;
        assert_eq!(refused, LoadError::Schema { found, newest });
    }

    #[test]
    fn the_digest_is_sha_256_in_hex() {
        assert_eq!(
            digest(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
