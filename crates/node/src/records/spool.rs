//! The spool of refusals: a capped file of lines in the state folder, so that a restart does not forget whom it turned away.
//! It is a stream of its own, with a name and numbers that outlive the process: what was sent before a crash and is sent again
//! after it is known to the control plane. It is not synced: it survives the process, not the machine.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::batch::{Batch, Lines, MOST_OCTETS, Stream};

/// The file is never larger, in octets.
const CAP: u64 = 16 << 20;

/// The file, and how much of it was taken.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    file: File,
    head: Head,
    /// Up to here the control plane has it.
    sent: u64,
    /// How many lines that is.
    sent_lines: u64,
    end: u64,
    lines: u64,
    cap: u64,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    instance: String,
    /// The number of the first line after it.
    first: u64,
}

impl Spool {
    /// Opens the file, or makes it; what a crash left half written is cut off. `instance` names a new stream.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn open(path: &Path, instance: String) -> io::Result<Self> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.len() <= CAP => {
                if let Some(spool) = Self::open_kept(path)? {
                    return Ok(spool);
                }
                tracing::error!(path = %path.display(), "the spool of refusals is damaged and begun anew");
            }
            Ok(_) => {
                tracing::error!(path = %path.display(), "the spool of refusals is none of ours and begun anew");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Self::begin(path, Head { instance, first: 0 }, &[], 0)
    }

    fn open_kept(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut octets = Vec::new();
        (&file).take(CAP).read_to_end(&mut octets)?;
        let mut lines = octets.split_inclusive(|octet| *octet == b'\n');
        let head = lines.next().filter(|line| line.ends_with(b"\n"));
        let Some((head, begin)) = head.and_then(|line| {
            let head: Head = serde_json::from_slice(line).ok()?;
            let is_name =
                head.instance.len() == 32 && head.instance.bytes().all(|c| c.is_ascii_hexdigit());
            is_name.then_some((head, line.len() as u64))
        }) else {
            return Ok(None);
        };
        let (mut end, mut count) = (begin, 0);
        for line in lines {
            if !is_whole(line) {
                tracing::warn!(path = %path.display(), octets = octets.len() as u64 - end, "the end of the spool of refusals is damaged and left out");
                break;
            }
            end += line.len() as u64;
            count += 1;
        }
        file.set_len(end)?;
        if count > 0 {
            tracing::info!(records = count, "refusals of the last run are sent now");
        }
        Ok(Some(Self {
            path: path.to_owned(),
            file,
            head,
            sent: begin,
            sent_lines: 0,
            end,
            lines: count,
            cap: CAP,
        }))
    }

    /// Begins the file anew with `rest` in it.
    fn begin(path: &Path, head: Head, rest: &[u8], lines: u64) -> io::Result<Self> {
        let mut octets = serde_json::to_vec(&head)?;
        octets.push(b'\n');
        let begin = octets.len() as u64;
        octets.extend_from_slice(rest);
        let draft = path.with_extension("draft");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(&octets)?;
        fs::rename(&draft, path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            head,
            sent: begin,
            sent_lines: 0,
            end: octets.len() as u64,
            lines,
            cap: CAP,
        })
    }

    /// Adds a line; whether there was room.
    ///
    /// # Errors
    /// The disk does not take it; nothing of it is left in the file.
    pub(super) fn push(&mut self, line: &[u8]) -> io::Result<bool> {
        if self.end + line.len() as u64 > self.cap && self.sent > self.cap / 2 {
            self.compact()?;
        }
        if self.end + line.len() as u64 > self.cap {
            return Ok(false);
        }
        self.file.seek(SeekFrom::Start(self.end))?;
        if let Err(error) = self.file.write_all(line) {
            self.file.set_len(self.end)?;
            return Err(error);
        }
        self.end += line.len() as u64;
        self.lines += 1;
        Ok(true)
    }

    /// The lines that are to be sent next; they stay until [`Spool::taken`].
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn next_batch(&mut self) -> io::Result<Option<Batch>> {
        let length = (self.end - self.sent).min(MOST_OCTETS as u64);
        let mut octets = Vec::new();
        self.file.seek(SeekFrom::Start(self.sent))?;
        (&self.file).take(length).read_to_end(&mut octets)?;
        let mut lines = Lines::default();
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            if !line.ends_with(b"\n") || !lines.has_room(line) {
                break;
            }
            lines.push(line);
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let first = self.head.first + self.sent_lines;
        let instance = self.head.instance.clone();
        Ok(Some(Batch::new(Stream::Spool, instance, first, lines)))
    }

    /// The control plane has this batch.
    ///
    /// # Errors
    /// The file cannot be written; the batch is not sent again by this process.
    pub(super) fn taken(&mut self, batch: &Batch) -> io::Result<()> {
        self.sent += batch.lines.octets().len() as u64;
        self.sent_lines += batch.lines.count();
        if self.sent < self.end {
            return Ok(());
        }
        self.compact()
    }

    pub(super) fn len(&self) -> u64 {
        self.lines - self.sent_lines
    }

    /// Leaves out what was taken.
    fn compact(&mut self) -> io::Result<()> {
        let mut rest = Vec::new();
        self.file.seek(SeekFrom::Start(self.sent))?;
        (&self.file)
            .take(self.end - self.sent)
            .read_to_end(&mut rest)?;
        let head = Head {
            instance: self.head.instance.clone(),
            first: self.head.first + self.sent_lines,
        };
        let cap = self.cap;
        *self = Self::begin(&self.path, head, &rest, self.len())?;
        self.cap = cap;
        Ok(())
    }
}

/// A line that was written to its end, of JSON, and not too long to be sent.
fn is_whole(line: &[u8]) -> bool {
    line.len() <= MOST_OCTETS
        && line.ends_with(b"\n")
        && serde_json::from_slice::<IgnoredAny>(line).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "0123456789abcdef0123456789abcdef";

    fn open(folder: &tempfile::TempDir, instance: &str) -> Spool {
        Spool::open(&folder.path().join("refusals.spool"), instance.to_owned()).unwrap()
    }

    #[test]
    fn what_was_not_taken_is_there_after_a_restart_under_the_same_name_and_number() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(&folder, NAME);
        assert!(spool.next_batch().unwrap().is_none());
        spool.push(b"{\"a\":1}\n").unwrap();
        let taken = spool.next_batch().unwrap().unwrap();
        spool.taken(&taken).unwrap();
        spool.push(b"{\"a\":2}\n").unwrap();
        spool.push(b"{\"a\":3}\n").unwrap();
        let sent = spool.next_batch().unwrap().unwrap();
        drop(spool);
        let mut again = open(&folder, "f".repeat(32).as_str());
        let batch = again.next_batch().unwrap().unwrap();
        assert_eq!((&*batch.instance, batch.first), (NAME, 1));
        assert_eq!(batch.lines, sent.lines);
        assert_eq!((batch.lines.count(), again.len()), (2, 2));
        again.taken(&batch).unwrap();
        assert_eq!(
            fs::read(&again.path)
                .unwrap()
                .split(|c| *c == b'\n')
                .count(),
            2
        );
        assert_eq!((again.len(), again.head.first), (0, 3));
    }

    #[test]
    fn a_line_that_was_half_written_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(&folder, NAME);
        spool.push(b"{\"a\":1}\n").unwrap();
        let whole = spool.end;
        for tail in [&b"{\"a\":2"[..], b"\0\0\0\n", b"{\"a\":2}\n\xff\n"] {
            spool.file.set_len(whole).unwrap();
            spool.file.seek(SeekFrom::Start(whole)).unwrap();
            spool.file.write_all(tail).unwrap();
            let kept = u64::from(tail.starts_with(b"{\"a\":2}\n"));
            assert_eq!(open(&folder, NAME).len(), 1 + kept, "{tail:?}");
        }
        for head in [&b""[..], b"{}\n", b"{\"instance\":\"../x\",\"first\":0}\n"] {
            fs::write(&spool.path, head).unwrap();
            let fresh = open(&folder, NAME);
            assert_eq!((fresh.len(), fresh.head.first), (0, 0));
        }
    }

    #[test]
    fn the_file_does_not_outgrow_its_cap() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(&folder, NAME);
        spool.cap = spool.end + 40;
        let line = b"{\"a\":1}\n";
        for _ in 0..5 {
            assert!(spool.push(line).unwrap());
        }
        assert!(!spool.push(line).unwrap(), "nothing was taken yet");
        let mut batch = spool.next_batch().unwrap().unwrap();
        // As if only four had been sent.
        let mut four = Lines::default();
        (0..4).for_each(|_| four.push(line));
        batch.lines = four;
        spool.taken(&batch).unwrap();
        assert!(spool.push(line).unwrap(), "room is made of what was taken");
        let batch = spool.next_batch().unwrap().unwrap();
        assert_eq!((batch.first, batch.lines.count()), (4, 2));
        assert!(fs::metadata(&spool.path).unwrap().len() <= spool.cap);
    }
}
