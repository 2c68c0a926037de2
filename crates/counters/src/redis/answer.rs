//! What the script answered, as outcomes. Times come as spans from its own now, and become times of the caller's clock.

use sekisho_policy::signal::{Added, Award, Awards, MAX_AWARDS};
use sekisho_policy::{Op, Outcome, Signal, Timestamp};

use super::call::{CAP, Call, Charge, Kind};
use super::failure::Failure;

/// Instead of a time: there is none.
const NEVER: i64 = -1;
/// Instead of the time to try again: it passed.
const PASSED: i64 = -2;

/// The answer of one slot.
#[derive(Debug)]
pub(super) struct Answer {
    /// Whether all gates of this slot passed, and were charged.
    pub(super) passed: bool,
    said: Vec<(usize, Said)>,
    charges: Vec<(Charge, bool)>,
    slices: Vec<Slice>,
}

/// Credit that was charged ahead.
#[derive(Debug)]
pub(super) struct Slice {
    /// The place of the gate that asked for it.
    pub(super) op: usize,
    pub(super) charge: Charge,
    /// The sum over the window, the gate's cost included and the credit not.
    pub(super) total: u64,
}

#[derive(Clone, Debug)]
enum Said {
    Passed {
        total: u64,
    },
    Full {
        total: u64,
        retry_in: Option<u64>,
    },
    Total(u64),
    Until(Option<u64>),
    Awards {
        added: Added,
        /// Signal, points, and how long ago.
        list: Vec<(Signal, u32, u64)>,
    },
    Done,
}

impl Answer {
    /// Reads what came for `call`.
    pub(super) fn read(call: &Call, numbers: Vec<i64>) -> Result<Self, Failure> {
        let mut rest = Numbers(numbers.into_iter());
        let passed = rest.next()? == 1;
        let mut answer = Self {
            passed,
            said: Vec::with_capacity(call.expects.len()),
            charges: Vec::new(),
            slices: Vec::new(),
        };
        for expected in &call.expects {
            let said = match expected.kind {
                Kind::Gate { cost } | Kind::Lend { cost } => {
                    let (total, retry_in) = (rest.sum()?, rest.next()?);
                    let (born, at) = (rest.unsigned()?, rest.unsigned()?);
                    let key = call.key_of(*expected);
                    if let Kind::Lend { .. } = expected.kind
                        && let credit @ 1.. = rest.unsigned()?
                    {
                        let charge = charge(call.slot, key, born, at, credit);
                        let op = expected.op;
                        answer.slices.push(Slice { op, charge, total });
                    }
                    answer.charge(call.slot, key, born, at, cost, true);
                    match retry_in {
                        PASSED => Said::Passed { total },
                        span => Said::Full {
                            total,
                            retry_in: span_of(span)?,
                        },
                    }
                }
                Kind::Meter { cost } => {
                    let total = rest.sum()?;
                    let (born, at) = (rest.unsigned()?, rest.unsigned()?);
                    let key = call.key_of(*expected);
                    answer.charge(call.slot, key, born, at, cost, false);
                    Said::Total(total)
                }
                Kind::Total => Said::Total(rest.sum()?),
                Kind::Until => Said::Until(span_of(rest.next()?)?),
                Kind::Awards => rest.awards()?,
                Kind::Nothing => Said::Done,
                Kind::Aside => continue,
            };
            answer.said.push((expected.op, said));
        }
        rest.end()?;
        Ok(answer)
    }

    /// Notes a charge; nothing was charged under the time 0.
    fn charge(&mut self, slot: u16, key: &str, born: u64, at: u64, cost: u64, is_gate: bool) {
        if cost == 0 || (is_gate && !self.passed) {
            return;
        }
        let charge = charge(slot, key, born, at, cost);
        self.charges.push((charge, is_gate));
    }

    /// The outcomes with their places in the whole call, at `now` by the caller's clock.
    pub(super) fn outcomes(&self, now: Timestamp) -> impl Iterator<Item = (usize, Outcome)> {
        let then = move |span: u64| Timestamp(now.0.saturating_add(span));
        self.said.iter().map(move |(at, said)| {
            let outcome = match *said {
                Said::Passed { total } => Outcome::Passed { total },
                Said::Full { total, retry_in } => Outcome::Full {
                    total,
                    retry_at: retry_in.map(then),
                },
                Said::Total(total) => Outcome::Total(total),
                Said::Until(span) => Outcome::Until(span.map(then)),
                Said::Awards { added, ref list } => {
                    let award = |&(signal, points, ago): &(Signal, u32, u64)| Award {
                        signal,
                        points,
                        at: Timestamp(now.0.saturating_sub(ago)),
                    };
                    let list = list.iter().map(award).collect();
                    Outcome::Awards(Box::new(Awards { list, added }))
                }
                Said::Done => Outcome::Done,
            };
            (*at, outcome)
        })
    }

    /// Credit that was charged ahead; it stays charged whatever becomes of the call.
    pub(super) fn take_slices(&mut self) -> Vec<Slice> {
        std::mem::take(&mut self.slices)
    }

    /// What was charged, and whether by a gate.
    pub(super) fn into_charges(self) -> Vec<(Charge, bool)> {
        self.charges
    }
}

fn charge(slot: u16, key: &str, born: u64, at: u64, cost: u64) -> Charge {
    Charge {
        slot,
        key: key.into(),
        born,
        at,
        cost,
        drawn: None,
    }
}

/// What stands for an operation that nobody answered, where a gate of the call refuses anyway.
pub(super) fn unknown(op: &Op) -> Outcome {
    match op {
        Op::Gate { cost, .. } => Outcome::Passed { total: *cost },
        Op::Meter { .. }
        | Op::Read { .. }
        | Op::Distinct { .. }
        | Op::Admit { .. }
        | Op::Count { .. }
        | Op::Correspond { .. } => Outcome::Total(0),
        Op::Award { .. } | Op::Points { .. } => Outcome::Awards(Box::default()),
        Op::Lock { .. } | Op::Locked { .. } => Outcome::Until(None),
        Op::Forgive { .. }
        | Op::Disown { .. }
        | Op::Heed { .. }
        | Op::Forget { .. }
        | Op::Clear { .. } => Outcome::Done,
    }
}

fn span_of(number: i64) -> Result<Option<u64>, Failure> {
    match number {
        NEVER => Ok(None),
        span => u64::try_from(span).map(Some).map_err(|_| nonsense()),
    }
}

struct Numbers(std::vec::IntoIter<i64>);

impl Numbers {
    fn next(&mut self) -> Result<i64, Failure> {
        self.0.next().ok_or_else(nonsense)
    }

    fn unsigned(&mut self) -> Result<u64, Failure> {
        u64::try_from(self.next()?).map_err(|_| nonsense())
    }

    /// A sum that no longer knows what it holds is as good as endless.
    fn sum(&mut self) -> Result<u64, Failure> {
        let sum = self.unsigned()?;
        Ok(if sum >= CAP { u64::MAX } else { sum })
    }

    /// Whether one was added, how many there are, and each. One of a signal that a newer version knows is left out.
    fn awards(&mut self) -> Result<Said, Failure> {
        let added = match self.next()? {
            1 => Added::Yes,
            _ => Added::No,
        };
        let count = self.unsigned()?;
        if count > MAX_AWARDS as u64 {
            return Err(nonsense());
        }
        let mut list = Vec::new();
        for _ in 0..count {
            let (signal, points, ago) = (self.next()?, self.unsigned()?, self.unsigned()?);
            let signal = u8::try_from(signal).ok().and_then(Signal::from_number);
            let points = u32::try_from(points).map_err(|_| nonsense())?;
            list.extend(signal.map(|signal| (signal, points, ago)));
        }
        Ok(Said::Awards { added, list })
    }

    fn end(mut self) -> Result<(), Failure> {
        self.0.next().map_or(Ok(()), |_| Err(nonsense()))
    }
}

fn nonsense() -> Failure {
    Failure::Protocol("the script answered something else than what it was asked".to_owned())
}
