//! The base: all that was known at one moment, as one file with a checksum.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use sekisho_policy::AccountSettings;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Secret;
use super::table::{Key, Table};
use crate::state_folder::{private, rename_safely};

pub(super) const VERSION: u32 = 1;
/// Octets of an entry: its key, and the number of its settings.
const ENTRY: usize = 20;

/// The first line of a base. After it come the entries, and the SHA-256 of all before.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Header {
    pub(super) version: u32,
    /// Tells whose journal is whose.
    pub(super) id: u64,
    /// What names are hashed with. Who can read this file could also read names elsewhere in its folder.
    pub(super) secret: Secret,
    pub(super) revision: u64,
    /// The store that it was heard of, if that said its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) store: Option<Box<str>>,
    pub(super) entries: usize,
    pub(super) shapes: Vec<AccountSettings>,
}

/// Writes a base beside the old one and puts it in its place; how long it is.
pub(super) fn pack(path: &Path, header: &Header, entries: &[(Key, u32)]) -> io::Result<u64> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = path.with_extension("draft");
    let mut out = Summed {
        file: BufWriter::new(private().truncate(true).open(&draft)?),
        sum: Sha256::new(),
        octets: 0,
    };
    serde_json::to_writer(&mut out, header)?;
    out.write_all(b"\n")?;
    for (key, shape) in entries {
        out.write_all(key)?;
        out.write_all(&shape.to_le_bytes())?;
    }
    let Summed {
        mut file,
        sum,
        octets,
    } = out;
    file.write_all(&sum.finalize())?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    rename_safely(&draft, path)?;
    Ok(octets)
}

/// A file that is summed up as it is written.
struct Summed {
    file: BufWriter<File>,
    sum: Sha256,
    octets: u64,
}

impl io::Write for Summed {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.file.write_all(octets)?;
        self.sum.update(octets);
        self.octets += octets.len() as u64;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// What a base says.
pub(super) fn unpack(content: &[u8]) -> io::Result<(Header, Table)> {
    let damaged = |why: &str| io::Error::other(format!("it is damaged: {why}"));
    let (body, sum) = content
        .split_last_chunk::<32>()
        .ok_or_else(|| damaged("it is too short"))?;
    if Sha256::digest(body)[..] != sum[..] {
        return Err(damaged("its checksum does not fit"));
    }
    let end = memchr::memchr(b'\n', body).ok_or_else(|| damaged("it has no first line"))?;
    let header: Header = serde_json::from_slice(&body[..end])?;
    if header.version != VERSION {
        return Err(io::Error::other(format!(
            "it is of version {}",
            header.version
        )));
    }
    let (entries, rest) = body[end + 1..].as_chunks::<ENTRY>();
    if !rest.is_empty() || entries.len() != header.entries {
        return Err(damaged("entries are missing"));
    }
    let entries = entries.iter().map(|entry| {
        let (mut key, mut shape) = (Key::default(), [0; 4]);
        key.copy_from_slice(&entry[..16]);
        shape.copy_from_slice(&entry[16..]);
        (key, u32::from_le_bytes(shape))
    });
    let table = Table::unpacked(
        (header.revision, header.store.clone()),
        &header.shapes,
        entries,
    );
    Ok((header, table))
}
