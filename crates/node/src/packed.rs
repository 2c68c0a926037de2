//! Snapshots as they travel: zstd of an envelope's JSON, unpacked within bounds and checked against its digest.

use std::io::Read as _;

use sekisho_policy::report::Revision;
use sekisho_policy::{Envelope, LoadError};
use serde::Deserialize;

/// The most octets of a snapshot that is packed. A ConfigMap holds 1 MiB, the control plane sends no more than it reads there.
pub const MOST_PACKED: usize = 8 << 20;
/// The most octets of a snapshot's JSON.
pub const MOST_UNPACKED: usize = 32 << 20;
/// A frame may look back no further than 32 MiB, all that it may hold; zstd's own default is 128 MiB.
const WINDOW_LOG: u32 = 25;

/// Why octets are no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More than [`MOST_PACKED`].
    #[error("packed it has {0} octets, {MOST_PACKED} is the most")]
    PackedTooLarge(usize),
    /// More than [`MOST_UNPACKED`].
    #[error("unpacked it has more than {MOST_UNPACKED} octets")]
    UnpackedTooLarge,
    /// No zstd, or broken off.
    #[error("it cannot be unpacked: {0}")]
    Zstd(std::io::Error),
    /// No envelope that this version reads.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// How a snapshot came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// As JSON.
    Plain,
    /// As zstd of it.
    Zstd,
}

/// The JSON in what came, within bounds.
///
/// # Errors
/// It is too large, or cannot be unpacked.
pub fn unpack(packing: Packing, octets: &[u8]) -> Result<Vec<u8>, Error> {
    if packing == Packing::Plain {
        return if octets.len() > MOST_UNPACKED {
            Err(Error::UnpackedTooLarge)
        } else {
            Ok(octets.to_vec())
        };
    }
    if octets.len() > MOST_PACKED {
        return Err(Error::PackedTooLarge(octets.len()));
    }
    let mut decoder = zstd::Decoder::with_buffer(octets).map_err(Error::Zstd)?;
    decoder.window_log_max(WINDOW_LOG).map_err(Error::Zstd)?;
    let mut json = Vec::new();
    decoder
        .take(MOST_UNPACKED as u64 + 1)
        .read_to_end(&mut json)
        .map_err(Error::Zstd)?;
    if json.len() > MOST_UNPACKED {
        return Err(Error::UnpackedTooLarge);
    }
    Ok(json)
}

/// Unpacks an envelope and checks its digest.
///
/// # Errors
/// What is wrong with it.
pub fn read(packing: Packing, octets: &[u8]) -> Result<Envelope, Error> {
    Ok(Envelope::read(&unpack(packing, octets)?)?)
}

/// What an envelope that cannot be read calls itself, so that it can be refused by name.
#[must_use]
pub fn claimed_revision(packing: Packing, octets: &[u8]) -> Option<Revision> {
    #[derive(Deserialize)]
    struct Claim {
        generation: u64,
        digest: String,
    }
    let json = unpack(packing, octets).ok()?;
    let claim: Claim = serde_json::from_slice(&json).ok()?;
    let is_digest = claim.digest.len() == 64 && claim.digest.bytes().all(|c| c.is_ascii_hexdigit());
    is_digest.then_some(Revision {
        generation: claim.generation,
        digest: claim.digest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(octets: &[u8]) -> Vec<u8> {
        zstd::encode_all(octets, 3).unwrap()
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        for json in [&b""[..], b"{}", &vec![b'x'; MOST_UNPACKED]] {
            assert_eq!(unpack(Packing::Zstd, &packed(json)).unwrap(), json);
            assert_eq!(unpack(Packing::Plain, json).unwrap(), json);
        }
    }

    #[test]
    fn bombs_and_rubbish_are_refused() {
        let bomb = packed(&vec![0; MOST_UNPACKED + 1]);
        assert!(bomb.len() < 64 * 1024, "{}", bomb.len());
        let half = &packed(b"{\"generation\":1}")[..8];
        let cases: [(&[u8], &str); 5] = [
            (&bomb, "unpacked it has more than"),
            (&vec![0; MOST_PACKED + 1], "packed it has"),
            (b"no zstd at all", "cannot be unpacked"),
            (half, "cannot be unpacked"),
            (&packed(b"[]"), "not a snapshot that this version reads"),
        ];
        for (octets, expected) in cases {
            let said = read(Packing::Zstd, octets).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_frame_that_looks_back_too_far_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        std::io::copy(&mut &b"{}"[..], &mut encoder).unwrap();
        let said = unpack(Packing::Zstd, &encoder.finish().unwrap()).unwrap_err();
        assert!(said.to_string().contains("cannot be unpacked"), "{said}");
    }

    #[test]
    fn a_claim_is_read_where_there_is_one() {
        let digest = "ab".repeat(32);
        let json = format!(r#"{{"generation":7,"digest":"{digest}","snapshot":1}}"#);
        let claim = claimed_revision(Packing::Plain, json.as_bytes()).unwrap();
        assert_eq!((claim.generation, claim.digest), (7, digest));
        for json in ["", "{}", r#"{"generation":7,"digest":"<b>"}"#] {
            assert_eq!(claimed_revision(Packing::Plain, json.as_bytes()), None);
        }
    }
}
