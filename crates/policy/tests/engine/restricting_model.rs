//! A model of limits that restrict: sending, time and releases in any order.

use proptest::prelude::*;
use sekisho_policy::restriction::Level;
use sekisho_policy::snapshot::*;
use sekisho_policy::{Millis, Timestamp, Upshot};

use crate::ladder::{Desk, HOUR};
use crate::restricting::{MINUTE, desk, hourly, send};
use crate::support::*;

/// Until what was used before a release is out of the window, wherever it is counted.
const LET_OFF: u64 = HOUR + HOUR / 32 + 10_000;

/// What can happen within the model.
#[derive(Clone, Copy, Debug)]
enum Act {
    Send,
    Wait(u64),
    Release,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Send),
        3 => (1u64..40).prop_map(|minutes| Act::Wait(minutes * MINUTE)),
        1 => Just(Act::Release),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Never more than three in any hour since the last release, whatever the account is restricted to meanwhile; whoever is over is
    /// restricted, never anew while that holds; and where a release could not forget, not for an hour after it.
    #[test]
    fn a_limit_stays_one_and_restricts_once(
        acts in proptest::collection::vec(act(), 1..80),
        forgets in any::<bool>(),
    ) {
        let key: &[KeyPart] = if forgets {
            &[KeyPart::Account]
        } else {
            &[KeyPart::Account, KeyPart::SenderDomain]
        };
        let desk = desk(RateLimit { key: key.to_vec(), ..hourly(Level::Watch) });
        let (mut now, mut taken, mut released) = (0, Vec::new(), None);
        for act in acts {
            match act {
                Act::Wait(millis) => now += millis,
                Act::Release => {
                    desk.release(START.plus(Millis(now)));
                    released = Some(now);
                    if forgets {
                        taken.clear();
                    }
                    now += 1;
                }
                Act::Send => {
                    let before = in_force(&desk, now);
                    let (code, upshot) = send(&desk, now);
                    let spared = !forgets && released.is_some_and(|at| now < at + LET_OFF);
                    if code == "ok" {
                        taken.push(now);
                        prop_assert_eq!(upshot, Upshot::default());
                    } else {
                        let imposed = !before && !spared;
                        prop_assert_eq!(upshot.restrictions.len(), usize::from(imposed));
                        prop_assert_eq!(in_force(&desk, now), before || imposed);
                    }
                    let within = taken.iter().filter(|&&at| at + HOUR > now).count();
                    prop_assert!(within <= 3, "{within} at {now}");
                }
            }
        }
    }
}

fn in_force(desk: &Desk, now: u64) -> bool {
    let holds = desk.holds.borrow();
    let at: Timestamp = START.plus(Millis(now));
    holds.as_ref().is_some_and(|holds| holds.holds_at(at))
}
