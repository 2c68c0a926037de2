//! Ports for programs that must be told one. They lie below the range that the system hands out by itself, and a
//! lock keeps each to one test, across all test processes of this user.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Linux hands out ports from 32768 on.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port of 127.0.0.1 that is ours until this is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// # Panics
    /// No port is free.
    pub fn free() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let folder = std::env::temp_dir().join(format!(
            "sekisho-ports-{}",
            rustix::process::getuid().as_raw()
        ));
        fs::create_dir_all(&folder).unwrap();
        // Processes start looking at different places, so that they seldom meet.
        #[expect(clippy::cast_possible_truncation, reason = "any spread will do")]
        let start = (std::process::id() as u16).wrapping_mul(61) % COUNT;
        for _ in 0..COUNT {
            let number = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
            let lock = File::create(folder.join(number.to_string())).unwrap();
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self {
                    number,
                    _lock: lock,
                };
            }
        }
        panic!("no port between {FIRST} and {} is free", FIRST + COUNT);
    }

    pub fn number(&self) -> u16 {
        self.number
    }

    /// 127.0.0.1 and this port.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), self.number)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ports_that_are_held_differ_and_can_be_bound() {
        let held: Vec<Port> = (0..50).map(|_| Port::free()).collect();
        let numbers: HashSet<u16> = held.iter().map(Port::number).collect();
        assert_eq!(numbers.len(), 50);
        TcpListener::bind(held[0].address()).unwrap();
    }
}
