//! What one slot is asked: the operations on it as the script reads them.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;

use redis::Cmd;
use sekisho_policy::{Op, Timestamp};
use smallvec::SmallVec;

use super::lease::Drawn;
use super::names::{Name, Names, PREFIX, Sort};
use super::setup::{Topology, WhoseClock};
use crate::{key_of, mark_of};

/// The largest whole number that Lua counts exactly: sums from here on are as good as endless.
pub(super) const CAP: u64 = (1 << 53) - 1;
/// The longest time that the script is told, some 4,400 years in milliseconds.
const FOREVER: u64 = 1 << 47;
/// Of a random number, how many bits are left out to begin to count births with.
pub(super) const BIRTH_BITS: u32 = 12;

/// Operations on one slot: one script, one round trip.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) slot: u16,
    /// The time, where tests say it.
    said: Option<Timestamp>,
    keys: Vec<String>,
    args: Vec<Arg>,
    /// What each operation will answer.
    pub(super) expects: Vec<Expected>,
}

/// What one operation answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    /// Its place in the whole call.
    pub(super) op: usize,
    pub(super) kind: Kind,
    /// Its first key's place in the keys.
    key: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gate {
        cost: u64,
    },
    /// A gate that asks for credit besides.
    Lend {
        cost: u64,
    },
    Meter {
        cost: u64,
    },
    Total,
    Until,
    Awards,
    Nothing,
    /// It is no operation of the call, and has nothing to say.
    Aside,
}

#[derive(Clone, Debug)]
enum Arg {
    Letter(&'static str),
    Number(u64),
    Item([u8; 16]),
    /// The first six octets of each, one after the other.
    Marks(Vec<u8>),
}

/// What a gate or a meter added, as it can be taken back.
#[derive(Debug)]
pub(crate) struct Charge {
    pub(super) slot: u16,
    pub(super) key: Arc<str>,
    /// Which life of the key was charged.
    pub(super) born: u64,
    /// The time under which it was counted.
    pub(super) at: u64,
    pub(super) cost: u64,
    /// The credit of this process that it was drawn from, if it was.
    pub(super) drawn: Option<Drawn>,
}

/// How one operation of a call is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    Plainly,
    /// Not at all: credit of this process covers it.
    Covered,
    /// A gate, and credit for more of its kind.
    Lending(Terms),
}

/// What credit is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Milliseconds that it may be spent in, and that all of the tally counts longer for it.
    pub(super) life: u64,
    /// The most that is of use, and the least.
    pub(super) want: u64,
    pub(super) least: u64,
    /// Who asks, below 2^48.
    pub(super) who: u64,
}

/// What a call to all slots is made of.
pub(super) struct Asked<'a> {
    pub(super) ops: &'a [Op],
    /// How each of them is asked; plainly where it says nothing.
    pub(super) manners: &'a [Manner],
    /// Births are numbered from here on.
    pub(super) first_birth: u64,
    /// The time by the caller's clock.
    pub(super) now: Timestamp,
    pub(super) said: Option<Timestamp>,
    /// What comes back before anything is judged.
    pub(super) returns: Vec<Charge>,
}

/// The calls that it makes, one for each slot.
pub(super) fn plan(names: &Names, topology: Topology, asked: Asked<'_>) -> SmallVec<[Call; 2]> {
    let mut calls = SmallVec::new();
    for charge in asked.returns {
        call_for(&mut calls, charge.slot, asked.said).take_back(charge, topology);
    }
    for (at, op) in asked.ops.iter().enumerate() {
        let manner = asked.manners.get(at).copied().unwrap_or(Manner::Plainly);
        if matches!(manner, Manner::Covered) {
            continue;
        }
        let name = names.name(key_of(op));
        let slot = match topology {
            Topology::Single => 0,
            Topology::Cluster => name.slot(),
        };
        let call = call_for(&mut calls, slot, asked.said);
        let born = asked.first_birth + at as u64;
        call.ask(at, op, &name, (born, asked.now));
        if let Some(mark) = mark_of(op) {
            call.keys.push(names.name(mark).of(Sort::Spans));
        }
        if let Manner::Lending(terms) = manner {
            call.ask_credit(&name, terms);
        }
    }
    calls
}

/// The calls that give `charges` back, one for each slot.
pub(super) fn plan_returns(
    charges: Vec<Charge>,
    topology: Topology,
    clock: &WhoseClock,
) -> SmallVec<[Call; 2]> {
    let mut calls = SmallVec::new();
    for charge in charges {
        let said = clock.said(Timestamp(charge.at));
        let call = call_for(&mut calls, charge.slot, said);
        call.said = call.said.min(said);
        call.take_back(charge, topology);
    }
    calls
}

fn call_for(calls: &mut SmallVec<[Call; 2]>, slot: u16, said: Option<Timestamp>) -> &mut Call {
    let at = calls.iter().position(|call| call.slot == slot);
    let at = at.unwrap_or_else(|| {
        calls.push(Call::new(slot, said));
        calls.len() - 1
    });
    &mut calls[at]
}

impl Call {
    fn new(slot: u16, said: Option<Timestamp>) -> Self {
        Self {
            slot,
            said,
            keys: Vec::new(),
            args: Vec::new(),
            expects: Vec::new(),
        }
    }

    /// Writes to a key of no tally: whether a server that answers would also count.
    pub(super) fn probe(slot: u16, group: &str, said: Option<Timestamp>) -> Self {
        let mut call = Self::new(slot, said);
        call.expect(
            0,
            Kind::Meter { cost: 1 },
            [format!("{PREFIX}{{{group}}}probe")],
        );
        call.args.push(Arg::Letter("M"));
        call.numbers([1, 1_000, 1]);
        call
    }

    fn ask(&mut self, at: usize, op: &Op, name: &Name, (born, now): (u64, Timestamp)) {
        let (letter, sort, kind) = match op {
            Op::Gate { cost, .. } => ("G", Sort::Tally, Kind::Gate { cost: *cost }),
            Op::Meter { cost, .. } => ("M", Sort::Tally, Kind::Meter { cost: *cost }),
            Op::Read { .. } => ("R", Sort::Tally, Kind::Total),
            Op::Distinct { .. } => ("D", Sort::Set, Kind::Total),
            Op::Admit { .. } => ("E", Sort::Set, Kind::Total),
            Op::Forget { .. } => ("U", Sort::Set, Kind::Nothing),
            Op::Count { .. } => ("C", Sort::Set, Kind::Total),
            Op::Lock { .. } => ("L", Sort::Lock, Kind::Until),
            Op::Locked { .. } => ("K", Sort::Lock, Kind::Until),
            Op::Award { .. } => ("A", Sort::Purse, Kind::Awards),
            Op::Points { .. } => ("P", Sort::Purse, Kind::Awards),
            Op::Correspond { .. } => ("W", Sort::Circle, Kind::Total),
            Op::Forgive { .. } => ("F", Sort::Tally, Kind::Nothing),
            Op::Disown { .. } => ("V", Sort::Spans, Kind::Nothing),
            Op::Heed { .. } => ("H", Sort::Set, Kind::Nothing),
            Op::Clear { .. } => ("X", Sort::Tally, Kind::Nothing),
        };
        self.expect(at, kind, [name.of(sort)]);
        self.args.push(Arg::Letter(letter));
        match *op {
            Op::Gate {
                cost,
                limit,
                window,
                ..
            } => self.numbers([
                cost.min(CAP),
                limit.min(CAP - 1),
                window.0.min(FOREVER),
                born,
            ]),
            Op::Meter { cost, window, .. } => {
                self.numbers([cost.min(CAP), window.0.min(FOREVER), born]);
            }
            Op::Read { window, .. } | Op::Count { window, .. } => {
                self.numbers([window.0.min(FOREVER)]);
            }
            Op::Distinct { item, window, .. } => {
                self.args.push(Arg::Item(item));
                self.numbers([window.0.min(FOREVER)]);
            }
            Op::Admit {
                item, most, window, ..
            } => {
                self.args.push(Arg::Item(item));
                self.numbers([most.min(CAP), window.0.min(FOREVER)]);
            }
            Op::Forget { item, .. } => self.args.push(Arg::Item(item)),
            Op::Lock {
                base, growth, max, ..
            } => self.numbers([base.0.min(FOREVER), u64::from(growth), max.0.min(FOREVER)]),
            Op::Locked { .. } | Op::Heed { .. } => {}
            Op::Award {
                signal,
                points,
                hold,
                keep,
                ..
            } => self.numbers([
                u64::from(signal.number()),
                u64::from(points),
                hold.0.min(FOREVER),
                keep.0.min(FOREVER),
            ]),
            Op::Points { keep, .. } => self.numbers([keep.0.min(FOREVER)]),
            Op::Correspond {
                ref items,
                window,
                learn,
                keep,
                ..
            } => {
                let marks = items.iter().flat_map(|item| &item[..6]);
                self.args.push(Arg::Marks(marks.copied().collect()));
                self.numbers([window, learn, keep].map(|span| span.0.min(FOREVER)));
            }
            Op::Forgive { before, .. } => {
                let others = [Sort::Set, Sort::Purse, Sort::Circle, Sort::Lock];
                self.keys.extend(others.map(|sort| name.of(sort)));
                // How long ago: times are the server's own.
                self.numbers([now.since(before).0.min(FOREVER)]);
            }
            Op::Disown { span, keep, .. } => {
                let ago = |then| now.since(then).0.min(FOREVER);
                self.numbers([ago(span.from), ago(span.to), keep.0.min(FOREVER)]);
            }
            Op::Clear { .. } => {
                let others = [Sort::Set, Sort::Purse, Sort::Circle];
                self.keys.extend(others.map(|sort| name.of(sort)));
            }
        }
    }

    /// A connection to a Cluster that breaks has its commands sent anew, done or not. What is given back must come back once.
    fn only_once(&mut self, beside: &str) {
        let group = beside
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('}'))
            .map_or("", |(group, _)| group.trim_start_matches('{'));
        let key = format!("{PREFIX}{{{group}}}g{:016x}", random());
        self.expect(0, Kind::Aside, [key]);
        self.args.push(Arg::Letter("N"));
    }

    /// The gate that was asked last asks for credit as well.
    fn ask_credit(&mut self, name: &Name, terms: Terms) {
        let letter = self.args.iter_mut().rev().find_map(|arg| match arg {
            Arg::Letter(letter) => Some(letter),
            _ => None,
        });
        if let Some(expected) = self.expects.last_mut()
            && let Kind::Gate { cost } = expected.kind
            && let Some(letter) = letter
        {
            *letter = "Q";
            expected.kind = Kind::Lend { cost };
            self.keys.push(name.of(Sort::Holders));
            self.numbers([terms.life, terms.want, terms.least, terms.who]);
        }
    }

    /// Before everything else that is asked.
    fn take_back(&mut self, charge: Charge, topology: Topology) {
        if topology == Topology::Cluster && self.keys.is_empty() {
            self.only_once(&charge.key);
        }
        self.expect(0, Kind::Aside, [charge.key.to_string()]);
        self.args.push(Arg::Letter("B"));
        self.numbers([charge.born, charge.at, charge.cost.min(CAP)]);
    }

    fn expect(&mut self, op: usize, kind: Kind, keys: [String; 1]) {
        let key = self.keys.len();
        self.expects.push(Expected { op, kind, key });
        self.keys.extend(keys);
    }

    fn numbers<const N: usize>(&mut self, numbers: [u64; N]) {
        self.args.extend(numbers.map(Arg::Number));
    }

    /// The name of a key, by its place.
    pub(super) fn key(&self, at: usize) -> &str {
        self.keys.get(at).map_or("", String::as_str)
    }

    /// The key of an operation.
    pub(super) fn key_of(&self, expected: Expected) -> &str {
        self.key(expected.key)
    }

    /// The command: `verb` is EVALSHA with the script's hash, or EVAL with the script.
    pub(super) fn command(&self, verb: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(verb);
        command.arg(script).arg(self.keys.len()).arg(&self.keys);
        match self.said {
            Some(said) => command.arg(said.0.min(FOREVER)),
            None => command.arg(""),
        };
        for arg in &self.args {
            match arg {
                Arg::Letter(letter) => command.arg(letter),
                Arg::Number(number) => command.arg(number),
                Arg::Item(item) => command.arg(&item[..]),
                Arg::Marks(marks) => command.arg(marks),
            };
        }
        command
    }
}

/// A number that nobody else has drawn.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
