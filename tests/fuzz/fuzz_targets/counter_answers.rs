//! Redis's answers: whatever comes in its place, each operation has an outcome of its own kind, or there is no answer.
//!
//! A line of letters says what is asked, as in the script (`Q`: gates ask for credit as well); what comes after it is the answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_counters::redis::{Leases, Lending, read_answer};
use sekisho_policy::signal::MAX_AWARDS;
use sekisho_policy::{Key, Millis, Op, Outcome, Signal, Span, Timestamp};

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|octet| *octet == b'\n').unwrap_or(0);
    let (letters, octets) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let ops: Vec<Op> = letters.iter().take(32).filter_map(|letter| op(*letter)).collect();
    let leases = match letters.contains(&b'Q') {
        true => Leases::On(Lending::default()),
        false => Leases::Off,
    };
    let Ok(results) = read_answer(&ops, leases, octets) else {
        return;
    };
    assert_eq!(results.0.len(), ops.len());
    for (op, outcome) in ops.iter().zip(&results.0) {
        assert!(is_of(op, outcome), "{op:?}: {outcome:?}");
    }
});

fn op(letter: u8) -> Option<Op> {
    let (key, window, item) = (Key::new(&[letter]), Millis::HOUR, [7; 16]);
    let (base, max) = (window, Millis::DAY);
    Some(match letter {
        b'G' | b'Q' => Op::Gate { key, cost: 1, limit: 5, window },
        b'M' => Op::Meter { key, cost: 1, window },
        b'R' => Op::Read { key, window },
        b'D' => Op::Distinct { key, item, window },
        b'E' => Op::Admit { key, item, most: 5, window },
        b'U' => Op::Forget { key, item },
        b'C' => Op::Count { key, window },
        b'L' => Op::Lock { key, base, growth: 2, max },
        b'K' => Op::Locked { key },
        b'A' => Op::Award { key, signal: Signal::SpamVerdicts, points: 1, hold: window, keep: max },
        b'P' => Op::Points { key, keep: max },
        b'W' => Op::Correspond { key, items: [item].into(), window, learn: window, keep: max },
        b'F' => Op::Forgive { key, before: Timestamp(1) },
        b'V' => Op::Disown { key, span: Span { from: Timestamp(1), to: Timestamp(2) }, keep: max },
        b'H' => Op::Heed { mark: key.clone(), key },
        b'X' => Op::Clear { key },
        _ => return None,
    })
}

fn is_of(op: &Op, outcome: &Outcome) -> bool {
    match op {
        Op::Gate { .. } => matches!(outcome, Outcome::Passed { .. } | Outcome::Full { .. }),
        Op::Meter { .. }
        | Op::Read { .. }
        | Op::Distinct { .. }
        | Op::Admit { .. }
        | Op::Count { .. }
        | Op::Correspond { .. } => matches!(outcome, Outcome::Total(_)),
        Op::Lock { .. } | Op::Locked { .. } => matches!(outcome, Outcome::Until(_)),
        Op::Award { .. } | Op::Points { .. } => {
            matches!(outcome, Outcome::Awards(awards) if awards.list.len() <= MAX_AWARDS)
        }
        Op::Forget { .. } | Op::Forgive { .. } | Op::Disown { .. } | Op::Heed { .. } | Op::Clear { .. } => *outcome == Outcome::Done,
    }
}
