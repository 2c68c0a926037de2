//! The pace that a message has to keep as it comes in. A client that sends an octet now and then would hold a connection, and
//! what was kept of its message, for as long as it likes.

use std::time::Duration;

use sekisho_policy::snapshot::GatewayLimits;
use tokio::time::Instant;

use crate::limits::Limits;

/// By when how much must have come.
#[derive(Debug)]
pub(in crate::session) struct Pace {
    began: Instant,
    /// The whole message must have come by then.
    until: Instant,
    grace: Duration,
    /// Octets in a second.
    rate: u32,
    streaming: u32,
}

impl Pace {
    pub(in crate::session) fn new(limits: &Limits, gateway: &GatewayLimits) -> Self {
        let began = Instant::now();
        Self {
            began,
            until: began + Duration::from_millis(gateway.message_duration.0),
            grace: limits.grace,
            rate: gateway.min_bytes_per_second.max(1),
            streaming: limits.streaming.max(1),
        }
    }

    /// When more than `octets` must have come: a client that keeps the pace, over the whole of the message, is never late.
    pub(in crate::session) fn due(&self, octets: u64) -> Instant {
        (self.began + self.grace + time_of(octets, self.rate)).min(self.until)
    }

    /// Whether `octets` came so fast that the message may pass while it comes in. That takes a connection of the next hop until
    /// the message ends, so a client must be faster from then on.
    pub(super) fn stream(&mut self, octets: u64) -> bool {
        let fast = self.began.elapsed() <= time_of(octets, self.streaming);
        if fast {
            // A quarter of what it has shown to be able to, or the gateway's own pace if that is more.
            self.rate = self.rate.max(self.streaming / 4);
        }
        fast
    }
}

fn time_of(octets: u64, rate: u32) -> Duration {
    Duration::from_millis(octets.saturating_mul(1000) / u64::from(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        let gateway = GatewayLimits {
            min_bytes_per_second: 100,
            ..GatewayLimits::default()
        };
        Pace::new(&Limits::default(), &gateway)
    }

    #[tokio::test(start_paused = true)]
    async fn more_must_come_all_the_time() {
        let pace = pace();
        let seconds = |octets| (pace.due(octets) - pace.began).as_secs();
        assert_eq!(seconds(0), 60);
        assert_eq!(seconds(1), 60, "an octet buys ten milliseconds");
        assert_eq!(seconds(6_000), 120);
        assert_eq!(seconds(u64::MAX), 3600, "the whole message has its bound");
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_comes_fast_passes_while_it_comes() {
        let mut fast = pace();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(fast.stream(64 * 1024));
        let due = fast.due(64 * 1024) - fast.began;
        assert_eq!(due.as_secs(), 68, "and it must go on at 8 KiB in a second");
        let mut slow = pace();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(!slow.stream(64 * 1024));
        assert_eq!((slow.due(6_000) - slow.began).as_secs(), 120);
    }
}
