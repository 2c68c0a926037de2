//! Records as they lie in the file: their JSON, packed with what all records have in common known beforehand.

use std::io::{self, Read as _};
use std::sync::LazyLock;

use zstd::bulk::Compressor;
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::stream::read::Decoder;

/// Made of records of every kind; `dictionaries/README.md` says how. It never changes: each file holds records that need it.
const DICTIONARY: &[u8] = include_bytes!("../dictionaries/records-1.zdict");
/// Faster than the disk, and hardly worse than those that take longer.
const LEVEL: i32 = 1;
/// What every frame begins with (RFC 8878 section 3.1.1).
const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// No record is so large; a frame that says it is was not written here.
const LARGEST: u64 = 64 << 20;

static TO_PACK: LazyLock<EncoderDictionary<'_>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));
static TO_UNPACK: LazyLock<DecoderDictionary<'_>> =
    LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

/// Packs one record after the other.
pub(crate) struct Packer(Compressor<'static>);

impl Packer {
    pub(crate) fn new() -> io::Result<Self> {
        Compressor::with_prepared_dictionary(&TO_PACK).map(Self)
    }

    pub(crate) fn pack(&mut self, json: &[u8]) -> io::Result<Vec<u8>> {
        self.0.compress(json)
    }
}

/// The JSON of a record. What versions before the seventh of the tables wrote is JSON already.
pub(crate) fn unpack(content: &[u8]) -> io::Result<Vec<u8>> {
    if !content.starts_with(&MAGIC) {
        return Ok(content.to_vec());
    }
    let decoder = Decoder::with_prepared_dictionary(content, &TO_UNPACK)?;
    let mut json = Vec::new();
    decoder.take(LARGEST + 1).read_to_end(&mut json)?;
    if json.len() as u64 > LARGEST {
        return Err(io::Error::other(format!(
            "it is larger than {LARGEST} octets"
        )));
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_the_same_again_and_much_smaller() {
        let json = br#"{"id":"7Q2M-X4K9-0B3T","gateway":{"namespace":"mail","name":"outbound"},"steps":[]}"#.repeat(40);
        let packed = Packer::new().unwrap().pack(&json).unwrap();
        assert!(packed.len() * 10 < json.len(), "{}", packed.len());
        assert_eq!(unpack(&packed).unwrap(), json);
        assert_eq!(unpack(&json).unwrap(), json, "as it once was written");
    }

    #[test]
    fn what_is_no_frame_of_ours_is_an_error() {
        let mut packed = Packer::new().unwrap().pack(b"{}").unwrap();
        packed.pop();
        assert!(unpack(&packed).is_err());
        assert!(unpack(&MAGIC).is_err());
        // Another dictionary's.
        let other = zstd::bulk::compress(&vec![7; 128 << 20], 1).unwrap();
        let error = unpack(&other).unwrap_err().to_string();
        assert!(error.contains("larger"), "{error}");
    }
}
