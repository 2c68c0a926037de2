//! What is kept on disk, so that a restart without a control plane knows all that was known: a base that is written now and then, and a
//! journal of what changed since, so that one change of a million accounts' settings does not write a million.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sekisho_policy::AccountSettings;
use sekisho_runtime::Shutdown;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::base::{Header, VERSION, pack, unpack};
use super::table::{Key, Table};
use super::{KnownSettings, Maybe};
use crate::state_folder::private;

/// Changes are written this long after the first of them.
const AFTER: Duration = Duration::from_millis(200);
/// What the disk did not take is tried again so often.
const AGAIN: Duration = Duration::from_secs(30);
/// A journal up to this length is not worth a new base.
const SHORT: u64 = 1 << 20;
/// Changes that wait to be written; beyond it a new base is.
const MOST_WAITING: usize = 16 << 20;
/// The most octets of either file that are read.
const LARGEST: u64 = 1 << 30;

/// One line of a journal: what one answer said.
#[derive(Debug, Serialize, Deserialize)]
struct Line<S> {
    /// The base that it goes on from.
    id: u64,
    revision: u64,
    changes: Vec<(Key, Option<S>)>,
}

/// What is to be written, and where the files are.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The base on disk goes by this.
    id: u64,
    waiting: Vec<u8>,
    /// Octets of the files.
    base: u64,
    written: u64,
    /// Whether a new base is needed, whatever waits.
    pub(super) is_stale: bool,
}

impl Journal {
    pub(super) fn add<'a>(
        &mut self,
        revision: u64,
        changes: impl Iterator<Item = (&'a Key, Maybe<'a>)>,
    ) {
        if self.is_stale {
            return;
        }
        let changes = changes.map(|(key, settings)| (*key, settings)).collect();
        let line = Line {
            id: self.id,
            revision,
            changes,
        };
        let fits = self.base > 0 && self.waiting.len() < MOST_WAITING;
        if !fits || serde_json::to_writer(&mut self.waiting, &line).is_err() {
            return self.needs_base();
        }
        self.waiting.push(b'\n');
    }

    fn needs_base(&mut self) {
        self.is_stale = true;
        self.waiting = Vec::new();
    }

    /// What to do next.
    fn next(&mut self) -> Next {
        if self.is_stale || self.written + self.waiting.len() as u64 > SHORT.max(self.base / 2) {
            self.is_stale = false;
            self.waiting = Vec::new();
            return Next::Base;
        }
        if self.waiting.is_empty() {
            return Next::Nothing;
        }
        Next::Lines(std::mem::take(&mut self.waiting))
    }
}

enum Next {
    Nothing,
    Lines(Vec<u8>),
    Base,
}

/// The two files of a namespace.
#[derive(Clone, Debug)]
struct Files {
    base: PathBuf,
    journal: PathBuf,
}

impl Files {
    fn of(state: &Path, namespace: &str) -> Self {
        // Names of namespaces are DNS labels.
        let folder = state.join("settings");
        Self {
            base: folder.join(format!("{namespace}.base")),
            journal: folder.join(format!("{namespace}.journal")),
        }
    }
}

impl KnownSettings {
    /// Takes over what the files of `namespace` in the state folder hold, if there are any. What is damaged is put aside, so that
    /// the process starts; until the control plane answers, the rules' defaults hold for everybody.
    pub fn recall(&self, state: &Path, namespace: &str) {
        let files = Files::of(state, namespace);
        match self.read_files(&files) {
            Ok(Some(count)) => {
                tracing::info!(
                    count,
                    namespace,
                    "settings of accounts of the last run hold"
                );
            }
            Ok(None) => {}
            Err(error) => {
                let aside = files.base.with_extension("damaged");
                tracing::error!(
                    path = %files.base.display(), %error, aside = %aside.display(),
                    "the settings of accounts of the last run cannot be read and are put aside; until the control plane answers the rules' defaults hold"
                );
                if let Err(error) = fs::rename(&files.base, &aside) {
                    tracing::error!(%error, "a damaged file cannot be put aside");
                }
            }
        }
    }

    fn read_files(&self, files: &Files) -> io::Result<Option<usize>> {
        let Some(base) = read(&files.base)? else {
            return Ok(None);
        };
        let (header, mut table) = unpack(&base)?;
        let replayed = replay(files, header.id, &mut table)?;
        let count = table.census().accounts;
        *self
            .0
            .secret
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = header.secret;
        self.write(|now| *now = table);
        let mut journal = self.journal();
        journal.id = header.id;
        journal.base = base.len() as u64;
        journal.written = replayed.octets;
        journal.is_stale = replayed.is_torn;
        Ok(Some(count))
    }

    /// Keeps the files as new as what is known, until the process drains. What a disk does not take is tried again; nobody waits
    /// for it.
    pub async fn keep(self, state: PathBuf, namespace: String, shutdown: Shutdown) {
        let files = Files::of(&state, &namespace);
        let mut changes = self.0.changes.subscribe();
        let mut again = interval(AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_failing = false;
        loop {
            let ends = tokio::select! {
                changed = changes.changed() => changed.is_err(),
                _ = again.tick() => false,
                () = shutdown.draining() => true,
            };
            if !ends {
                tokio::select! {
                    () = sleep_until(Instant::now() + AFTER) => {}
                    () = shutdown.draining() => {}
                }
            }
            changes.mark_unchanged();
            let (known, to) = (self.clone(), files.clone());
            let writing = spawn_blocking(move || known.write_files(&to)).await;
            match writing.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Ok(()) => is_failing = false,
                Err(error) => {
                    self.journal().needs_base();
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::error!(path = %files.base.display(), %error, "settings of accounts cannot be kept: a restart would begin with older ones until the control plane answers");
                    }
                }
            }
            if ends {
                return;
            }
        }
    }

    fn write_files(&self, files: &Files) -> io::Result<()> {
        let next = self.journal().next();
        match next {
            Next::Nothing => Ok(()),
            Next::Lines(lines) => {
                append(&files.journal, &lines)?;
                self.journal().written += lines.len() as u64;
                Ok(())
            }
            Next::Base => self.write_base(files),
        }
    }

    fn write_base(&self, files: &Files) -> io::Result<()> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|error| io::Error::other(error.to_string()))?;
        let id = u64::from_ne_bytes(id) >> 1;
        let (header, entries) = {
            // What is heard from now on is not in the base, and its lines are to name it.
            let mut journal = self.journal();
            let table = self.read();
            if !table.was_heard() || table.question().1 == sekisho_policy::states::Part::Next {
                journal.is_stale = true;
                return Ok(());
            }
            let (shapes, entries) = table.packed();
            journal.id = id;
            journal.base = 1;
            journal.waiting = Vec::new();
            let header = Header {
                version: VERSION,
                id,
                secret: self.secret(),
                revision: table.heard(),
                store: table.store().map(Box::from),
                entries: entries.len(),
                shapes: shapes.iter().map(|shape| (**shape).clone()).collect(),
            };
            (header, entries)
        };
        let octets = pack(&files.base, &header, &entries)?;
        // Lines of another base mean nothing, should this fail.
        private().truncate(true).open(&files.journal)?;
        let mut journal = self.journal();
        journal.base = octets;
        journal.written = 0;
        Ok(())
    }
}

fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    let mut file = private().append(true).open(path)?;
    file.write_all(lines)?;
    file.sync_data()
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Ok(file) => file.take(LARGEST + 1),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST {
        return Err(io::Error::other(format!(
            "it has more than {LARGEST} octets"
        )));
    }
    Ok(Some(content))
}

/// A journal that was read.
#[derive(Debug, Default)]
struct Replayed {
    octets: u64,
    /// Whether it ends in the midst of a line: what is added to it would not be read again.
    is_torn: bool,
}

/// Takes over the lines that go on from the base, up to one that was not written whole.
fn replay(files: &Files, id: u64, table: &mut Table) -> io::Result<Replayed> {
    let Some(content) = read(&files.journal)? else {
        return Ok(Replayed::default());
    };
    let mut is_torn = false;
    for line in content
        .split(|&octet| octet == b'\n')
        .filter(|line| !line.is_empty())
    {
        let Ok(line) = serde_json::from_slice::<Line<AccountSettings>>(line) else {
            is_torn = true;
            break;
        };
        if line.id != id || line.revision < table.heard() {
            continue;
        }
        for (key, settings) in &line.changes {
            table.set(*key, settings.as_ref());
        }
        table.went_on(line.revision);
    }
    Ok(Replayed {
        octets: content.len() as u64,
        is_torn,
    })
}
