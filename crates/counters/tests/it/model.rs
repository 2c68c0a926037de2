//! A second, naive counter: every addition kept for ever, judged by three notions of time.

/// How far behind the latest time a reading may be and still be held to its own word.
const LATE: u64 = 60_000;

/// One addition.
#[derive(Clone, Debug)]
struct Added {
    key: usize,
    cost: u64,
    time: Times,
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

#[derive(Debug, Default)]
pub(crate) struct Model {
    now: Times,
    added: Vec<Option<Added>>,
}

impl Model {
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
            time: self.now,
        }));
        self.added.len() - 1
    }

    pub(crate) fn give_back(&mut self, name: usize) {
        self.added[name] = None;
    }

    pub(crate) fn clear(&mut self, key: usize) {
        for added in &mut self.added {
            added.take_if(|added| added.key == key);
        }
    }

    /// The most that the window ending now holds, by each notion of time that can be asked of it.
    pub(crate) fn must_hold(&self, key: usize, window: u64) -> u64 {
        let now = self.now;
        let by_elapsed = self.sum(key, |time| now.elapsed - time.elapsed < window);
        let by_latest = self.sum(key, |time| now.latest - time.latest < window);
        let is_late = now.latest - now.said > window.min(LATE);
        let by_reading = self.sum(key, |time| {
            !is_late && now.said.abs_diff(time.said) < window
        });
        by_elapsed.max(by_latest).max(by_reading)
    }

    /// The most that may be counted: what is a 64th of the window older still counts, and a late caller sees all that it saw.
    pub(crate) fn may_hold(&self, key: usize, window: u64) -> u64 {
        let judged = self
            .now
            .said
            .max(self.now.latest - window.min(LATE).min(self.now.latest));
        let grain = window.div_ceil(64);
        self.sum(key, |time| time.latest + window + grain > judged)
    }

    fn sum(&self, key: usize, counts: impl Fn(Times) -> bool) -> u64 {
        let all = self.added.iter().flatten();
        all.filter(|added| added.key == key && counts(added.time))
            .map(|added| added.cost)
            .sum()
    }
}
