//! One channel is told what is due for it, message after message, until it does not hear.

use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use sekisho_api::letters::{self, GIVE_UP};
use sekisho_policy::snapshot::Channel;
use sekisho_policy::{Millis, Timestamp};
use sekisho_proxy::Attempt;
use sekisho_runtime::metrics::NoticeResult;
use sekisho_store::{Letter, StoreError};
use zeroize::Zeroizing;

use super::Herald;
use super::rounds::{Heard, Name, pause};

/// Messages that a channel is told one after the other before it is looked what else is due.
const AT_A_TIME: u32 = 32;
/// It is known for so long that a message was told.
const REMEMBER: Millis = Millis(30 * Millis::DAY.0);
/// Messages of which is remembered that they were told and could not be crossed out: one of each channel and round.
const MOST_TOLD: usize = 1_000;

/// Where a channel is, and what its messages are signed with.
struct Address {
    channel: Channel,
    secret: Zeroizing<Vec<u8>>,
}

impl Herald {
    /// Tells one channel what is due, until it does not hear or this process may not tell any more.
    pub(super) async fn tell_channel(&self, name: &Name) -> Result<Heard, StoreError> {
        let (namespace, channel) = (&*name.0, &*name.1);
        let outbox = &self.0.tools.outbox;
        let due = outbox
            .due_letters(namespace, channel, self.now(), AT_A_TIME)
            .await?;
        // Read once: a Secret or an address that changes counts from the next round on.
        let address = self.address(name).await;
        for letter in due {
            let Some(within) = self.0.tools.license.time_left() else {
                return Ok(Heard::Unasked);
            };
            if self.tell(&letter, &address, within).await? == Heard::No {
                self.give_up_old(name).await?;
                return Ok(Heard::No);
            }
        }
        Ok(Heard::Yes)
    }

    async fn give_up_old(&self, (namespace, channel): &Name) -> Result<(), StoreError> {
        let now = self.now();
        let before = Timestamp(now.0.saturating_sub(GIVE_UP.0));
        let outbox = &self.0.tools.outbox;
        let count = outbox
            .give_up(namespace, channel, before, now, REMEMBER)
            .await?;
        if count > 0 {
            self.0.tools.metrics.notices(NoticeResult::GivenUp, count);
            tracing::error!(
                namespace,
                channel,
                count,
                "a channel could not be told for three days: its old messages are given up"
            );
        }
        Ok(())
    }

    async fn tell(
        &self,
        letter: &Letter,
        address: &Result<Address, String>,
        within: Duration,
    ) -> Result<Heard, StoreError> {
        let Letter {
            id,
            channel,
            namespace,
            ..
        } = letter;
        let metrics = &self.0.tools.metrics;
        if !self.told().contains(id) {
            if let Err(failure) = self.attempt(letter, address, within).await {
                let pause = pause(letter.attempts, channel);
                metrics.notices(NoticeResult::Failed, 1);
                tracing::warn!(namespace, channel, id, failure, again_in = %pause, "a channel could not be told");
                let now = self.now();
                let outbox = &self.0.tools.outbox;
                outbox
                    .put_off(namespace, channel, now, now.plus(pause))
                    .await?;
                return Ok(Heard::No);
            }
            metrics.notices(NoticeResult::Told, 1);
            tracing::info!(namespace, channel, id, "a channel was told");
            // Should it not be crossed out now, it is later, and not told again.
            self.remember(id);
        }
        let finished = self.0.tools.outbox.finish(id, self.now(), REMEMBER);
        finished.await?;
        self.told().remove(id);
        Ok(Heard::Yes)
    }

    async fn attempt(
        &self,
        letter: &Letter,
        address: &Result<Address, String>,
        within: Duration,
    ) -> Result<(), String> {
        let Address { channel, secret } = address.as_ref().map_err(Clone::clone)?;
        let attempt = Attempt {
            url: &channel.url,
            secret,
            id: &letter.id,
            body: &letter.body,
            at: self.now(),
            within,
        };
        let told = self.0.tools.webhooks.tell(attempt).await;
        told.map_err(|error| error.to_string())
    }

    async fn address(&self, (namespace, name): &Name) -> Result<Address, String> {
        let channel = letters::channel(&self.0.tools.configs, namespace, name)
            .ok_or("no step of a rule names this channel any more")?;
        let secret = self.0.tools.secrets.secret(namespace, &channel.secret);
        let secret = secret.await?;
        if secret.is_empty() {
            // Anybody could sign with it.
            return Err(format!("the Secret {} is empty", channel.secret));
        }
        Ok(Address { channel, secret })
    }

    fn remember(&self, id: &str) {
        let mut told = self.told();
        if told.len() >= MOST_TOLD {
            told.clear();
        }
        told.insert(id.to_owned());
    }

    fn told(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
