//! `LoginGuard`.

use sekisho_crd::{DecoyAction as Action, LoginGuardSpec};
use sekisho_policy::snapshot::{
    DecoyAction, Decoys, KnownGood, LoginGuard, PerAccount, PerPair, PerSource,
};

use super::shared::{Context, millis, sorted};

/// The rule.
pub(crate) fn login_guard(spec: &LoginGuardSpec, context: &Context) -> LoginGuard {
    LoginGuard {
        per_account: spec.per_account.as_ref().map(|part| PerAccount {
            distinct_passwords: part.distinct_passwords.into(),
            per: millis(&part.per),
            lock: millis(&part.lock),
        }),
        per_source: spec.per_source.as_ref().map(|part| PerSource {
            distinct_accounts: part.distinct_accounts.map(u64::from),
            failed_pairs: part.failed_pairs.map(u64::from),
            per: millis(&part.per),
            lock: millis(&part.lock),
            ipv4_prefix: part.prefixes.ipv4,
            ipv6_prefix: part.prefixes.ipv6,
        }),
        per_account_and_source: spec.per_account_and_source.as_ref().map(|part| PerPair {
            failures: part.failures.into(),
            per: millis(&part.per),
            lock: millis(&part.lock),
        }),
        lock_growth: spec.lock_growth,
        max_lock: millis(&spec.max_lock),
        known_good: KnownGood {
            after_days: spec.known_good.after_days.into(),
            keep: millis(&spec.known_good.keep),
        },
        decoys: spec.decoys.as_ref().map(|decoys| Decoys {
            accounts: sorted(
                decoys
                    .accounts
                    .iter()
                    .map(|account| context.account(account.as_str())),
            ),
            action: match decoys.action {
                Action::Points => DecoyAction::Points,
                Action::LockSource => DecoyAction::LockSource,
            },
        }),
    }
}
