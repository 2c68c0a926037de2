//! Chance for pauses: what failed at the same moment shall not be tried again at the same moment, here and in the other proxies.

use std::time::Duration;

/// Drawn anew each time; without chance pauses merely are not spread.
pub(crate) fn luck() -> u8 {
    let mut luck = [0];
    match getrandom::fill(&mut luck) {
        Ok(()) => luck[0],
        Err(_) => 0,
    }
}

/// A pause that luck makes shorter, by up to a quarter.
pub(crate) fn shortened(pause: Duration, luck: u8) -> Duration {
    pause - pause / 4 * u32::from(luck) / u32::from(u8::MAX)
}
