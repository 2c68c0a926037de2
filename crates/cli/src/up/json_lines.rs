//! Records as lines of JSON, to standard output or a file, on a thread of their own: whoever reads slowly holds nobody up.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sekisho_policy::Record;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Lines that may wait.
const WAITING: usize = 8192;
/// So long the last lines are waited for at the end.
const LAST_LINES: Duration = Duration::from_secs(5);

/// The writing end.
pub(super) struct JsonLines {
    lines: mpsc::Sender<Vec<u8>>,
    writer: JoinHandle<()>,
    left_out: AtomicU64,
}

impl JsonLines {
    /// Opens `path` to be added to, or standard output for `-`.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let out: Box<dyn Write + Send> = if path == Path::new("-") {
            Box::new(io::stdout())
        } else {
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(path);
            Box::new(file.with_context(|| format!("--ledger-json {}", path.display()))?)
        };
        let (lines, waiting) = mpsc::channel(WAITING);
        let writer = std::thread::Builder::new()
            .name("ledger-json".to_owned())
            .spawn(move || write(waiting, out))?;
        Ok(Self {
            lines,
            writer,
            left_out: AtomicU64::new(0),
        })
    }

    /// Leaves a record to be written; one that finds no room is left out and counted.
    pub(super) fn write(&self, record: &Record) {
        // A record is made of numbers, texts and maps with text keys; serializing it cannot fail.
        let Ok(mut line) = serde_json::to_vec(record) else {
            return;
        };
        line.push(b'\n');
        if self.lines.try_send(line).is_err() {
            let before = self.left_out.fetch_add(1, Ordering::Relaxed);
            if before.is_multiple_of(1000) {
                tracing::warn!(
                    left_out = before + 1,
                    "records are left out of --ledger-json, because nobody takes them in time; the ledger has them"
                );
            }
        }
    }

    /// Waits for the lines that are on their way.
    pub(super) async fn finish(self) {
        drop(self.lines);
        let written = tokio::task::spawn_blocking(move || self.writer.join());
        let _ = timeout(LAST_LINES, written).await;
    }
}

fn write(mut waiting: mpsc::Receiver<Vec<u8>>, out: Box<dyn Write + Send>) {
    let mut out = BufWriter::new(out);
    while let Some(line) = waiting.blocking_recv() {
        let mut written = out.write_all(&line);
        while let Ok(line) = waiting.try_recv() {
            written = written.and_then(|()| out.write_all(&line));
        }
        if let Err(error) = written.and_then(|()| out.flush()) {
            tracing::error!(%error, "--ledger-json cannot be written any more; the ledger goes on");
            return;
        }
    }
}
