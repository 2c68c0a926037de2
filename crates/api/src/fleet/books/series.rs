//! How far each proxy's records have come: by the process that numbered them, so that what is sent again is known.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// Processes that are remembered: each pod has one, and those of pods that are gone make room.
const MOST_SERIES: usize = 16 * 1024;
/// Processes of one proxy that are remembered: one that makes numbers up forgets its own.
const MOST_OF_PROXY: usize = 4;
/// A gap is not counted as larger: what a proxy says must not overflow a counter.
const LARGEST_GAP: u64 = 1 << 32;

/// Records that are numbered together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::fleet) struct Series {
    /// `namespace/name`.
    pub(in crate::fleet) gateway: String,
    pub(in crate::fleet) proxy: String,
    /// Random, made anew by each process.
    pub(in crate::fleet) instance: String,
}

/// Where a batch stands in its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// All of it is in the ledger.
    Written,
    /// All of it came before and is not in the ledger yet.
    Taken,
    /// After the first `known` records, it is new; `missing` ones never came before it.
    New { known: usize, missing: u64 },
}

/// Up to where a series is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Mark(Arc<AtomicU64>);

impl Mark {
    pub(super) fn written(&self, end: u64) {
        self.0.fetch_max(end, Ordering::AcqRel);
    }
}

#[derive(Debug)]
struct Known {
    instance: String,
    taken: u64,
    written: Mark,
    used: Instant,
}

/// All series that are remembered, by gateway and proxy.
#[derive(Debug, Default)]
pub(super) struct AllSeries {
    proxies: BTreeMap<(String, String), Vec<Known>>,
    count: usize,
}

impl AllSeries {
    /// Where `first..end` stands.
    pub(super) fn place(&self, series: &Series, first: u64, end: u64) -> Place {
        // Of a series that is not known nothing can be said to be missing: this process may have just started.
        let Some(known) = self.find(series) else {
            return Place::New {
                known: 0,
                missing: 0,
            };
        };
        if end <= known.taken {
            return if end <= known.written.0.load(Ordering::Acquire) {
                Place::Written
            } else {
                Place::Taken
            };
        }
        let before = known.taken.saturating_sub(first);
        Place::New {
            known: usize::try_from(before).unwrap_or(usize::MAX),
            missing: first.saturating_sub(known.taken).min(LARGEST_GAP),
        }
    }

    /// Remembers that all before `end` was taken; the mark is to be set when it is written.
    pub(super) fn take(&mut self, series: &Series, end: u64) -> Mark {
        let now = Instant::now();
        if self.find(series).is_none() {
            self.make_room(series);
            let known = Known {
                instance: series.instance.clone(),
                taken: 0,
                written: Mark::default(),
                used: now,
            };
            let proxy = (series.gateway.clone(), series.proxy.clone());
            self.proxies.entry(proxy).or_default().push(known);
            self.count += 1;
        }
        let proxy = (series.gateway.clone(), series.proxy.clone());
        let known = self.proxies.get_mut(&proxy);
        let known = known.and_then(|all| all.iter_mut().find(|k| k.instance == series.instance));
        known.map_or_else(Mark::default, |known| {
            known.taken = known.taken.max(end);
            known.used = now;
            known.written.clone()
        })
    }

    fn find(&self, series: &Series) -> Option<&Known> {
        let proxy = (series.gateway.clone(), series.proxy.clone());
        let all = self.proxies.get(&proxy)?;
        all.iter().find(|known| known.instance == series.instance)
    }

    fn make_room(&mut self, series: &Series) {
        let proxy = (series.gateway.clone(), series.proxy.clone());
        let crowded = self
            .proxies
            .get(&proxy)
            .is_some_and(|all| all.len() >= MOST_OF_PROXY);
        let victim = if crowded {
            Some(proxy)
        } else if self.count >= MOST_SERIES {
            let oldest = self
                .proxies
                .iter()
                .min_by_key(|(_, all)| all.iter().map(|k| k.used).min());
            oldest.map(|(proxy, _)| proxy.clone())
        } else {
            None
        };
        let Some(victim) = victim else { return };
        if let Some(all) = self.proxies.get_mut(&victim) {
            let oldest = all.iter().enumerate().min_by_key(|(_, known)| known.used);
            if let Some(at) = oldest.map(|(at, _)| at) {
                all.swap_remove(at);
                self.count -= 1;
            }
            if all.is_empty() {
                self.proxies.remove(&victim);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(proxy: &str, instance: u64) -> Series {
        Series {
            gateway: "mail/out".into(),
            proxy: proxy.into(),
            instance: format!("{instance:08x}"),
        }
    }

    #[test]
    fn a_batch_stands_before_within_or_after_what_is_known() {
        let mut all = AllSeries::default();
        let one = series("a", 1);
        let new = |known, missing| Place::New { known, missing };
        assert_eq!(all.place(&one, 100, 110), new(0, 0), "unknown");
        let mark = all.take(&one, 110);
        assert_eq!(all.place(&one, 100, 110), Place::Taken);
        mark.written(110);
        assert_eq!(all.place(&one, 100, 110), Place::Written);
        assert_eq!(all.place(&one, 0, 5), Place::Written);
        assert_eq!(all.place(&one, 105, 115), new(5, 0), "overlaps");
        assert_eq!(all.place(&one, 110, 115), new(0, 0), "follows");
        assert_eq!(all.place(&one, 117, 120), new(0, 7), "leaves a gap");
        assert_eq!(all.place(&one, u64::MAX - 1, u64::MAX), new(0, LARGEST_GAP));
        assert_eq!(
            all.place(&series("a", 2), 0, 5),
            new(0, 0),
            "another process"
        );
        assert_eq!(all.place(&series("b", 1), 0, 5), new(0, 0), "another proxy");
    }

    #[test]
    fn a_proxy_that_makes_up_processes_forgets_its_own() {
        let mut all = AllSeries::default();
        all.take(&series("good", 1), 10);
        for instance in 0..100 {
            all.take(&series("bad", instance), 10);
        }
        assert_eq!(all.count, 1 + MOST_OF_PROXY);
        assert_eq!(all.place(&series("good", 1), 0, 10), Place::Taken);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_makes_room() {
        let mut all = AllSeries::default();
        for proxy in 0..MOST_SERIES + 3 {
            all.take(&series(&format!("p{proxy}"), 1), 10);
        }
        assert_eq!(all.count, MOST_SERIES);
        assert_eq!(all.proxies.len(), MOST_SERIES);
        let last = series(&format!("p{}", MOST_SERIES + 2), 1);
        assert_eq!(all.place(&last, 0, 10), Place::Taken);
    }
}
