//! Notices when the files that hold the objects change: by inotify, and by looking every second where that misses
//! something (network file systems, a folder that was replaced).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout};

/// So long nothing may happen before a change is taken to be complete.
const QUIET: Duration = Duration::from_millis(100);
/// So long a change is waited for that never comes to rest.
const RESTLESS: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A folder of objects with more entries than this is watched by inotify alone.
const MOST_ENTRIES: usize = 20_000;

/// Watches a file or a folder.
pub(crate) struct Watch {
    path: PathBuf,
    events: mpsc::Receiver<()>,
    /// `None` where inotify is not to be had.
    _watcher: Option<RecommendedWatcher>,
    look: Interval,
    seen: Seen,
}

/// What a look at the files finds: enough to tell that one was written.
type Seen = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

impl Watch {
    /// Starts to watch. Changes from now on are noticed.
    pub(crate) fn start(path: &Path) -> Self {
        let (events, receiver) = mpsc::channel(1);
        let watcher = match begin(path, events) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "files are looked at every second, because inotify is not to be had");
                None
            }
        };
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            path: path.to_owned(),
            events: receiver,
            _watcher: watcher,
            look,
            seen: look_at(path),
        }
    }

    /// Waits until something changed and has come to rest.
    pub(crate) async fn changed(&mut self) {
        loop {
            let told = tokio::select! {
                told = self.events.recv(), if !self.events.is_closed() => told.is_some(),
                _ = self.look.tick() => false,
            };
            let found = look_at(&self.path);
            if told || found != self.seen {
                self.settle().await;
                self.seen = look_at(&self.path);
                return;
            }
        }
    }

    async fn settle(&mut self) {
        let limit = Instant::now() + RESTLESS;
        while Instant::now() < limit {
            if !matches!(timeout(QUIET, self.events.recv()).await, Ok(Some(()))) {
                return;
            }
        }
    }
}

fn begin(path: &Path, events: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // An error means that events were lost, which is as good as one. A full channel holds the news already.
        if event.is_ok_and(|event| !is_change(&event.kind)) {
            return;
        }
        let _ = events.try_send(());
    })?;
    watcher.watch(path, RecursiveMode::Recursive)?;
    // A file that is replaced by renaming another onto it is a change of its folder, not of the file.
    if path.is_file()
        && let Some(folder) = path.parent()
    {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Our own reading of the files is no change.
fn is_change(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if *access != AccessKind::Close(AccessMode::Write))
}

fn look_at(path: &Path) -> Seen {
    let mut seen = Seen::new();
    let mut ahead = vec![path.to_owned()];
    while let Some(path) = ahead.pop() {
        // What cannot be read is seen as not there; loading the objects says what is wrong with it.
        let Ok(metadata) = std::fs::metadata(&path) else {
            continue;
        };
        if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            ahead.extend(entries.map(|entry| entry.path()).take(MOST_ENTRIES));
        }
        seen.insert(path, (metadata.len(), metadata.modified().ok()));
        if seen.len() > MOST_ENTRIES {
            return Seen::new();
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn notices(watch: &mut Watch) -> bool {
        timeout(Duration::from_secs(10), watch.changed())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn a_written_a_replaced_and_a_removed_file_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        let mut watch = Watch::start(folder.path());
        fs::write(&file, "a").unwrap();
        assert!(notices(&mut watch).await, "written");
        fs::write(folder.path().join("b"), "b").unwrap();
        fs::rename(folder.path().join("b"), &file).unwrap();
        assert!(notices(&mut watch).await, "replaced");
        fs::remove_file(&file).unwrap();
        assert!(notices(&mut watch).await, "removed");
    }

    #[tokio::test]
    async fn without_inotify_a_look_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(&file, "a").unwrap();
        let mut watch = Watch::start(&file);
        watch._watcher = None;
        fs::write(&file, "longer").unwrap();
        assert!(notices(&mut watch).await);
    }

    #[tokio::test(start_paused = true)]
    async fn reading_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(&file, "a").unwrap();
        let mut watch = Watch::start(folder.path());
        fs::read(&file).unwrap();
        assert!(
            timeout(Duration::from_secs(5), watch.changed())
                .await
                .is_err()
        );
    }
}
