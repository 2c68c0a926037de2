//! The one place where wall time enters. Everything else is handed a [`Clock`] or a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, never decreasing within one process. Cloning shares the clock.
///
/// The system clock is read forward only: when it is set back, time goes on from where it was, at the pace of
/// the monotonic clock, so no window of a limit ever stands still or counts twice.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System(Arc<System>),
    Manual(Arc<AtomicU64>),
}

#[derive(Debug)]
struct System {
    started: Instant,
    /// What to add to the milliseconds since `started`; only ever raised.
    offset: AtomicU64,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is where time enters")]
        let started = Instant::now();
        Self(Source::System(Arc::new(System {
            started,
            offset: AtomicU64::new(wall_millis()),
        })))
    }

    /// A clock that stands at `millis` until it is moved: for tests and replays.
    pub fn manual(millis: u64) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(millis))))
    }

    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        match &self.0 {
            Source::System(system) => system.now_ms(wall_millis()),
            Source::Manual(at) => at.load(Ordering::Acquire),
        }
    }

    /// Moves a manual clock forward. The system clock moves by itself and ignores this.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(at) = &self.0 {
            at.fetch_add(millis(by), Ordering::AcqRel);
        }
    }

    /// Sets a manual clock to `millis` unless it is past that already.
    pub fn set_ms(&self, millis: u64) {
        if let Source::Manual(at) = &self.0 {
            at.fetch_max(millis, Ordering::AcqRel);
        }
    }
}

impl System {
    fn now_ms(&self, wall: u64) -> u64 {
        let elapsed = millis(self.started.elapsed());
        let wanted = wall.saturating_sub(elapsed);
        let mut offset = self.offset.load(Ordering::Acquire);
        if wanted > offset {
            offset = self.offset.fetch_max(wanted, Ordering::AcqRel).max(wanted);
        }
        offset.saturating_add(elapsed)
    }
}

fn wall_millis() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "this is where time enters")]
    let now = SystemTime::now();
    // Before 1970 only a machine without a clock is; it counts from 0.
    now.duration_since(UNIX_EPOCH).map_or(0, millis)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(offset: u64) -> System {
        let Clock(Source::System(system)) = Clock::system() else {
            unreachable!()
        };
        system.offset.store(offset, Ordering::Release);
        Arc::into_inner(system).expect("not shared")
    }

    #[test]
    fn a_clock_set_back_goes_on_from_where_it_was() {
        let clock = system(1_000_000);
        let before = clock.now_ms(2_000_000);
        let after = clock.now_ms(500_000);
        assert!(after >= before, "{after} < {before}");
        assert!(after < 2_100_000, "{after} jumped");
    }

    #[test]
    fn a_clock_set_forward_is_followed() {
        let clock = system(1_000_000);
        assert!(clock.now_ms(9_000_000) >= 9_000_000);
    }

    #[test]
    fn a_manual_clock_moves_only_when_told_and_only_forward() {
        let clock = Clock::manual(5);
        let same = clock.clone();
        assert_eq!(clock.now_ms(), 5);
        same.advance(Duration::from_secs(1));
        assert_eq!(clock.now_ms(), 1005);
        clock.set_ms(3);
        assert_eq!(clock.now_ms(), 1005);
        clock.set_ms(2000);
        assert_eq!(same.now_ms(), 2000);
    }
}
