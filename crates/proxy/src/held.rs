//! A message while its verdict is awaited: in memory up to a bound, then in a file without a name.

use std::io::SeekFrom;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sekisho_runtime::Metrics;
use sekisho_runtime::metrics::{BufferPlace, Buffered};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

/// Octets read from the file at once.
const CHUNK: usize = 64 * 1024;

/// How much all messages of a gateway together may hold in memory.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<AtomicUsize>);

impl Budget {
    pub(crate) fn new(octets: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(octets)))
    }

    fn take(&self, octets: usize) -> bool {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| {
                free.checked_sub(octets)
            })
            .is_ok()
    }

    fn put_back(&self, octets: usize) {
        self.0.fetch_add(octets, Ordering::AcqRel);
    }
}

/// The octets of one message, in order.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Vec<u8>,
    /// What of the budget is ours.
    taken: usize,
    most_in_memory: usize,
    budget: Budget,
    file: Option<File>,
    in_memory: Buffered,
    on_disk: Buffered,
    spilled: u64,
}

impl Held {
    /// Nothing yet; up to `most_in_memory` octets stay in memory while `budget` allows.
    pub(crate) fn new(most_in_memory: usize, budget: Budget, metrics: &Metrics) -> Self {
        Self {
            memory: Vec::new(),
            taken: 0,
            most_in_memory,
            budget,
            file: None,
            in_memory: metrics.buffered(BufferPlace::Memory),
            on_disk: metrics.buffered(BufferPlace::Disk),
            spilled: 0,
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
    /// The file cannot be made or written.
    pub(crate) async fn settle(&mut self, spool: &Path) -> std::io::Result<()> {
        let wanted = self.memory.len();
        let fits = wanted <= self.most_in_memory && self.file.is_none();
        if fits && (wanted <= self.taken || self.budget.take(wanted - self.taken)) {
            self.taken = self.taken.max(wanted);
            self.in_memory.set(wanted as u64);
            return Ok(());
        }
        self.spill(spool).await
    }

    async fn spill(&mut self, spool: &Path) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let spool = spool.to_owned();
                let file =
                    tokio::task::spawn_blocking(move || tempfile::tempfile_in(spool)).await??;
                self.file.insert(File::from_std(file))
            }
        };
        file.write_all(&self.memory).await?;
        self.spilled += self.memory.len() as u64;
        self.on_disk.set(self.spilled);
        self.free_memory();
        Ok(())
    }

    /// Forgets all of it.
    pub(crate) fn clear(&mut self) {
        self.file = None;
        self.on_disk.set(0);
        self.memory = Vec::new();
        self.free_memory();
    }

    fn free_memory(&mut self) {
        self.memory.clear();
        self.memory.shrink_to(CHUNK);
        self.budget.put_back(std::mem::take(&mut self.taken));
        self.in_memory.set(0);
    }

    /// Begins to read from the front.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) async fn rewind(&mut self) -> std::io::Result<()> {
        if let Some(file) = &mut self.file {
            file.flush().await?;
            file.seek(SeekFrom::Start(0)).await?;
        }
        Ok(())
    }

    /// The next octets; none at the end. What is read from memory is gone.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) async fn next(&mut self) -> std::io::Result<Vec<u8>> {
        if let Some(file) = &mut self.file {
            let mut chunk = Vec::with_capacity(CHUNK);
            file.take(CHUNK as u64).read_to_end(&mut chunk).await?;
            if !chunk.is_empty() {
                return Ok(chunk);
            }
            self.file = None;
            self.on_disk.set(0);
        }
        let chunk = std::mem::take(&mut self.memory);
        self.free_memory();
        Ok(chunk)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.put_back(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(held: &mut Held) -> Vec<u8> {
        held.rewind().await.unwrap();
        let mut all = Vec::new();
        loop {
            let chunk = held.next().await.unwrap();
            if chunk.is_empty() {
                return all;
            }
            all.extend_from_slice(&chunk);
        }
    }

    async fn hold(pieces: &[&[u8]], most: usize, budget: &Budget) -> (Held, bool) {
        let spool = tempfile::tempdir().unwrap();
        let mut held = Held::new(most, budget.clone(), &Metrics::new());
        for piece in pieces {
            held.memory().extend_from_slice(piece);
            held.settle(spool.path()).await.unwrap();
        }
        let on_disk = held.file.is_some();
        (held, on_disk)
    }

    #[tokio::test]
    async fn what_goes_in_comes_out_in_order_wherever_it_was() {
        let big = vec![b'x'; 100_000];
        for (most, expect_file) in [(1 << 20, false), (1000, true), (0, true)] {
            let budget = Budget::new(1 << 20);
            let (mut held, on_disk) = hold(&[b"first ", &big, b" last"], most, &budget).await;
            assert_eq!(on_disk, expect_file, "{most}");
            let all = read_all(&mut held).await;
            assert_eq!(all, [b"first ".as_slice(), &big, b" last"].concat());
            drop(held);
            assert_eq!(
                budget.0.load(Ordering::Acquire),
                1 << 20,
                "the budget is whole again"
            );
        }
    }

    #[tokio::test]
    async fn an_empty_budget_sends_messages_to_files() {
        let budget = Budget::new(10);
        let (first, on_disk) = hold(&[b"12345678"], 1000, &budget).await;
        assert!(!on_disk);
        let (_second, on_disk) = hold(&[b"12345678"], 1000, &budget).await;
        assert!(on_disk);
        drop(first);
        let (_third, on_disk) = hold(&[b"12345678"], 1000, &budget).await;
        assert!(!on_disk);
    }
}
