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
    place: Place,
    events: mpsc::Receiver<()>,
    /// `None` where inotify is not to be had.
    _watcher: Option<RecommendedWatcher>,
    look: Interval,
    seen: Seen,
}

/// What is watched, and what in it is not.
#[derive(Clone)]
struct Place {
    path: PathBuf,
    /// Our own state, which changes all the time and may well lie in the folder of the objects.
    except: PathBuf,
}

/// What a look at the files finds: enough to tell that one was written.
type Seen = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

impl Watch {
    /// Starts to watch `path`, but not what lies in `except`. Changes from now on are noticed.
    pub(crate) fn start(path: &Path, except: &Path) -> Self {
        let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let place = Place {
            path: whole(path),
            except: whole(except),
        };
        let (events, receiver) = mpsc::channel(1);
        let watcher = match begin(&place, events) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "files are looked at every second, because inotify is not to be had");
                None
            }
        };
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let seen = look_at(&place);
        Self {
            place,
            events: receiver,
            _watcher: watcher,
            look,
            seen,
        }
    }

    /// Waits until something changed and has come to rest.
    pub(crate) async fn changed(&mut self) {
        loop {
            let told = tokio::select! {
                told = self.events.recv(), if !self.events.is_closed() => told.is_some(),
                _ = self.look.tick() => false,
            };
            let found = look_at(&self.place);
            if told || found != self.seen {
                self.settle().await;
                self.seen = look_at(&self.place);
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

fn begin(place: &Place, events: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let except = place.except.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // An error means that events were lost, which is as good as one. A full channel holds the news already.
        if event.is_ok_and(|event| !is_change(&event, &except)) {
            return;
        }
        let _ = events.try_send(());
    })?;
    watcher.watch(&place.path, RecursiveMode::Recursive)?;
    // A file that is replaced by renaming another onto it is a change of its folder, not of the file.
    if place.path.is_file()
        && let Some(folder) = place.path.parent()
    {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Our own reading of the files is no change.
fn is_change(event: &notify::Event, except: &Path) -> bool {
    let reading = matches!(event.kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write));
    let elsewhere =
        !event.paths.is_empty() && event.paths.iter().all(|path| path.starts_with(except));
    !reading && !elsewhere
}

fn look_at(place: &Place) -> Seen {
    let mut seen = Seen::new();
    let mut ahead = vec![place.path.clone()];
    while let Some(path) = ahead.pop() {
        // What cannot be read is seen as not there; loading the objects says what is wrong with it.
        let Ok(metadata) = std::fs::metadata(&path) else {
            continue;
        };
        if path == place.except {
            continue;
        }
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
        let mut watch = Watch::start(folder.path(), Path::new("/nowhere"));
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
        let mut watch = Watch::start(&file, Path::new("/nowhere"));
        watch._watcher = None;
        fs::write(&file, "longer").unwrap();
        assert!(notices(&mut watch).await);
    }

    #[tokio::test(start_paused = true)]
    async fn reading_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(&file, "a").unwrap();
        let mut watch = Watch::start(folder.path(), Path::new("/nowhere"));
        fs::read(&file).unwrap();
        // Real time for inotify, which does not know of the paused clock.
        std::thread::sleep(Duration::from_millis(50));
        assert!(
            timeout(Duration::from_secs(5), watch.changed())
                .await
                .is_err()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn our_own_state_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("data");
        fs::create_dir(&state).unwrap();
        let mut watch = Watch::start(folder.path(), &state);
        fs::write(state.join("ledger.sqlite"), "x").unwrap();
        // Real time for inotify, which does not know of the paused clock.
        std::thread::sleep(Duration::from_millis(50));
        assert!(
            timeout(Duration::from_secs(5), watch.changed())
                .await
                .is_err()
        );
    }
}
