//! The tarpit: replies to errors wait, longer each time. A session that waits holds a timer, its place here and nothing more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sekisho_policy::snapshot::{GatewayLimits, Tarpit, TarpitMode};

/// How many sessions wait now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pit(Arc<AtomicU32>);

/// One session's place; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Sunk(Arc<AtomicU32>);

impl Pit {
    /// A place for one more, if fewer wait than may.
    pub(crate) fn enter(&self, limits: &GatewayLimits) -> Option<Sunk> {
        let share = u64::from(limits.connections) * u64::from(limits.tarpit.max_percent) / 100;
        let most = u32::try_from(share.max(1)).unwrap_or(u32::MAX);
        let one_more = |waiting: u32| (waiting < most).then(|| waiting + 1);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more)
            .ok()?;
        Some(Sunk(self.0.clone()))
    }
}

impl Drop for Sunk {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How long the reply to the last of `errors` waits, if it does.
pub(crate) fn wait(tarpit: &Tarpit, errors: u32) -> Option<Duration> {
    if tarpit.mode == TarpitMode::Never || errors < tarpit.after {
        return None;
    }
    let doubled = (errors - tarpit.after).min(20);
    let millis = tarpit.delay.0.saturating_mul(1 << doubled);
    Some(Duration::from_millis(millis.min(tarpit.max_delay.0)))
}

#[cfg(test)]
mod tests {
    use sekisho_policy::Millis;

    use super::*;

    #[test]
    fn waits_grow_to_a_bound() {
        let tarpit = Tarpit {
            after: 3,
            delay: Millis(500),
            max_delay: Millis(3000),
            ..Tarpit::default()
        };
        let waits: Vec<Option<u64>> = [0, 2, 3, 4, 5, 6, u32::MAX]
            .map(|errors| {
                wait(&tarpit, errors)
                    .map(|wait| wait.as_secs() * 1000 + u64::from(wait.subsec_millis()))
            })
            .into();
        assert_eq!(
            waits,
            [
                None,
                None,
                Some(500),
                Some(1000),
                Some(2000),
                Some(3000),
                Some(3000)
            ]
        );
        let never = Tarpit {
            mode: TarpitMode::Never,
            ..tarpit
        };
        assert_eq!(wait(&never, 100), None);
    }

    #[test]
    fn a_share_of_the_connections_may_wait() {
        let limits = GatewayLimits {
            connections: 30,
            ..GatewayLimits::default()
        };
        let pit = Pit::default();
        let sunk: Vec<Sunk> = (0..3).map(|_| pit.enter(&limits).unwrap()).collect();
        assert!(pit.enter(&limits).is_none());
        drop(sunk);
        assert!(pit.enter(&limits).is_some());
        let few = GatewayLimits {
            connections: 10,
            tarpit: Tarpit {
                max_percent: 1,
                ..Tarpit::default()
            },
            ..limits
        };
        assert!(pit.enter(&few).is_some(), "one always may");
    }
}
