//! Whether a guard can be put in force.

use crate::rules::Defect;
use crate::snapshot::{DecoyAction, LoginGuard};

/// Names the first field that cannot.
pub(super) fn check(spec: &LoginGuard) -> Result<(), Defect> {
    let bad = |part: &str, why: &str| Err(Defect::new(part, why));
    if spec.lock_growth == 0 {
        return bad(
            "spec.lockGrowth",
            "a lock cannot grow by 0; 1 means that all are alike",
        );
    }
    if spec.known_good.keep.0 == 0 || spec.known_good.after_days == 0 {
        return bad(
            "spec.knownGood",
            "needs at least one day, and a time to keep it",
        );
    }
    let windows = [
        (
            "spec.perAccount",
            spec.per_account
                .map(|part| (part.per, part.distinct_passwords)),
        ),
        (
            "spec.perSource",
            spec.per_source
                .map(|part| (part.per, part.distinct_accounts.unwrap_or(1))),
        ),
        (
            "spec.perSource",
            spec.per_source
                .map(|part| (part.per, part.failed_pairs.unwrap_or(1))),
        ),
        (
            "spec.perAccountAndSource",
            spec.per_account_and_source
                .map(|part| (part.per, part.failures)),
        ),
    ];
    for (part, window) in windows {
        if window.is_some_and(|(per, at)| per.0 == 0 || at == 0) {
            return bad(part, "needs a window, and at least one failure to lock");
        }
    }
    let locks = spec
        .decoys
        .as_ref()
        .is_some_and(|decoys| decoys.action == DecoyAction::LockSource);
    if locks && spec.per_source.is_none() {
        return bad(
            "spec.decoys.action",
            "LockSource locks for as long as spec.perSource says, and that is not there",
        );
    }
    Ok(())
}
