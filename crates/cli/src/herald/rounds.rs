//! Who is being told, and who rests because it did not hear. No namespace takes the turns of all others.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::time::Duration;

use sekisho_policy::Millis;
use sekisho_store::StoreError;
use tokio::task::{self, JoinSet};
use tokio::time::Instant;

/// Channels that are told at once, and of one namespace.
const AT_ONCE: usize = 64;
const AT_ONCE_OF_NAMESPACE: usize = 4;
/// The first pause after a failure; it doubles with each.
const FIRST_PAUSE: Millis = Millis(5_000);
const LONGEST_PAUSE: Millis = Millis::HOUR;
/// It is remembered for so long after its rest how often a channel did not hear.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// A channel: its namespace and its name.
pub(super) type Name = (String, String);

/// What became of telling a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It took what it was told.
    Yes,
    No,
    /// This process may not tell any more.
    Unasked,
}

/// How telling a channel ended: with what it heard, or by breaking off.
pub(super) type Ended = (Name, Option<Result<Heard, StoreError>>);

/// Who is being told, and who rests because it did not hear.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    under_way: JoinSet<Result<Heard, StoreError>>,
    busy: HashMap<task::Id, Name>,
    resting: BTreeMap<Name, Rest>,
    pub(super) is_failing: bool,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    failures: u32,
    until: Instant,
}

impl Rounds {
    pub(super) fn may_begin(&self, name: &Name) -> bool {
        let rests = self.resting.get(name);
        let of_namespace = self.busy.values().filter(|busy| busy.0 == name.0);
        self.under_way.len() < AT_ONCE
            && of_namespace.count() < AT_ONCE_OF_NAMESPACE
            && !self.busy.values().any(|busy| busy == name)
            && rests.is_none_or(|rest| rest.until <= Instant::now())
    }

    pub(super) fn begin(
        &mut self,
        name: Name,
        telling: impl Future<Output = Result<Heard, StoreError>> + Send + 'static,
    ) {
        let begun = self.under_way.spawn(telling).id();
        self.busy.insert(begun, name);
    }

    /// Waits until one has been told; `None` if none is being told.
    pub(super) async fn ended(&mut self) -> Option<Ended> {
        let (id, heard) = match self.under_way.join_next_with_id().await? {
            Ok((id, heard)) => (id, Some(heard)),
            Err(broken) => (broken.id(), None),
        };
        self.busy.remove(&id).map(|name| (name, heard))
    }

    /// Forgets channels that have not been tried for long.
    pub(super) fn forget_rests(&mut self) {
        let now = Instant::now();
        self.resting.retain(|_, rest| now < rest.until + REMEMBERED);
    }

    pub(super) fn note(&mut self, (name, heard): Ended) {
        match heard {
            Some(Ok(Heard::Yes)) => {
                self.resting.remove(&name);
            }
            Some(Ok(Heard::No)) => {
                let failures = self.resting.get(&name).map_or(0, |rest| rest.failures);
                let until = Instant::now() + span(pause(failures, &name.1));
                let failures = failures.saturating_add(1);
                self.resting.insert(name, Rest { failures, until });
            }
            Some(Ok(Heard::Unasked)) => {}
            Some(Err(error)) => {
                tracing::error!(namespace = name.0, channel = name.1, %error, "what a channel was told cannot be noted");
                self.rest(name);
            }
            None => {
                tracing::error!(
                    namespace = name.0,
                    channel = name.1,
                    "telling a channel broke off"
                );
                self.rest(name);
            }
        }
    }

    /// It is tried again soon: the trouble is ours.
    fn rest(&mut self, name: Name) {
        let until = Instant::now() + span(FIRST_PAUSE);
        self.resting.insert(name, Rest { failures: 0, until });
    }
}

/// Twice as long after each failure, and for each name a little other, so that not all come back at once.
pub(super) fn pause(failures: u32, name: &str) -> Millis {
    let doubled = FIRST_PAUSE.0.saturating_mul(1 << failures.min(20));
    let pause = doubled.min(LONGEST_PAUSE.0);
    let spread = name.bytes().fold(u64::from(failures), |sum, octet| {
        sum.wrapping_mul(31).wrapping_add(octet.into())
    });
    Millis(pause + pause / 4 * (spread % 64) / 64)
}

fn span(millis: Millis) -> Duration {
    Duration::from_millis(millis.0)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    fn name(namespace: &str, channel: &str) -> Name {
        (namespace.to_owned(), channel.to_owned())
    }

    #[test]
    fn pauses_grow_to_an_hour() {
        for (failures, least) in [
            (0, 5_000),
            (1, 10_000),
            (5, 160_000),
            (10, 3_600_000),
            (99, 3_600_000),
        ] {
            let pause = pause(failures, "desk").0;
            assert!(
                (least..=least + least / 4).contains(&pause),
                "{failures}: {pause}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_that_does_not_hear_rests_and_others_do_not() {
        let (away, there) = (name("mail", "away"), name("mail", "there"));
        let mut rounds = Rounds::default();
        rounds.note((away.clone(), Some(Ok(Heard::No))));
        assert!(!rounds.may_begin(&away) && rounds.may_begin(&there));
        let first = rounds.resting[&away].until;
        rounds.note((away.clone(), Some(Ok(Heard::No))));
        assert!(rounds.resting[&away].until > first);
        assert_eq!(rounds.resting[&away].failures, 2);
        // Who lost the lease knows nothing new of it.
        rounds.note((away.clone(), Some(Ok(Heard::Unasked))));
        assert_eq!(rounds.resting[&away].failures, 2);
        rounds.forget_rests();
        assert_eq!(rounds.resting.len(), 1);
        rounds.note((away.clone(), Some(Ok(Heard::Yes))));
        assert!(rounds.may_begin(&away));
        rounds.note((away.clone(), Some(Ok(Heard::No))));
        tokio::time::advance(REMEMBERED * 2).await;
        rounds.forget_rests();
        assert!(rounds.resting.is_empty());
        rounds.begin(there.clone(), pending());
        assert!(!rounds.may_begin(&there));
    }

    #[tokio::test(start_paused = true)]
    async fn telling_that_breaks_off_keeps_no_turn() {
        let desk = name("mail", "desk");
        let mut rounds = Rounds::default();
        rounds.begin(desk.clone(), async {
            panic!("as a fault in telling would")
        });
        let ended = rounds.ended().await.unwrap();
        assert!(matches!(ended, (_, None)));
        rounds.note(ended);
        assert!(!rounds.may_begin(&desk));
        tokio::time::advance(span(FIRST_PAUSE)).await;
        assert!(rounds.may_begin(&desk));
    }

    #[tokio::test]
    async fn a_namespace_with_many_silent_channels_leaves_turns_to_others() {
        let mut rounds = Rounds::default();
        for n in 0..AT_ONCE {
            let silent = name("greedy", &n.to_string());
            if rounds.may_begin(&silent) {
                rounds.begin(silent, pending());
            }
        }
        assert_eq!(rounds.busy.len(), AT_ONCE_OF_NAMESPACE);
        assert!(rounds.may_begin(&name("mail", "desk")));
    }
}
