//! Which rules can be put in force.

use crate::rules::Defect;
use crate::signal::{MAX_CORRESPONDENTS, MAX_DISTINCT, Signal};
use crate::snapshot::{AbuseRule, LadderStep};

/// Names the first field that cannot be put in force.
pub(super) fn check(spec: &AbuseRule) -> Result<(), Defect> {
    let bad = |part: String, why: &str| Err(Defect::new(part, why));
    if spec.signals.is_empty() || spec.ladder.is_empty() {
        return bad("spec".into(), "needs a signal and a step of the ladder");
    }
    if spec.decay.0 == 0 || spec.growth == 0 || spec.max_for.0 == 0 {
        return bad("spec".into(), "decay, growth and maxFor cannot be 0");
    }
    for (at, mark) in spec.signals.iter().enumerate() {
        let part = || format!("spec.signals[{}]", mark.signal);
        if mark.count == 0 || mark.per.0 == 0 || mark.points == 0 {
            return bad(part(), "count, per and points cannot be 0");
        }
        if mark.per > spec.decay {
            return bad(
                part(),
                "a window longer than decay forgets that points were awarded",
            );
        }
        if spec.signals[..at]
            .iter()
            .any(|other| other.signal == mark.signal)
        {
            return bad(part(), "is there twice");
        }
        if most_counted(mark.signal).is_some_and(|most| mark.count > most) {
            return bad(part(), "so many are never told apart");
        }
    }
    let rising = |pair: &[LadderStep]| pair[0].at < pair[1].at && pair[0].level < pair[1].level;
    if spec.ladder[0].at == 0 || !spec.ladder.windows(2).all(rising) {
        let why = "each step needs more points than the one before it, and restricts more";
        return bad("spec.ladder".into(), why);
    }
    Ok(())
}

/// The most that counters tell apart of a signal, where they do not just add up.
const fn most_counted(signal: Signal) -> Option<u64> {
    match signal {
        Signal::FirstTimeRecipients => Some(MAX_CORRESPONDENTS as u64),
        Signal::DistinctCountries
        | Signal::DistinctSources
        | Signal::DistinctAsns
        | Signal::AuthFailures => Some(MAX_DISTINCT),
        Signal::UnknownRecipients
        | Signal::SpamVerdicts
        | Signal::SenderMismatch
        | Signal::DecoyTouched => None,
    }
}
