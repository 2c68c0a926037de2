//! A second, naive counter: every addition kept for ever, judged by three notions of time.

use crate::contract::longest_lease;

/// How far behind the latest time a reading may be and still be held to its own word.
const LATE: u64 = 60_000;

/// Whose clocks are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Clocks {
    /// Many callers', each a little off: what is late is judged by its own time, and the latest of all goes on counting.
    #[default]
    Callers,
    /// One server's: where it steps back, time stands still for a key until it has caught up.
    Server,
}

/// Whether credit is charged ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lends {
    #[default]
    Nothing,
    /// What was charged with it counts longer by the life of a lease; sums that are told with it are as old as it may be.
    Credit,
}

/// One addition.
#[derive(Clone, Debug)]
struct Added {
    key: usize,
    cost: u64,
    /// What of it was given back.
    returned: u64,
    time: Times,
    /// The latest that this key was ever added to at, this addition included.
    of_key: u64,
}

/// When something happened.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    /// What the clock read.
    said: u64,
    /// The latest that it ever read.
    latest: u64,
    /// All its forward movement so far: no observer can say that more time has passed.
    elapsed: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    clocks: Clocks,
    lends: Lends,
    now: Times,
    added: Vec<Option<Added>>,
}

impl Model {
    pub(crate) fn new(clocks: Clocks, lends: Lends) -> Self {
        Self {
            clocks,
            lends,
            ..Self::default()
        }
    }

    pub(crate) fn lends(&self) -> Lends {
        self.lends
    }

    pub(crate) fn clock_reads(&mut self, now: u64) {
        self.now.elapsed += now.saturating_sub(self.now.said);
        self.now.latest = self.now.latest.max(now);
        self.now.said = now;
    }

    /// Notes an addition and names it.
    pub(crate) fn add(&mut self, key: usize, cost: u64) -> usize {
        self.added.push(Some(Added {
            key,
            cost,
            returned: 0,
            time: self.now,
            of_key: self.time_of(key),
        }));
        self.added.len() - 1
    }

    pub(crate) fn give_back(&mut self, name: usize) {
        // That something was added then is not forgotten.
        if let Some(added) = &mut self.added[name] {
            added.returned = std::mem::take(&mut added.cost);
        }
    }

    pub(crate) fn clear(&mut self, key: usize) {
        for added in &mut self.added {
            added.take_if(|added| added.key == key);
        }
    }

    /// The most that the window ending now holds, by each notion of time that can be asked of it.
    pub(crate) fn must_hold(&self, key: usize, window: u64) -> u64 {
        let now = self.now;
        let by_elapsed = self.sum(key, |added| now.elapsed - added.time.elapsed < window);
        if self.clocks == Clocks::Server {
            let time = self.time_of(key);
            return by_elapsed.max(self.sum(key, |added| time - added.of_key < window));
        }
        let by_latest = self.sum(key, |added| now.latest - added.time.latest < window);
        let is_late = now.latest - now.said > window.min(LATE);
        let by_reading = self.sum(key, |added| {
            !is_late && now.said.abs_diff(added.time.said) < window
        });
        by_elapsed.max(by_latest).max(by_reading)
    }

    /// The most that may be counted: what is a 64th of the window older still counts, and a late caller sees all that it saw.
    pub(crate) fn may_hold(&self, key: usize, window: u64) -> u64 {
        let grain = window.div_ceil(64) + self.late(window);
        if self.clocks == Clocks::Server {
            let time = self.time_of(key);
            let held = |added: &Added| added.of_key + window + grain > time;
            let returned = match self.lends {
                Lends::Nothing => 0,
                // A sum that is told with credit does not know what came back of other charges meanwhile.
                Lends::Credit => self.total(key, held, |added| added.returned),
            };
            return self.sum(key, held) + returned;
        }
        let judged = self
            .now
            .said
            .max(self.now.latest - window.min(LATE).min(self.now.latest));
        self.sum(key, |added| added.time.latest + window + grain > judged)
    }

    /// The life of a lease: for what counts longer, for what was charged before it was used, for what was told before it is said
    /// again, and for parts of windows that are longer.
    fn late(&self, window: u64) -> u64 {
        match self.lends {
            Lends::Nothing => 0,
            Lends::Credit => 4 * longest_lease(window),
        }
    }

    /// The time that it is for a key whose server's clock stepped back.
    fn time_of(&self, key: usize) -> u64 {
        let all = self.added.iter().flatten();
        let of_key = all
            .filter(|added| added.key == key)
            .map(|added| added.of_key);
        of_key.fold(self.now.said, u64::max)
    }

    fn sum(&self, key: usize, counts: impl Fn(&Added) -> bool) -> u64 {
        self.total(key, counts, |added| added.cost)
    }

    fn total(
        &self,
        key: usize,
        counts: impl Fn(&Added) -> bool,
        of: impl Fn(&Added) -> u64,
    ) -> u64 {
        let all = self.added.iter().flatten();
        all.filter(|added| added.key == key && counts(added))
            .map(of)
            .sum()
    }
}
