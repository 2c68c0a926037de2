//! Records on their way: lines of JSON, named by the stream that they are of and the place of the first in it.

use sekisho_policy::Record;
use sekisho_policy::record::End;

use super::queue::Kind;

/// What a batch holds before it is packed, in octets: even what cannot be packed at all stays below the 1 MiB that the
/// control plane takes.
pub(super) const MOST_OCTETS: usize = 768 * 1024;
const MOST_LINES: u64 = 4096;
const LEVEL: i32 = 3;

/// Where a batch came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Memory,
    Spool,
}

/// Some lines, each with its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    octets: Vec<u8>,
    count: u64,
}

impl Lines {
    pub(super) fn has_room(&self, line: &[u8]) -> bool {
        self.count < MOST_LINES && self.octets.len() + line.len() <= MOST_OCTETS
    }

    pub(super) fn push(&mut self, line: &[u8]) {
        self.octets.extend_from_slice(line);
        self.count += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }
}

/// What is sent until it is taken: always the same octets under the same name, so that twice is as good as once.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) stream: Stream,
    pub(super) instance: String,
    pub(super) first: u64,
    pub(super) lines: Lines,
}

impl Batch {
    pub(super) fn new(stream: Stream, instance: String, first: u64, lines: Lines) -> Self {
        Self {
            stream,
            instance,
            first,
            lines,
        }
    }

    /// The lines as they travel.
    ///
    /// # Errors
    /// There is no memory for it.
    pub(super) fn packed(&self) -> std::io::Result<Vec<u8>> {
        zstd::encode_all(self.lines.octets(), LEVEL)
    }
}

/// A record as a line, and what it is about. `None` for one that fits no batch.
pub(super) fn line(record: &Record) -> Option<(Kind, Box<[u8]>)> {
    // A record is made of numbers, texts and maps with text keys; writing it as JSON cannot fail.
    let mut line = serde_json::to_vec(record).ok()?;
    line.push(b'\n');
    let kind = match record.end {
        End::RefusedByPolicy { .. } | End::RefusedByNextHop { .. } | End::Noted => Kind::Refusal,
        End::Delivered(_) | End::Uncertain(_) | End::Failed { .. } | End::Abandoned => Kind::Other,
    };
    (line.len() <= MOST_OCTETS).then(|| (kind, line.into()))
}
