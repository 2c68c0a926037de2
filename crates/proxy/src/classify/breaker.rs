//! When an engine that fails again and again is left alone, and when it is tried anew. No clock, no chance: both are arguments.
//!
//! A hostile message can make an engine fail. Failures on messages therefore count once for each account or network that they
//! come from, or one thief could have the engine left alone, and everybody's mail go by unexamined. For the same reason whose
//! message made it fail does not try it anew while anybody else could, and makes no pause longer.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::luck::shortened;

/// So many failures in a row, and it is left alone.
const FAILURES: usize = 5;
/// A pause that grows does not outgrow this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long after a pause those whose messages made it fail leave the trial to others, not for ever: one may be all alone.
const MODESTY: Duration = Duration::from_secs(60);
/// So many of them, and it is the engine after all.
const MOST_SHUNNED: usize = 2 * FAILURES;

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
pub(super) struct Breaker {
    first_pause: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It is asked. The failures since it last answered.
    Closed(Vec<Failure>),
    /// It is left alone until then.
    Open { until: Instant, spell: Spell },
    /// One message is out to see whether it is well again.
    Probing(Spell),
}

/// A time without answers.
#[derive(Debug, Default)]
struct Spell {
    pause: Duration,
    /// Those whose messages it did not manage, the oldest first.
    shunned: Vec<Asker>,
}

impl Spell {
    fn shun(&mut self, asker: Asker) {
        if !self.shunned.contains(&asker) {
            self.shunned.push(asker);
        }
    }

    fn lengthen(&mut self, first_pause: Duration) {
        let longest = LONGEST_PAUSE.max(first_pause);
        self.pause = self.pause.saturating_mul(2).min(longest);
    }
}

impl Breaker {
    /// One that leaves an engine alone for so long at first.
    pub(super) fn new(first_pause: Duration) -> Self {
        Self {
            first_pause,
            state: State::Closed(Vec::new()),
        }
    }

    /// Leave to ask now, if it may be asked.
    pub(super) fn admit(&mut self, asker: &Asker, now: Instant) -> Option<Ticket> {
        if self.refuses(asker, now) {
            return None;
        }
        match &mut self.state {
            State::Open { spell, .. } => {
                self.state = State::Probing(std::mem::take(spell));
                Some(Ticket::Probe)
            }
            State::Closed(_) | State::Probing(_) => Some(Ticket::Ordinary),
        }
    }

    /// Whether [`Breaker::admit`] would refuse.
    pub(super) fn refuses(&self, asker: &Asker, now: Instant) -> bool {
        match &self.state {
            State::Closed(_) => false,
            State::Open { until, spell } if spell.shunned.contains(asker) => now < *until + MODESTY,
            State::Open { until, .. } => now < *until,
            State::Probing(_) => true,
        }
    }

    /// It answered; that it did so late does not matter.
    pub(super) fn succeeded(&mut self) -> Change {
        match std::mem::replace(&mut self.state, State::Closed(Vec::new())) {
            State::Closed(_) => Change::Nothing,
            State::Open { .. } | State::Probing(_) => Change::Closed,
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
        match (&mut self.state, ticket) {
            (State::Closed(failures), _) => {
                if failure == Failure::Unreachable || !failures.contains(&failure) {
                    failures.push(failure);
                }
                if failures.len() < FAILURES {
                    return Change::Nothing;
                }
                let mut spell = Spell {
                    pause: self.first_pause,
                    shunned: Vec::new(),
                };
                for failure in std::mem::take(failures) {
                    if let Failure::OnMessage(asker) = failure {
                        spell.shun(asker);
                    }
                }
                self.open(spell, now, luck);
                Change::Opened
            }
            (State::Probing(spell), Ticket::Probe) => {
                let mut spell = std::mem::take(spell);
                match failure {
                    Failure::Unreachable => spell.lengthen(self.first_pause),
                    Failure::OnMessage(asker) => spell.shun(asker),
                }
                if spell.shunned.len() >= MOST_SHUNNED {
                    spell.shunned.clear();
                    spell.lengthen(self.first_pause);
                }
                self.open(spell, now, luck);
                Change::Nothing
            }
            // What was under way when the pause began adds nothing.
            (State::Open { .. } | State::Probing(_), _) => Change::Nothing,
        }
    }

    /// Nobody waited for the outcome; the next message may be the probe, somebody else's first: or one client that hangs up
    /// again and again would keep all others from trying.
    pub(super) fn abandoned(&mut self, ticket: Ticket, asker: Asker, now: Instant) {
        if let (State::Probing(spell), Ticket::Probe) = (&mut self.state, ticket) {
            let mut spell = std::mem::take(spell);
            if spell.shunned.len() + 1 >= MOST_SHUNNED {
                spell.shunned.remove(0);
            }
            spell.shun(asker);
            self.state = State::Open { until: now, spell };
        }
    }

    fn open(&mut self, spell: Spell, now: Instant, luck: u8) {
        self.state = State::Open {
            until: now + shortened(spell.pause, luck),
            spell,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST_PAUSE: Duration = Duration::from_secs(1);

    fn asker(number: u8) -> Asker {
        Asker::network_of([192, 0, number, 1].into())
    }

    fn on_message(number: u8) -> Failure {
        Failure::OnMessage(asker(number))
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(FIRST_PAUSE);
        for at in 0..FAILURES {
            let ticket = breaker.admit(&asker(0), now).unwrap();
            let change = breaker.failed(ticket, Failure::Unreachable, now, 0);
            assert_eq!(change == Change::Opened, at == FAILURES - 1);
        }
        breaker
    }

    #[test]
    fn one_asker_alone_does_not_open_it_and_five_do() {
        let now = Instant::now();
        let mut breaker = Breaker::new(FIRST_PAUSE);
        for _ in 0..1000 {
            let ticket = breaker.admit(&asker(0), now).unwrap();
            let change = breaker.failed(ticket, on_message(0), now, 0);
            assert_eq!(change, Change::Nothing);
        }
        for number in 1..5 {
            let ticket = breaker.admit(&asker(number), now).unwrap();
            let change = breaker.failed(ticket, on_message(number), now, 0);
            assert_eq!(change == Change::Opened, number == 4);
        }
        assert_eq!(breaker.admit(&asker(9), now), None);
        // None of the five tries it anew.
        let later = now + FIRST_PAUSE;
        assert!((0..5).all(|number| breaker.refuses(&asker(number), later)));
        assert_eq!(breaker.admit(&asker(9), later), Some(Ticket::Probe));
    }

    #[test]
    fn an_answer_between_starts_the_count_anew() {
        let now = Instant::now();
        let mut breaker = Breaker::new(FIRST_PAUSE);
        for round in 0..100 {
            let ticket = breaker.admit(&asker(0), now).unwrap();
            match round % 5 {
                4 => breaker.succeeded(),
                _ => breaker.failed(ticket, Failure::Unreachable, now, 0),
            };
        }
        assert!(!breaker.refuses(&asker(0), now));
    }

    #[test]
    fn where_nobody_is_the_pause_doubles_up_to_a_minute_and_one_answer_ends_it() {
        let mut now = Instant::now();
        let (mut breaker, any) = (opened(now), asker(0));
        for pause in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let early = now + Duration::from_secs(pause) - Duration::from_millis(1);
            assert_eq!(breaker.admit(&any, early), None);
            now += Duration::from_secs(pause);
            assert_eq!(breaker.admit(&any, now), Some(Ticket::Probe), "{pause}");
            assert_eq!(breaker.admit(&any, now), None, "one probe at a time");
            breaker.failed(Ticket::Ordinary, Failure::Unreachable, now, 0);
            assert_eq!(breaker.admit(&any, now), None, "a straggler ends no probe");
            breaker.failed(Ticket::Probe, Failure::Unreachable, now, 0);
        }
        now += Duration::from_secs(60);
        assert_eq!(breaker.admit(&any, now), Some(Ticket::Probe));
        breaker.abandoned(Ticket::Probe, any.clone(), now);
        assert_eq!(breaker.admit(&any, now), None, "somebody else first");
        assert_eq!(breaker.admit(&asker(1), now), Some(Ticket::Probe));
        assert_eq!(breaker.succeeded(), Change::Closed);
        assert_eq!(breaker.admit(&any, now), Some(Ticket::Ordinary));
    }

    #[test]
    fn many_whose_messages_fail_lengthen_the_pause_and_one_who_is_alone_comes_back_after_a_minute()
    {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for number in 0..10 {
            now += FIRST_PAUSE;
            assert_eq!(breaker.admit(&asker(number), now), Some(Ticket::Probe));
            breaker.failed(Ticket::Probe, on_message(number), now, 0);
        }
        assert_eq!(breaker.admit(&asker(10), now + FIRST_PAUSE), None);
        now += 2 * FIRST_PAUSE;
        assert_eq!(breaker.admit(&asker(0), now), Some(Ticket::Probe));
        breaker.failed(Ticket::Probe, on_message(0), now, 0);
        now += 2 * FIRST_PAUSE + MODESTY;
        assert!(breaker.refuses(&asker(0), now - Duration::from_millis(1)));
        assert_eq!(breaker.admit(&asker(0), now), Some(Ticket::Probe));
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
        /// and nobody is kept out for more than two minutes.
        #[test]
        fn it_always_lets_somebody_in_again(steps in prop::collection::vec((0..4_u8, 0..8_u8, any::<u8>(), 0..40_u64), 1..200)) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new(FIRST_PAUSE);
            let mut tickets = Vec::new();
            for (what, number, luck, wait) in steps {
                now += Duration::from_secs(wait);
                let asker = asker(number);
                let refused = breaker.refuses(&asker, now);
                match what {
                    0 | 1 => match breaker.admit(&asker, now) {
                        Some(ticket) => {
                            prop_assert!(!refused);
                            prop_assert!(ticket == Ticket::Ordinary || !tickets.contains(&Ticket::Probe));
                            tickets.push(ticket);
                        }
                        None => prop_assert!(refused),
                    },
                    2 => if let Some(ticket) = tickets.pop() {
                        let failure = if number == 0 { Failure::Unreachable } else { Failure::OnMessage(asker.clone()) };
                        let change = breaker.failed(ticket, failure, now, luck);
                        if change == Change::Opened || ticket == Ticket::Probe {
                            prop_assert!(breaker.refuses(&asker, now + FIRST_PAUSE * 3 / 4 - Duration::from_millis(1)));
                        }
                        prop_assert!(tickets.contains(&Ticket::Probe) || !breaker.refuses(&asker, now + LONGEST_PAUSE + MODESTY));
                    },
                    _ => if let Some(ticket) = tickets.pop() {
                        if luck % 2 == 0 {
                            breaker.abandoned(ticket, asker, now);
                        } else {
                            breaker.succeeded();
                            // A late answer closes it while a probe is out; that probe is then like any other.
                            tickets.iter_mut().for_each(|ticket| *ticket = Ticket::Ordinary);
                            prop_assert!(!breaker.refuses(&asker, now));
                        }
                    },
                }
            }
        }

        /// One thief, whose every message fails or is abandoned, and somebody honest whose messages the engine manages. However
        /// they come, the thief holds it up once for its pause at most, and makes no pause longer.
        #[test]
        fn a_thief_does_not_hold_it_open(steps in prop::collection::vec((any::<bool>(), any::<bool>(), any::<u8>(), 0..300_u64), 1..200)) {
            let mut now = Instant::now();
            let mut breaker = opened(now);
            let (thief, honest) = (asker(1), asker(2));
            let (mut trials, mut free) = (0, now + FIRST_PAUSE);
            for (is_thief, hangs_up, luck, wait) in steps {
                now += Duration::from_millis(wait);
                if now + FIRST_PAUSE >= free + MODESTY {
                    break;
                }
                if !is_thief {
                    match breaker.admit(&honest, now) {
                        Some(ticket) => {
                            prop_assert_eq!((ticket, breaker.succeeded()), (Ticket::Probe, Change::Closed));
                            break;
                        }
                        None => prop_assert!(now < free),
                    }
                } else if let Some(ticket) = breaker.admit(&thief, now) {
                    trials += 1;
                    prop_assert_eq!((ticket, trials), (Ticket::Probe, 1));
                    if hangs_up {
                        breaker.abandoned(ticket, thief.clone(), now);
                    } else {
                        breaker.failed(ticket, Failure::OnMessage(thief.clone()), now, luck);
                        free = now + FIRST_PAUSE;
                    }
                }
            }
        }
    }
}
