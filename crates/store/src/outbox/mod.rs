//! Messages on their way to channels, in whichever database account states are. One is posted in the transaction that takes what it
//! tells of, waits until it was told, however often processes end, and is told by whoever of the replicas may.

mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;

use sekisho_policy::states::Imposition;
use sekisho_policy::{Millis, Timestamp};
use tokio::sync::Notify;

use crate::StoreError;
use crate::records::number;
use crate::states::{Backend, Fault, in_transaction, reading, timestamp};
use tables::Row;
pub(crate) use tables::Tables;

/// The most messages of one channel that wait, so that one that is away leaves room for others.
pub const MOST_OF_CHANNEL: u32 = 2_000;
/// The most messages of one namespace that wait. There is no limit for all together: it would be there for one to fill and for others
/// to suffer from.
pub const MOST_OF_NAMESPACE: u32 = 5_000;
/// The most channels of one namespace for which messages wait.
pub const MOST_CHANNELS: usize = 100;
/// No message is put off for longer. One that is due later was put off by a clock that was wrong, and is due now.
const LONGEST_REST: u64 = 2 * 60 * 60 * 1000;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Names it: a receiver that has seen it does nothing. At most 128 characters.
    pub id: String,
    /// Whose channel.
    pub namespace: String,
    /// Which channel.
    pub channel: String,
    /// Since when it waits.
    pub created: Timestamp,
    /// How often its channel was tried in vain since then.
    pub attempts: u32,
    /// What is told.
    pub body: String,
}

/// Writes the messages about an imposition; it is asked for those that are taken, and that say something new.
pub type Letters<'a> = dyn Fn(&Imposition) -> Vec<Letter> + Sync + 'a;

/// What became of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Posted {
    /// So many wait now that did not before.
    pub waiting: u32,
    /// For these there is no room, by channel.
    pub refused: BTreeMap<String, u32>,
}

/// The outbox. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Outbox {
    backend: Backend,
    posted: Arc<Notify>,
}

impl Outbox {
    pub(crate) fn of(backend: Backend) -> Self {
        Self {
            backend,
            posted: Arc::default(),
        }
    }

    /// Waits until this process posts something; what other replicas post is found by looking.
    pub async fn posted(&self) {
        self.posted.notified().await;
    }

    pub(crate) fn note(&self, posted: &Posted) {
        if posted.waiting > 0 {
            self.posted.notify_one();
        }
    }

    /// The channels, as namespace and name, that a message is due for: those first that one has been due for longest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due_channels(&self, now: Timestamp) -> Result<Vec<(String, String)>, StoreError> {
        let (now, never) = due(now);
        Ok(reading!(self, tables => {
            tables.due_channels(now, never).await.map_err(Fault::from)
        }))
    }

    /// Up to `most` messages of a channel that are due, those that wait longest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn due_letters(
        &self,
        namespace: &str,
        channel: &str,
        now: Timestamp,
        most: u32,
    ) -> Result<Vec<Letter>, StoreError> {
        let (now, never) = due(now);
        let rows = reading!(self, tables => {
            let found = tables.due_letters((namespace, channel), now, never, most.into());
            found.await.map_err(Fault::from)
        });
        Ok(rows.into_iter().map(letter).collect())
    }

    /// Gives up what waits for a channel since before `before`; how many messages that were. That they were is kept for `keep`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn give_up(
        &self,
        namespace: &str,
        channel: &str,
        before: Timestamp,
        now: Timestamp,
        keep: Millis,
    ) -> Result<u64, StoreError> {
        let forgotten = number(now.0.saturating_sub(keep.0));
        let (before, now) = (number(before.0), number(now.0));
        Ok(in_transaction!(self, tables => {
            let given_up = tables.give_up((namespace, channel), before, now).await;
            let forgot = tables.forget(forgotten).await;
            given_up.and_then(|count| forgot.map(|()| count)).map_err(Fault::from)
        }))
    }

    /// A channel did not take a message: nothing that waits for it is due before `until`. So a channel that is away is not asked about
    /// again and again, whichever replica tells.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_off(
        &self,
        namespace: &str,
        channel: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let ((_, never), until) = (due(now), number(until.0));
        in_transaction!(self, tables => {
            tables.put_off((namespace, channel), never, until).await.map_err(Fault::from)
        });
        Ok(())
    }

    /// A message was told, or is given up. What it said is forgotten, that it was is kept for `keep`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish(&self, id: &str, now: Timestamp, keep: Millis) -> Result<(), StoreError> {
        let (now, before) = (number(now.0), number(now.0.saturating_sub(keep.0)));
        in_transaction!(self, tables => {
            let finished = tables.finish(id, now).await;
            let forgot = tables.forget(before).await;
            finished.and(forgot).map_err(Fault::from)
        });
        Ok(())
    }

    fn failed(&self, fault: Fault) -> StoreError {
        self.backend.failed(fault)
    }
}

/// Up to when a message is due now, and from when on it was put off by a wrong clock.
fn due(now: Timestamp) -> (i64, i64) {
    (number(now.0), number(now.0.saturating_add(LONGEST_REST)))
}

fn letter(row: Row) -> Letter {
    Letter {
        id: row.id,
        namespace: row.namespace,
        channel: row.channel,
        created: timestamp(row.created_at),
        attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
        body: row.body,
    }
}

/// What waits of one namespace, which the transaction holds. It is read when there is something to post.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    namespace: &'a str,
    channels: Option<BTreeMap<String, u32>>,
    pub(crate) posted: Posted,
}

impl<'a> Room<'a> {
    pub(crate) fn of(namespace: &'a str) -> Self {
        Self {
            namespace,
            channels: None,
            posted: Posted::default(),
        }
    }

    /// Takes messages, each once however often it comes.
    pub(crate) async fn post(
        &mut self,
        tables: &mut impl Tables,
        letters: Vec<Letter>,
    ) -> Result<(), Fault> {
        for letter in letters {
            let channels = match &mut self.channels {
                Some(channels) => channels,
                unread => unread.insert(read(tables, self.namespace).await?),
            };
            if !has_room(channels, &letter.channel) {
                *self.posted.refused.entry(letter.channel).or_default() += 1;
            } else if tables.post(&row(self.namespace, &letter)).await? {
                *channels.entry(letter.channel).or_default() += 1;
                self.posted.waiting += 1;
            }
        }
        Ok(())
    }
}

async fn read(
    tables: &mut impl Tables,
    namespace: &str,
) -> Result<BTreeMap<String, u32>, sqlx::Error> {
    let waiting = tables.waiting(namespace).await?.into_iter();
    let counted = |(channel, count)| (channel, u32::try_from(count).unwrap_or(u32::MAX));
    Ok(waiting.map(counted).collect())
}

fn has_room(channels: &BTreeMap<String, u32>, channel: &str) -> bool {
    let all = channels
        .values()
        .fold(0_u32, |sum, n| sum.saturating_add(*n));
    let own = channels.get(channel);
    all < MOST_OF_NAMESPACE
        && own.is_none_or(|own| *own < MOST_OF_CHANNEL)
        && (own.is_some() || channels.len() < MOST_CHANNELS)
}

fn row(namespace: &str, letter: &Letter) -> Row {
    Row {
        id: letter.id.clone(),
        namespace: namespace.to_owned(),
        channel: letter.channel.clone(),
        created_at: number(letter.created.0),
        attempts: 0,
        body: letter.body.clone(),
    }
}
