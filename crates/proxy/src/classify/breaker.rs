//! When an engine that fails again and again is left alone, and when it is tried anew. No clock, no chance: both are arguments.
//!
//! A hostile message can make an engine fail. Failures on messages therefore count once for each account or network that they
//! come from, or one thief could have the engine left alone, and everybody's mail go by unexamined.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// So many failures in a row, and it is left alone.
const FAILURES: usize = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Who had a message examined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    Account(Box<str>),
    /// The first address of a /24 or /64.
    Network(IpAddr),
}

impl Asker {
    pub(super) fn network_of(ip: IpAddr) -> Self {
        Self::Network(match ip.to_canonical() {
            IpAddr::V4(ip) => IpAddr::V4((ip.to_bits() & !0xff).into()),
            IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
        })
    }
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There was nobody to ask.
    Unreachable,
    /// It did not manage a message.
    OnMessage(Asker),
}

/// Leave to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ticket {
    Ordinary,
    /// The one that shows whether the engine is well again.
    Probe,
}

/// What an outcome changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    Opened,
    Closed,
}

/// One engine's.
#[derive(Debug)]
pub(super) struct Breaker(State);

#[derive(Debug)]
enum State {
    /// It is asked. The failures since it last answered.
    Closed(Vec<Failure>),
    /// It is left alone until then.
    Open { until: Instant, pause: Duration },
    /// One message is out to see whether it is well again.
    Probing { pause: Duration },
}

impl Default for Breaker {
    fn default() -> Self {
        Self(State::Closed(Vec::new()))
    }
}

impl Breaker {
    /// Leave to ask now, if it may be asked.
    pub(super) fn admit(&mut self, now: Instant) -> Option<Ticket> {
        match self.0 {
            State::Closed(_) => Some(Ticket::Ordinary),
            State::Open { until, pause } if now >= until => {
                self.0 = State::Probing { pause };
                Some(Ticket::Probe)
            }
            State::Open { .. } | State::Probing { .. } => None,
        }
    }

    /// Whether [`Breaker::admit`] would refuse.
    pub(super) fn refuses(&self, now: Instant) -> bool {
        match self.0 {
            State::Closed(_) => false,
            State::Open { until, .. } => now < until,
            State::Probing { .. } => true,
        }
    }

    /// It answered; that it did so late does not matter.
    pub(super) fn succeeded(&mut self) -> Change {
        match std::mem::replace(&mut self.0, State::Closed(Vec::new())) {
            State::Closed(_) => Change::Nothing,
            State::Open { .. } | State::Probing { .. } => Change::Closed,
        }
    }

    /// It failed. `luck` shortens the pause by up to a quarter, so that the proxies of a fleet do not all come back at once.
    pub(super) fn failed(
        &mut self,
        ticket: Ticket,
        failure: Failure,
        now: Instant,
        luck: u8,
    ) -> Change {
        match (&mut self.0, ticket) {
            (State::Closed(failures), _) => {
                if failure == Failure::Unreachable || !failures.contains(&failure) {
                    failures.push(failure);
                }
                if failures.len() < FAILURES {
                    return Change::Nothing;
                }
                self.open(FIRST_PAUSE, now, luck);
                Change::Opened
            }
            (State::Probing { pause }, Ticket::Probe) => {
                let pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                self.open(pause, now, luck);
                Change::Nothing
            }
            // What was under way when the pause began adds nothing.
            (State::Open { .. } | State::Probing { .. }, _) => Change::Nothing,
        }
    }

    /// Nobody waited for the outcome; the next message may be the probe.
    pub(super) fn abandoned(&mut self, ticket: Ticket, now: Instant) {
        if let (State::Probing { pause }, Ticket::Probe) = (&self.0, ticket) {
            self.0 = State::Open {
                until: now,
                pause: *pause,
            };
        }
    }

    fn open(&mut self, pause: Duration, now: Instant, luck: u8) {
        let shorter = pause / 4 * u32::from(luck) / u32::from(u8::MAX);
        self.0 = State::Open {
            until: now + pause - shorter,
            pause,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn on_message(asker: u8) -> Failure {
        Failure::OnMessage(Asker::network_of([192, 0, asker, 1].into()))
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for at in 0..FAILURES {
            let ticket = breaker.admit(now).unwrap();
            let change = breaker.failed(ticket, Failure::Unreachable, now, 0);
            assert_eq!(change == Change::Opened, at == FAILURES - 1);
        }
        breaker
    }

    #[test]
    fn one_asker_alone_does_not_open_it_and_five_do() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..1000 {
            let ticket = breaker.admit(now).unwrap();
            assert_eq!(
                breaker.failed(ticket, on_message(0), now, 0),
                Change::Nothing
            );
        }
        for asker in 1..5 {
            let ticket = breaker.admit(now).unwrap();
            let change = breaker.failed(ticket, on_message(asker), now, 0);
            assert_eq!(change == Change::Opened, asker == 4);
        }
        assert_eq!(breaker.admit(now), None);
    }

    #[test]
    fn an_answer_between_starts_the_count_anew() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for round in 0..100 {
            let ticket = breaker.admit(now).unwrap();
            if round % 5 == 4 {
                breaker.succeeded();
            } else {
                breaker.failed(ticket, Failure::Unreachable, now, 0);
            }
        }
        assert!(!breaker.refuses(now));
    }

    #[test]
    fn the_pause_doubles_up_to_a_minute_and_one_answer_ends_it() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            assert_eq!(
                breaker.admit(now + Duration::from_secs(pause) - Duration::from_millis(1)),
                None
            );
            now += Duration::from_secs(pause);
            assert_eq!(breaker.admit(now), Some(Ticket::Probe), "{pause}");
            assert_eq!(breaker.admit(now), None, "one probe at a time");
            breaker.failed(Ticket::Ordinary, Failure::Unreachable, now, 0);
            assert_eq!(breaker.admit(now), None, "a straggler ends no probe");
            breaker.failed(Ticket::Probe, on_message(0), now, 0);
        }
        now += Duration::from_secs(60);
        assert_eq!(breaker.admit(now), Some(Ticket::Probe));
        breaker.abandoned(Ticket::Probe, now);
        assert_eq!(breaker.admit(now), Some(Ticket::Probe));
        assert_eq!(breaker.succeeded(), Change::Closed);
        assert_eq!(breaker.admit(now), Some(Ticket::Ordinary));
    }

    #[test]
    fn networks_are_told_apart_by_prefix() {
        let same = |a: &str, b: &str| {
            Asker::network_of(a.parse().unwrap()) == Asker::network_of(b.parse().unwrap())
        };
        assert!(same("192.0.2.1", "192.0.2.254") && same("::ffff:192.0.2.1", "192.0.2.9"));
        assert!(same("2001:db8::1", "2001:db8:0:0:ffff::1"));
        assert!(!same("192.0.2.1", "192.0.3.1") && !same("2001:db8::1", "2001:db8:0:1::1"));
    }

    proptest! {
        /// Whatever happens: while it is open nobody gets in before three quarters of its pause, at most one probe is out,
        /// and it is never left alone for more than a minute.
        #[test]
        fn it_always_lets_somebody_in_again(steps in prop::collection::vec((0..4_u8, 0..8_u8, any::<u8>(), 0..40_u64), 1..200)) {
            let mut now = Instant::now();
            let mut breaker = Breaker::default();
            let mut tickets = Vec::new();
            for (what, asker, luck, wait) in steps {
                now += Duration::from_secs(wait);
                let refused = breaker.refuses(now);
                match what {
                    0 | 1 => match breaker.admit(now) {
                        Some(ticket) => {
                            prop_assert!(!refused);
                            prop_assert!(ticket == Ticket::Ordinary || !tickets.contains(&Ticket::Probe));
                            tickets.push(ticket);
                        }
                        None => prop_assert!(refused),
                    },
                    2 => if let Some(ticket) = tickets.pop() {
                        let failure = if asker == 0 { Failure::Unreachable } else { on_message(asker) };
                        let change = breaker.failed(ticket, failure, now, luck);
                        if change == Change::Opened || ticket == Ticket::Probe {
                            prop_assert!(breaker.refuses(now + FIRST_PAUSE * 3 / 4 - Duration::from_millis(1)));
                        }
                        prop_assert!(tickets.contains(&Ticket::Probe) || !breaker.refuses(now + LONGEST_PAUSE));
                    },
                    _ => if let Some(ticket) = tickets.pop() {
                        if luck % 2 == 0 {
                            breaker.abandoned(ticket, now);
                        } else {
                            breaker.succeeded();
                            // A late answer closes it while a probe is out; that probe is then like any other.
                            tickets.iter_mut().for_each(|ticket| *ticket = Ticket::Ordinary);
                            prop_assert!(!breaker.refuses(now));
                        }
                    },
                }
            }
        }
    }
}
