//! The snapshot that is mounted into the pod: read at the start, and looked at again and again, since the kubelet swaps it.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sekisho_node::packed::{self, MOST_PACKED, Packing};
use sekisho_policy::Envelope;
use sekisho_runtime::Shutdown;
use tokio::task::block_in_place;
use tokio::time::sleep;

use crate::checkpoint::{Checkpoint, Origin};

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The file, and what it looked like when it was last read.
pub(crate) struct Mounted {
    path: PathBuf,
    seen: Option<Seen>,
}

/// Enough to tell that it is another file, or was written.
type Seen = (u64, u64, u64, i64, i64);

/// Why there is no snapshot in a file.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) claimed: Option<sekisho_policy::report::Revision>,
    pub(crate) why: String,
}

impl Mounted {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// What the file holds if it is another than before. Blocks.
    ///
    /// # Errors
    /// What it holds is no snapshot; that is told once for each file.
    pub(crate) fn read_news(&mut self) -> Result<Option<Envelope>, Unreadable> {
        let fault = |why: String| Unreadable {
            claimed: None,
            why: format!("{}: {why}", self.path.display()),
        };
        let file = match File::open(&self.path) {
            Ok(file) => file,
            // It is mounted as optional: there may be none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(error.to_string())),
        };
        let looks = file.metadata().map(|metadata| looks(&metadata));
        let looks = looks.map_err(|error| fault(error.to_string()))?;
        if self.seen == Some(looks) {
            return Ok(None);
        }
        self.seen = Some(looks);
        let octets = read(file).map_err(|error| fault(error.to_string()))?;
        match packed::read(Packing::Zstd, &octets) {
            Ok(envelope) => Ok(Some(envelope)),
            Err(error) => Err(Unreadable {
                claimed: packed::claimed_revision(Packing::Zstd, &octets),
                ..fault(error.to_string())
            }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Offers what the file comes to hold, until the process drains.
pub(crate) async fn follow(mut mounted: Mounted, checkpoint: &Checkpoint, shutdown: &Shutdown) {
    loop {
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = shutdown.draining() => return,
        }
        match block_in_place(|| mounted.read_news()) {
            Ok(None) => {}
            Ok(Some(envelope)) => {
                checkpoint.offer(envelope, Origin::File).await;
            }
            Err(Unreadable { claimed, why }) => checkpoint.refuse(claimed, &why).await,
        }
    }
}

fn looks(metadata: &Metadata) -> Seen {
    (
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    )
}

fn read(file: File) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    file.take(MOST_PACKED as u64 + 1).read_to_end(&mut octets)?;
    Ok(octets)
}
