//! Randomness that spreads work: waits and ages that are not the same for everybody. Nothing secret is made of it.

use std::time::Duration;

/// A duration between the two, each as likely as any other.
pub(super) fn between(least: Duration, most: Duration) -> Duration {
    let share = f64::from(number() >> 1) / f64::from(u32::MAX >> 1);
    least + most.saturating_sub(least).mul_f64(share)
}

/// A random number; zero if the system has no randomness to give, which only makes things happen together.
pub(super) fn number() -> u32 {
    getrandom::u32().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_between_and_spreads() {
        let (least, most) = (Duration::from_secs(300), Duration::from_secs(600));
        let drawn: Vec<_> = (0..200).map(|_| between(least, most)).collect();
        assert!(drawn.iter().all(|d| (least..=most).contains(d)));
        let halfway = Duration::from_secs(450);
        assert!(drawn.iter().any(|d| *d < halfway) && drawn.iter().any(|d| *d > halfway));
    }
}
