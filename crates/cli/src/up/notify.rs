//! Nobody is restricted unheard: what rules impose is put into the store's outbox for the channels that their steps name, and told
//! from there until it was heard.

use std::collections::BTreeSet;
use std::sync::Arc;
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
use tokio::time::timeout;

use super::secrets::Secrets;

/// How often it is looked whether a message is due again.
const EVERY: Duration = Duration::from_secs(5);
/// Messages that are told one after the other before it is looked what else is due.
const AT_A_TIME: u32 = 32;
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

    /// Tells what is due, until the process drains. What is left is told by the next run.
    pub(super) async fn run(self, shutdown: Shutdown) {
        let mut is_failing = false;
        loop {
            tokio::select! {
                () = shutdown.draining() => return,
                told = self.tell_due() => match told {
                    Ok(()) => is_failing = false,
                    Err(error) if !std::mem::replace(&mut is_failing, true) => {
                        tracing::error!(%error, "messages for channels cannot be read");
                    }
                    Err(_) => {}
                },
            }
            tokio::select! {
                () = shutdown.draining() => return,
                // Time is over, or there is something new: either way it is looked again.
                _ = timeout(EVERY, self.0.posted.notified()) => {}
            }
        }
    }

    async fn tell_due(&self) -> Result<(), StoreError> {
        let now = Timestamp(self.0.clock.now_ms());
        let mut silent: BTreeSet<(String, String)> = BTreeSet::new();
        for letter in self.0.store.due_letters(now, AT_A_TIME).await? {
            let channel = (letter.namespace.clone(), letter.channel.clone());
            // One that does not answer keeps no other waiting.
            if silent.contains(&channel) {
                let due = Timestamp(self.0.clock.now_ms()).plus(pause(&letter));
                self.0.store.put_off_letter(&letter.id, due).await?;
            } else if self.tell(&letter).await? == Heard::No {
                silent.insert(channel);
            }
        }
        Ok(())
    }

    async fn tell(&self, letter: &Letter) -> Result<Heard, StoreError> {
        let Letter {
            id,
            channel,
            namespace,
            ..
        } = letter;
        let failure = match self.attempt(letter).await {
            Ok(()) => {
                tracing::info!(namespace, channel, id, "a channel was told");
                self.finish(letter).await?;
                return Ok(Heard::Yes);
            }
            Err(failure) => failure,
        };
        let now = Timestamp(self.0.clock.now_ms());
        if now.since(letter.created) >= GIVE_UP {
            tracing::error!(
                namespace,
                channel,
                id,
                failure,
                "a channel could not be told, and is not tried again"
            );
            self.finish(letter).await?;
            return Ok(Heard::No);
        }
        let pause = pause(letter);
        tracing::warn!(namespace, channel, id, failure, again_in = %pause, "a channel could not be told");
        self.0.store.put_off_letter(id, now.plus(pause)).await?;
        Ok(Heard::No)
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

/// Twice as long after each failure, and for each message a little other, so that not all come back at once.
fn pause(letter: &Letter) -> Millis {
    let doubled = FIRST_PAUSE.0.saturating_mul(1 << letter.attempts.min(20));
    let pause = doubled.min(LONGEST_PAUSE.0);
    let spread = letter
        .id
        .bytes()
        .fold(u64::from(letter.attempts), |sum, octet| {
            sum.wrapping_mul(31).wrapping_add(octet.into())
        });
    Millis(pause + pause / 4 * (spread % 64) / 64)
}
