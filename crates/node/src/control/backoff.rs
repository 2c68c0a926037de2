//! How long to wait before the control plane is asked again.

use std::time::Duration;

use sekisho_proxy::Ids;

/// A replica that restarts is back in a second or two, and the first attempts find it at once.
const FIRST: Duration = Duration::from_millis(100);
/// A thousand proxies then try 100 times a second together, and none is later than this after the control plane is back.
const MOST: Duration = Duration::from_secs(15);

/// Doubles from failure to failure; half of each wait is drawn, so that proxies that were cut off together do not come back
/// together.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    random: Ids,
}

impl Backoff {
    pub(crate) fn new(random: Ids) -> Self {
        Self {
            next: FIRST,
            random,
        }
    }

    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }

    /// A part of `whole`, drawn anew each time.
    pub(crate) fn part_of(&self, whole: Duration) -> Duration {
        let drawn = u32::try_from(self.random.number() % 1001).unwrap_or(0);
        whole * drawn / 1000
    }

    /// How long to wait now; `wanted` is what the control plane asked for.
    pub(crate) fn wait(&mut self, wanted: Option<Duration>) -> Duration {
        let whole = self.next.max(wanted.unwrap_or_default());
        self.next = (self.next * 2).min(MOST);
        let half = whole / 2;
        let wait = half + self.part_of(half);
        // Whoever names a time means it; it is spread behind that time, not before.
        wanted.map_or(wait, |wanted| wait.max(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_are_spread() {
        let mut backoff = Backoff::new(Ids::seeded(1));
        let waits: Vec<_> = (0..12).map(|_| backoff.wait(None)).collect();
        let mut most = FIRST;
        for wait in &waits {
            assert!(*wait >= most / 2 && *wait <= most, "{waits:?}");
            most = (most * 2).min(MOST);
        }
        let late: std::collections::HashSet<_> = (0..20).map(|_| backoff.wait(None)).collect();
        assert!(late.len() > 10, "{late:?}");
        backoff.reset();
        assert!(backoff.wait(None) <= FIRST);
    }

    #[test]
    fn what_the_control_plane_asks_for_is_kept() {
        let mut backoff = Backoff::new(Ids::seeded(1));
        let wanted = Duration::from_secs(30);
        assert!(backoff.wait(Some(wanted)) >= wanted);
    }
}
