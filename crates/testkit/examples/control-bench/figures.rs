//! What is printed: each figure with its bound and the load of the machine at that time.

use std::time::Duration;

#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) missed: usize,
}

impl Figures {
    /// A figure that has no bound.
    pub(crate) fn tell(&self, what: &str, figure: &str) {
        println!("{what}: {figure} [load {}]", load());
    }

    /// A figure, and whether it is good.
    pub(crate) fn bound(&mut self, what: &str, figure: &str, bound: &str, is_good: bool) {
        let verdict = if is_good { "" } else { " MISSED" };
        self.tell(what, &format!("{figure} (bound {bound}){verdict}"));
        self.missed += usize::from(!is_good);
    }

    /// How long changes took, of which 99 of 100 must take less than the bound, if there is one.
    pub(crate) fn delays(&mut self, what: &str, mut delays: Vec<Delay>, bound: Option<Duration>) {
        delays.sort_by_key(|delay| delay.enforced);
        let enforced: Vec<Duration> = delays.iter().map(|delay| delay.enforced).collect();
        let mut acknowledged: Vec<Duration> =
            delays.iter().map(|delay| delay.acknowledged).collect();
        acknowledged.sort_unstable();
        let figure = format!(
            "p50 {}, p99 {}, longest {} (acknowledged p99 {}; {} changes)",
            ms(rank(&enforced, 50)),
            ms(rank(&enforced, 99)),
            ms(rank(&enforced, 100)),
            ms(rank(&acknowledged, 99)),
            delays.len()
        );
        match bound {
            None => self.tell(what, &figure),
            Some(bound) => {
                let is_good = rank(&enforced, 99) < bound;
                self.bound(what, &figure, &format!("p99 {}", ms(bound)), is_good);
            }
        }
    }
}

/// From the API server's acknowledgement of a change until the last of its proxies enforced it, and until that was known.
#[derive(Clone, Copy)]
pub(crate) struct Delay {
    pub(crate) enforced: Duration,
    pub(crate) acknowledged: Duration,
}

/// The nearest-rank percentile of what is sorted.
fn rank(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1]
}

fn ms(duration: Duration) -> String {
    format!("{:.0} ms", duration.as_secs_f64() * 1000.0)
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
