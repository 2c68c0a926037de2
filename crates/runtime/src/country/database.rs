//! One database file: copied, mapped, checked in full, then read.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::de::IgnoredAny;
use shared_buffer::OwnedBuffer;

use super::layout::Layout;
use crate::Error;
use crate::error::DatabaseFault as Fault;
use crate::metrics::CountryData;

/// More than any published database of countries or cities.
const SIZE_LIMIT: u64 = 1 << 30;

/// Tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Signature {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|m| Self::from(&m))
    }
}

impl From<&fs::Metadata> for Signature {
    fn from(m: &fs::Metadata) -> Self {
        Self {
            device: m.dev(),
            inode: m.ino(),
            bytes: m.size(),
            modified: (m.mtime(), m.mtime_nsec()),
            changed: (m.ctime(), m.ctime_nsec()),
        }
    }
}

/// A database in use. Cloning shares the map.
#[derive(Clone, Debug)]
pub(super) struct Database {
    reader: Arc<Reader<OwnedBuffer>>,
    layout: Layout,
    signature: Signature,
}

impl Database {
    pub(super) fn open(path: &Path, scratch: &Path) -> Result<Self, Error> {
        let (copy, signature) = copy_unlinked(path, scratch)?;
        let fault = |fault| Error::CountryDatabase {
            path: path.to_owned(),
            fault,
        };
        let map = OwnedBuffer::from_file(&copy).map_err(|e| fault(Fault::Map(e.to_string())))?;
        let reader = Reader::from_source(map).map_err(|e| fault(Fault::Malformed(e)))?;
        walk(&reader).map_err(|e| fault(Fault::Malformed(e)))?;
        let layout = Layout::detect(&reader)
            .ok_or_else(|| fault(Fault::NothingOfUse(reader.metadata().database_type.clone())))?;
        Ok(Self {
            reader: Arc::new(reader),
            layout,
            signature,
        })
    }

    pub(super) fn signature(&self) -> Signature {
        self.signature
    }

    pub(super) fn tells(&self, data: CountryData) -> bool {
        self.layout.tells(data)
    }

    pub(super) fn built_ms(&self) -> u64 {
        self.reader.metadata().build_epoch.saturating_mul(1000)
    }

    pub(super) fn country(&self, address: IpAddr) -> Option<[u8; 2]> {
        self.layout.country(&self.reader.lookup(address).ok()?)
    }

    pub(super) fn asn(&self, address: IpAddr) -> Option<u32> {
        self.layout.asn(&self.reader.lookup(address).ok()?)
    }
}

/// Follows the whole tree and reads each record once: a file that is spoilt somewhere in the middle would refuse a
/// nation. The reader's own `verify` also demands a description, which some publishers leave out.
fn walk(reader: &Reader<OwnedBuffer>) -> Result<(), MaxMindDbError> {
    let mut read = HashSet::new();
    for network in reader.networks(WithinOptions::default())? {
        let network = network?;
        if network.offset().is_some_and(|offset| read.insert(offset)) {
            network.decode::<IgnoredAny>()?;
        }
    }
    Ok(())
}

/// Copies the file to one that nobody else can reach: mapping the original would end the process (SIGBUS) when
/// somebody truncates it, and show half of each when somebody overwrites it.
fn copy_unlinked(path: &Path, scratch: &Path) -> Result<(File, Signature), Error> {
    let read = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let write = |source| Error::Write {
        path: scratch.to_owned(),
        source,
    };
    let fault = |fault| Error::CountryDatabase {
        path: path.to_owned(),
        fault,
    };
    let mut original = File::open(path).map_err(read)?;
    let before = original.metadata().map_err(read)?;
    if !before.is_file() {
        return Err(read(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        )));
    }
    if before.len() > SIZE_LIMIT {
        return Err(fault(Fault::TooLarge {
            bytes: before.len(),
            limit: SIZE_LIMIT,
        }));
    }
    let mut copy = tempfile::tempfile_in(scratch).map_err(write)?;
    let copied = io::copy(&mut original, &mut copy).map_err(write)?;
    // A full disk must fail here, not as a fault in mapped memory later.
    copy.sync_all().map_err(write)?;
    let signature = Signature::from(&before);
    let after = Signature::from(&original.metadata().map_err(read)?);
    let steady = after == signature && copied == before.len();
    if steady {
        Ok((copy, signature))
    } else {
        Err(fault(Fault::Unsteady))
    }
}
