//! What was measured.

use std::fmt;
use std::time::Duration;

use crate::client::Client;

#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) took: Duration,
    /// Of each message.
    times: Vec<Duration>,
    sessions: u64,
    resumed: u64,
}

impl Figures {
    pub(crate) fn session(&mut self, client: &Client) {
        self.sessions += 1;
        self.resumed += u64::from(client.resumed);
    }

    pub(crate) fn message(&mut self, time: Duration) {
        self.times.push(time);
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.sessions += other.sessions;
        self.resumed += other.resumed;
    }

    /// The nearest-rank percentile, in microseconds.
    fn percentile(sorted: &[Duration], percent: usize) -> u128 {
        let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
        sorted.get(rank).map_or(0, Duration::as_micros)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times = self.times.clone();
        times.sort_unstable();
        write!(
            f,
            "messages={} seconds={:.3} rate={:.1} p50_us={} p99_us={} max_us={} sessions={} resumed={}",
            times.len(),
            self.took.as_secs_f64(),
            times.len() as f64 / self.took.as_secs_f64(),
            Self::percentile(&times, 50),
            Self::percentile(&times, 99),
            Self::percentile(&times, 100),
            self.sessions,
            self.resumed,
        )
    }
}
