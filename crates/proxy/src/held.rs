//! A message while its verdict is awaited: in memory up to a bound, then in a file without a name.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use sekisho_runtime::Metrics;
use sekisho_runtime::metrics::{BufferPlace, Buffered};
use tokio::task::spawn_blocking;

use crate::memory::{Claim, FileClaim, MessageMemory, Owner};

/// Octets read from the file, and written to it, at once.
const CHUNK: usize = 64 * 1024;

/// The octets of one message, in order, as they come in.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Vec<u8>,
    /// What of the budget is ours, in memory and in files.
    taken: Claim,
    filed: FileClaim,
    most_in_memory: usize,
    file: Option<Arc<File>>,
    /// Octets in the file, and how many of them have gone on.
    spilled: u64,
    passed: u64,
    in_memory: Buffered,
    on_disk: Buffered,
}

impl Held {
    /// Nothing yet of a message of `owner`; up to `most_in_memory` octets stay in memory while `budget` allows.
    pub(crate) fn new(
        most_in_memory: usize,
        budget: &MessageMemory,
        owner: Owner,
        metrics: &Metrics,
    ) -> Self {
        Self {
            memory: Vec::new(),
            taken: budget.claim(),
            filed: budget.claim_files(owner),
            most_in_memory,
            file: None,
            spilled: 0,
            passed: 0,
            in_memory: metrics.buffered(BufferPlace::Memory),
            on_disk: metrics.buffered(BufferPlace::Disk),
        }
    }

    /// Where the next octets go while they fit in memory; call [`Held::settle`] after each round of appending.
    pub(crate) fn memory(&mut self) -> &mut Vec<u8> {
        &mut self.memory
    }

    /// How many octets are in memory.
    pub(crate) fn memory_len(&self) -> usize {
        self.memory.len()
    }

    /// Accounts for what was appended, and moves it to a file in the folder `spool` if it is too much.
    ///
    /// # Errors
    /// The file cannot be made or written, or all messages together have too much in files.
    pub(crate) async fn settle(&mut self, spool: &Path) -> std::io::Result<()> {
        let most = match self.file {
            None => self.most_in_memory,
            Some(_) => self.most_in_memory.min(CHUNK),
        };
        // What is kept is the room, not what is in it.
        let fits = self.memory.len() <= most;
        if fits && self.taken.grow_body_to(self.memory.capacity() as u64) {
            self.in_memory.set(self.memory.len() as u64);
            return Ok(());
        }
        self.spill(spool).await
    }

    async fn spill(&mut self, spool: &Path) -> std::io::Result<()> {
        let (spool, open) = (spool.to_owned(), self.file.clone());
        let octets = self.memory.len() as u64;
        if !self.filed.grow_by(octets) {
            return Err(std::io::Error::new(
                std::io::ErrorKind::StorageFull,
                "the messages that are held, in all or of this client, have in files what they may have",
            ));
        }
        let memory = std::mem::take(&mut self.memory);
        let written = spawn_blocking(move || {
            let file = match open {
                Some(file) => file,
                None => Arc::new(tempfile::tempfile_in(spool)?),
            };
            (&*file).write_all(&memory)?;
            Ok::<_, std::io::Error>(file)
        });
        self.file = Some(written.await??);
        self.free_memory();
        self.spilled += octets;
        self.on_disk.set(self.spilled);
        Ok(())
    }

    /// Forgets all of it.
    pub(crate) fn clear(&mut self) {
        self.forget_file();
        self.free_memory();
    }

    fn forget_file(&mut self) {
        self.file = None;
        self.filed.release();
        (self.spilled, self.passed) = (0, 0);
        self.on_disk.set(0);
    }

    fn free_memory(&mut self) {
        self.memory = Vec::new();
        self.taken.release();
        self.in_memory.set(0);
    }

    /// The next octets that have not gone on, for a message that passes while it comes in; none where there are none yet.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) async fn next(&mut self) -> std::io::Result<Bytes> {
        if let Some(file) = &self.file {
            let chunk = read_chunk(file, self.passed, self.spilled).await?;
            self.passed += chunk.len() as u64;
            if !chunk.is_empty() {
                return Ok(chunk);
            }
            self.forget_file();
        }
        // What is lent is still kept: it is given back when the next octets are asked for, or settled.
        self.in_memory.set(0);
        if self.memory.is_empty() {
            self.free_memory();
        }
        Ok(std::mem::take(&mut self.memory).into())
    }

    /// The whole of a message that has come to its end, to be read as often as needed. What it takes is accounted for until
    /// this is dropped or cleared, so it must outlive what it gives out.
    pub(crate) fn content(&mut self) -> Content {
        Content {
            file: self.file.clone(),
            spilled: self.spilled,
            tail: std::mem::take(&mut self.memory).into(),
        }
    }
}

/// A whole message. Cloning it copies nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    file: Option<Arc<File>>,
    spilled: u64,
    tail: Bytes,
}

impl Content {
    /// Octets in all.
    pub(crate) fn octets(&self) -> u64 {
        self.spilled + self.tail.len() as u64
    }

    /// Reads it from the front.
    pub(crate) fn reader(&self) -> Reader {
        Reader {
            content: self.clone(),
            at: 0,
        }
    }
}

/// One reading of a message.
#[derive(Debug)]
pub(crate) struct Reader {
    content: Content,
    at: u64,
}

impl Reader {
    /// The next octets; none at the end.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) async fn next(&mut self) -> std::io::Result<Bytes> {
        let Content {
            file,
            spilled,
            tail,
        } = &mut self.content;
        if let Some(file) = file
            && self.at < *spilled
        {
            let chunk = read_chunk(file, self.at, *spilled).await?;
            self.at += chunk.len() as u64;
            return Ok(chunk);
        }
        Ok(std::mem::take(tail))
    }
}

/// The octets of `file` from `at` on, up to a chunk and not beyond `end`.
async fn read_chunk(file: &Arc<File>, at: u64, end: u64) -> std::io::Result<Bytes> {
    let left = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
    if left == 0 {
        return Ok(Bytes::new());
    }
    let file = Arc::clone(file);
    let read = spawn_blocking(move || {
        let mut chunk = vec![0; left.min(CHUNK)];
        file.read_exact_at(&mut chunk, at)?;
        Ok::<_, std::io::Error>(chunk)
    });
    Ok(read.await??.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(content: &Content) -> Vec<u8> {
        let (mut reader, mut all) = (content.reader(), Vec::new());
        loop {
            let chunk = reader.next().await.unwrap();
            if chunk.is_empty() {
                return all;
            }
            all.extend_from_slice(&chunk);
        }
    }

    async fn hold(pieces: &[&[u8]], most: usize, budget: &MessageMemory) -> Held {
        let spool = tempfile::tempdir().unwrap();
        let mut held = Held::new(most, budget, budget.owner(&0), &Metrics::new());
        for piece in pieces {
            held.memory().extend_from_slice(piece);
            held.settle(spool.path()).await.unwrap();
        }
        held
    }

    #[tokio::test]
    async fn files_have_a_bound_for_all_messages_together() {
        let spool = tempfile::tempdir().unwrap();
        let budget = MessageMemory::with_files(0, 100);
        let hold = async |octets: usize| {
            let mut held = Held::new(1000, &budget, budget.owner(&0), &Metrics::new());
            held.memory().resize(octets, b'x');
            let settled = held.settle(spool.path()).await;
            (held, settled.map_err(|error| error.kind()))
        };
        let (mut first, settled) = hold(60).await;
        assert_eq!((settled, budget.used()), (Ok(()), (0, 60)));
        let (second, settled) = hold(41).await;
        assert_eq!(settled, Err(std::io::ErrorKind::StorageFull));
        drop(second);
        assert_eq!(budget.used(), (0, 60));
        assert_eq!(first.next().await.unwrap().len(), 60);
        assert!(first.next().await.unwrap().is_empty());
        assert_eq!(budget.used(), (0, 0), "what went on is nobody's");
        assert_eq!(hold(100).await.1, Ok(()));
        let (mut cleared, _) = hold(100).await;
        cleared.clear();
        assert_eq!(budget.used(), (0, 0));
    }

    #[tokio::test]
    async fn what_goes_in_comes_out_in_order_wherever_it_was_and_as_often_as_asked() {
        let big = vec![b'x'; 200_000];
        for (most, expect_file) in [(1 << 20, false), (1000, true), (0, true)] {
            let budget = MessageMemory::new(2 << 20);
            let mut held = hold(&[b"first ", &big, b" last"], most, &budget).await;
            assert_eq!(held.file.is_some(), expect_file, "{most}");
            let content = held.content();
            let expected = [b"first ".as_slice(), &big, b" last"].concat();
            assert_eq!(content.octets(), expected.len() as u64);
            for _ in 0..2 {
                assert_eq!(read_all(&content).await, expected);
            }
            drop(held);
            assert_eq!(budget.used(), (0, 0), "the budget is whole again");
        }
    }

    #[tokio::test]
    async fn what_passes_while_it_comes_in_passes_once() {
        let budget = MessageMemory::new(1 << 20);
        let spool = tempfile::tempdir().unwrap();
        let mut held = hold(&[&vec![b'x'; 100_000]], 1000, &budget).await;
        let mut all = Vec::new();
        for round in 0..3 {
            loop {
                let chunk = held.next().await.unwrap();
                if chunk.is_empty() {
                    break;
                }
                all.extend_from_slice(&chunk);
            }
            held.memory().push(b'0' + round);
            held.settle(spool.path()).await.unwrap();
        }
        all.extend_from_slice(&held.next().await.unwrap());
        assert_eq!(all, [vec![b'x'; 100_000], b"012".to_vec()].concat());
    }

    #[tokio::test]
    async fn an_empty_budget_sends_messages_to_files() {
        let budget = MessageMemory::new(40);
        let first = hold(&[b"12345678"], 1000, &budget).await;
        assert!(first.file.is_none());
        assert!(hold(&[b"12345678"], 1000, &budget).await.file.is_some());
        drop(first);
        assert!(hold(&[b"12345678"], 1000, &budget).await.file.is_none());
    }
}
