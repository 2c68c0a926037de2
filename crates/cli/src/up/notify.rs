//! Nobody is restricted unheard: what rules impose is put into the store's outbox for the channels that their steps name, and told
//! from there until it was heard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sekisho_api::Configs;
use sekisho_compile::ObjectKey;
use sekisho_compile::files::SecretValue;
use sekisho_policy::restriction::Origin;
use sekisho_policy::snapshot::{Channel, RuleSpec};
use sekisho_policy::states::Imposition;
use sekisho_policy::{Millis, Snapshot, Timestamp};
use sekisho_proxy::{Attempt, FleetKey, Webhooks};
use sekisho_runtime::{Clock, Shutdown};
use sekisho_store::{Letter, Store, StoreError, Taken};
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout};

use super::secrets::Secrets;

/// How often it is looked whether a message is due again.
const EVERY: Duration = Duration::from_secs(5);
/// Messages that a channel is told one after the other before it is looked what else is due.
const AT_A_TIME: u32 = 32;
/// Channels that are told at once.
const AT_ONCE: usize = 16;
/// Channels of which is remembered that they did not hear. There are hardly ever so many.
const MOST_RESTING: usize = 1_000;
/// The first pause after a failure; it doubles with each.
const FIRST_PAUSE: Millis = Millis(5_000);
const LONGEST_PAUSE: Millis = Millis::HOUR;
/// A message is given up after so long.
const GIVE_UP: Millis = Millis(72 * Millis::HOUR.0);
/// It is known for so long that a message was told.
const REMEMBER: Millis = Millis(30 * Millis::DAY.0);

/// Tells channels. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Herald(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    configs: Configs,
    secrets: Secrets,
    webhooks: Webhooks,
    key: FleetKey,
    clock: Clock,
    posted: Notify,
    /// Messages that were told and could not be crossed out: at most one of each channel and round.
    told: Mutex<BTreeSet<String>>,
}

/// What the herald works with.
pub(super) struct Tools {
    pub(super) store: Store,
    pub(super) configs: Configs,
    pub(super) secrets: Secrets,
    pub(super) webhooks: Webhooks,
    pub(super) key: FleetKey,
    pub(super) clock: Clock,
}

impl Herald {
    pub(super) fn new(tools: Tools) -> Self {
        let Tools {
            store,
            configs,
            secrets,
            webhooks,
            key,
            clock,
        } = tools;
        Self(Arc::new(Inner {
            store,
            configs,
            secrets,
            webhooks,
            key,
            clock,
            posted: Notify::new(),
            told: Mutex::default(),
        }))
    }

    /// Has channels told of what rules imposed, each once however often it comes. It waits on disk from here on.
    pub(super) async fn announce(
        &self,
        namespace: &str,
        impositions: &[Imposition],
    ) -> Result<(), StoreError> {
        for imposition in impositions {
            for channel in self.channels(namespace, imposition) {
                let letter = self.letter(namespace, imposition, &channel);
                match self.0.store.post(&letter).await? {
                    Taken::Waits => self.0.posted.notify_one(),
                    Taken::Known => {}
                    Taken::Full => tracing::error!(
                        channel = %channel.object,
                        account = %imposition.account,
                        "too many messages wait for channels: one is not told"
                    ),
                }
            }
        }
        Ok(())
    }

    /// The channels that the rule's step names, at whichever gateway.
    fn channels(&self, namespace: &str, imposition: &Imposition) -> Vec<Channel> {
        let restriction = &imposition.restriction;
        let Origin::Rule(rule) = &restriction.origin else {
            return Vec::new();
        };
        let mut channels: Vec<Channel> = Vec::new();
        self.each_snapshot(namespace, |snapshot| {
            let of_rule = snapshot.rules.iter().filter(|own| own.object == *rule);
            for own in of_rule {
                let RuleSpec::AbuseRule(abuse) = &own.spec else {
                    continue;
                };
                let steps = abuse.ladder.iter();
                let step = steps.filter(|step| step.level == restriction.level);
                channels.extend(step.flat_map(|step| step.notify.iter().cloned()));
            }
        });
        channels.sort_by(|one, other| one.object.cmp(&other.object));
        channels.dedup_by(|one, other| one.object == other.object);
        channels
    }

    fn each_snapshot(&self, namespace: &str, mut see: impl FnMut(&Snapshot)) {
        for published in self.0.configs.all() {
            let snapshot = &published.envelope().snapshot;
            if snapshot.gateway.object.namespace == namespace {
                see(snapshot);
            }
        }
    }

    fn letter(&self, namespace: &str, imposition: &Imposition, channel: &Channel) -> Letter {
        let Imposition {
            account,
            restriction,
        } = imposition;
        let now = Timestamp(self.0.clock.now_ms());
        // The same restriction is the same message, whoever brings it and however often.
        let name = json!([
            namespace,
            account,
            restriction.origin,
            restriction.since,
            channel.object
        ]);
        let digest = self.0.key.pseudonym(&name.to_string());
        let id: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
        let body = json!({
            "id": id,
            "type": "account.restricted",
            "at": now,
            "namespace": namespace,
            "account": account,
            "restriction": restriction,
        });
        Letter {
            id,
            namespace: namespace.to_owned(),
            channel: channel.object.name.clone(),
            created: now,
            attempts: 0,
            body: body.to_string(),
        }
    }

    /// Tells what is due, until the process drains. What is left is told by the next run. Each channel is told by itself: one that
    /// does not answer keeps no other waiting.
    pub(super) async fn run(self, shutdown: Shutdown) {
        let mut rounds = Rounds::default();
        loop {
            if let Err(error) = self.begin_rounds(&mut rounds).await
                && !std::mem::replace(&mut rounds.is_failing, true)
            {
                tracing::error!(%error, "messages for channels cannot be read");
            }
            tokio::select! {
                () = shutdown.draining() => return,
                Some(ended) = rounds.under_way.join_next() => rounds.note(ended),
                // Time is over, or there is something new: either way it is looked again.
                _ = timeout(EVERY, self.0.posted.notified()) => {}
            }
        }
    }

    async fn begin_rounds(&self, rounds: &mut Rounds) -> Result<(), StoreError> {
        let now = Timestamp(self.0.clock.now_ms());
        let due = self.0.store.due_channels(now).await?;
        rounds.is_failing = false;
        if rounds.resting.len() > MOST_RESTING {
            rounds.resting.clear();
        }
        for name in due {
            if rounds.under_way.len() < AT_ONCE && rounds.may_begin(&name) {
                rounds.busy.insert(name.clone());
                let herald = self.clone();
                rounds.under_way.spawn(async move {
                    let heard = herald.tell_channel(&name).await;
                    (name, heard)
                });
            }
        }
        Ok(())
    }

    /// Tells one channel what is due, until it does not hear.
    async fn tell_channel(&self, (namespace, name): &Name) -> Result<Heard, StoreError> {
        let now = Timestamp(self.0.clock.now_ms());
        let store = &self.0.store;
        for letter in store.due_letters(namespace, name, now, AT_A_TIME).await? {
            if self.tell(&letter).await? == Heard::No {
                let now = Timestamp(self.0.clock.now_ms());
                let before = Timestamp(now.0.saturating_sub(GIVE_UP.0));
                let given_up = store.give_up_letters(namespace, name, before, now).await?;
                if given_up > 0 {
                    tracing::error!(
                        namespace,
                        channel = name,
                        count = given_up,
                        "a channel could not be told for three days: its old messages are given up"
                    );
                }
                return Ok(Heard::No);
            }
        }
        Ok(Heard::Yes)
    }

    async fn tell(&self, letter: &Letter) -> Result<Heard, StoreError> {
        let Letter {
            id,
            channel,
            namespace,
            ..
        } = letter;
        if !self.was_told(id) {
            if let Err(failure) = self.attempt(letter).await {
                let pause = pause(letter.attempts, id);
                tracing::warn!(namespace, channel, id, failure, again_in = %pause, "a channel could not be told");
                let due = Timestamp(self.0.clock.now_ms()).plus(pause);
                self.0.store.put_off_letter(id, due).await?;
                return Ok(Heard::No);
            }
            tracing::info!(namespace, channel, id, "a channel was told");
            // Should it not be crossed out now, it is later, and not told again.
            self.told().insert(id.clone());
        }
        self.finish(letter).await?;
        self.told().remove(id);
        Ok(Heard::Yes)
    }

    fn was_told(&self, id: &str) -> bool {
        self.told().contains(id)
    }

    fn told(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn attempt(&self, letter: &Letter) -> Result<(), String> {
        let channel = self
            .channel(&letter.namespace, &letter.channel)
            .ok_or("no step of a rule names this channel any more")?;
        let key = ObjectKey::new(&letter.namespace, &channel.secret);
        let secret = self.0.secrets.of(&key);
        let secret = secret.as_ref().and_then(|secret| secret.data.get("secret"));
        let secret = secret
            .map(SecretValue::expose)
            .ok_or_else(|| format!("the Secret {} has no key named secret", channel.secret))?;
        let attempt = Attempt {
            url: &channel.url,
            secret,
            id: &letter.id,
            body: &letter.body,
            at: Timestamp(self.0.clock.now_ms()),
        };
        let told = self.0.webhooks.tell(attempt).await;
        told.map_err(|error| error.to_string())
    }

    /// The channel as it is now.
    fn channel(&self, namespace: &str, name: &str) -> Option<Channel> {
        let mut found = None;
        self.each_snapshot(namespace, |snapshot| {
            let steps = snapshot.rules.iter().flat_map(|rule| match &rule.spec {
                RuleSpec::AbuseRule(abuse) => &abuse.ladder[..],
                _ => &[],
            });
            let mut channels = steps.flat_map(|step| &step.notify);
            let own = channels.find(|channel| channel.object.name == name);
            found = found.take().or_else(|| own.cloned());
        });
        found
    }

    async fn finish(&self, letter: &Letter) -> Result<(), StoreError> {
        let now = Timestamp(self.0.clock.now_ms());
        self.0.store.finish_letter(&letter.id, now, REMEMBER).await
    }
}

/// Whether a channel took a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Yes,
    No,
}

/// A channel: its namespace and its name.
type Name = (String, String);

/// Who is being told, and who rests because it did not hear.
#[derive(Debug, Default)]
struct Rounds {
    under_way: JoinSet<(Name, Result<Heard, StoreError>)>,
    busy: BTreeSet<Name>,
    resting: BTreeMap<Name, Rest>,
    is_failing: bool,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    failures: u32,
    until: Instant,
}

impl Rounds {
    fn may_begin(&self, name: &Name) -> bool {
        let rests = self.resting.get(name);
        !self.busy.contains(name) && rests.is_none_or(|rest| rest.until <= Instant::now())
    }

    fn note(&mut self, ended: Result<(Name, Result<Heard, StoreError>), JoinError>) {
        let Ok((name, heard)) = ended else {
            tracing::error!("telling a channel broke off; it is told by the next run");
            return;
        };
        self.busy.remove(&name);
        match heard {
            Ok(Heard::Yes) => {
                self.resting.remove(&name);
            }
            Ok(Heard::No) => {
                let failures = self.resting.get(&name).map_or(0, |rest| rest.failures);
                let until = Instant::now() + span(pause(failures, &name.1));
                let failures = failures.saturating_add(1);
                self.resting.insert(name, Rest { failures, until });
            }
            Err(error) => {
                tracing::error!(namespace = name.0, channel = name.1, %error, "what a channel was told cannot be noted");
                let until = Instant::now() + span(FIRST_PAUSE);
                self.resting.insert(name, Rest { failures: 0, until });
            }
        }
    }
}

/// Twice as long after each failure, and for each name a little other, so that not all come back at once.
fn pause(failures: u32, name: &str) -> Millis {
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
    use super::*;

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

    #[tokio::test]
    async fn a_channel_that_does_not_hear_rests_and_others_do_not() {
        let name = |channel: &str| ("mail".to_owned(), channel.to_owned());
        let mut rounds = Rounds::default();
        rounds.note(Ok((name("away"), Ok(Heard::No))));
        assert!(!rounds.may_begin(&name("away")) && rounds.may_begin(&name("there")));
        let first = rounds.resting[&name("away")].until;
        rounds.note(Ok((name("away"), Ok(Heard::No))));
        assert!(rounds.resting[&name("away")].until > first);
        assert_eq!(rounds.resting[&name("away")].failures, 2);
        rounds.note(Ok((name("away"), Ok(Heard::Yes))));
        assert!(rounds.may_begin(&name("away")));
        rounds.busy.insert(name("there"));
        assert!(!rounds.may_begin(&name("there")));
    }
}
