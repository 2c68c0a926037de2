//! Scores of a short while ago: a client that is told to try again costs the engine nothing.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use sekisho_policy::opinion::Score;
use sekisho_policy::snapshot::Engine;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::Inquiry;

/// How long a score is kept. Engines learn, so not for long.
const KEPT: Duration = Duration::from_secs(300);
/// How many are kept.
const MOST: usize = 4096;

/// Everything that one engine was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// `None` where the message has no digest, and so cannot be told from others.
    pub(super) fn of(engine: &Engine, inquiry: &Inquiry<'_>) -> Option<Self> {
        let mut hash = Sha256::new();
        // Each part is framed by its length, so that no two lists of parts look alike.
        let mut part = |octets: &[u8]| {
            hash.update((octets.len() as u64).to_be_bytes());
            hash.update(octets);
        };
        part(format!("{:?} {}", engine.protocol, engine.address).as_bytes());
        part(&inquiry.digest?);
        part(
            inquiry
                .account
                .map_or("", |account| account.as_str())
                .as_bytes(),
        );
        part(inquiry.source.to_string().as_bytes());
        part(inquiry.helo.unwrap_or_default().as_bytes());
        part(inquiry.sender.as_bytes());
        let mut recipients: Vec<&str> = inquiry.recipients.iter().map(String::as_str).collect();
        recipients.sort_unstable();
        for recipient in recipients {
            part(recipient.as_bytes());
        }
        Some(Self(hash.finalize().into()))
    }
}

/// Bounded in number and age; the oldest go first.
#[derive(Debug, Default)]
pub(super) struct Cache {
    scores: HashMap<Key, (Instant, Score)>,
    /// In the order in which they came.
    order: VecDeque<(Instant, Key)>,
}

impl Cache {
    pub(super) fn find(&self, key: &Key, now: Instant) -> Option<Score> {
        let (since, score) = self.scores.get(key)?;
        (now < *since + KEPT).then(|| score.clone())
    }

    pub(super) fn keep(&mut self, key: Key, score: Score, now: Instant) {
        while let Some(&(since, oldest)) = self.order.front()
            && (self.order.len() >= MOST || now >= since + KEPT)
        {
            self.order.pop_front();
            // It may have been kept anew since.
            if self.scores.get(&oldest).is_some_and(|(at, _)| *at == since) {
                self.scores.remove(&oldest);
            }
        }
        self.order.push_back((now, key));
        self.scores.insert(key, (now, score));
    }
}

#[cfg(test)]
mod tests {
    use sekisho_policy::snapshot::{EngineProtocol, HostPort};
    use sekisho_policy::{Account, DecisionId, Millis};

    use super::*;
    use crate::held::Content;

    fn key(at: u16) -> Key {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&at.to_be_bytes());
        Key(key)
    }

    fn score(points: i64) -> Score {
        Score {
            points,
            ..Score::default()
        }
    }

    #[test]
    fn scores_grow_old_and_the_oldest_give_way() {
        let start = Instant::now();
        let mut cache = Cache::default();
        for at in 0..5000 {
            cache.keep(key(at), score(at.into()), start);
        }
        assert_eq!((cache.scores.len(), cache.order.len()), (MOST, MOST));
        assert_eq!(cache.find(&key(0), start), None);
        assert_eq!(cache.find(&key(4999), start), Some(score(4999)));
        let late = start + KEPT;
        assert!(
            cache
                .find(&key(4999), late - Duration::from_millis(1))
                .is_some()
        );
        assert_eq!(cache.find(&key(4999), late), None);
        cache.keep(key(1), score(1), late);
        assert_eq!((cache.scores.len(), cache.order.len()), (1, 1));
    }

    #[test]
    fn what_is_kept_anew_lives_on() {
        let start = Instant::now();
        let mut cache = Cache::default();
        cache.keep(key(1), score(1), start);
        cache.keep(key(1), score(2), start + Duration::from_secs(200));
        cache.keep(key(2), score(3), start + KEPT);
        assert_eq!(cache.find(&key(1), start + KEPT), Some(score(2)));
    }

    #[test]
    fn every_thing_that_the_engine_was_told_makes_a_difference_but_not_the_order_of_recipients() {
        let engine = |protocol, port| Engine {
            protocol,
            address: HostPort {
                host: "rspamd".into(),
                port,
            },
            timeout: Millis(2000),
            concurrency: 1,
            suspect_at: 0,
            spam_at: None,
            reject_at: None,
        };
        let rspamd = engine(EngineProtocol::Rspamd, 1);
        let message = Content::default();
        let (ab, ba) = (
            ["a@x".to_owned(), "b@x".to_owned()],
            ["b@x".to_owned(), "a@x".to_owned()],
        );
        let (one, glued) = (["a@x".to_owned()], ["a@xb@x".to_owned()]);
        let (taro, jiro) = (
            Account::canonical("taro@x", None),
            Account::canonical("jiro@x", None),
        );
        let base = Inquiry {
            id: DecisionId::from_random(1),
            account: Some(&taro),
            source: [192, 0, 2, 1].into(),
            helo: Some("pc"),
            sender: "taro@x",
            recipients: &ab,
            message: &message,
            digest: Some([1; 32]),
            received: "",
            patience: Duration::from_secs(1),
        };
        let of = |inquiry: &Inquiry<'_>| Key::of(&rspamd, inquiry).unwrap();
        let same = Inquiry {
            id: DecisionId::from_random(2),
            recipients: &ba,
            ..base
        };
        assert_eq!(of(&same), of(&base));
        let keys = [
            of(&base),
            of(&Inquiry {
                account: None,
                ..base
            }),
            of(&Inquiry {
                account: Some(&jiro),
                ..base
            }),
            of(&Inquiry {
                source: [192, 0, 2, 2].into(),
                ..base
            }),
            of(&Inquiry { helo: None, ..base }),
            of(&Inquiry { sender: "", ..base }),
            of(&Inquiry {
                recipients: &one,
                ..base
            }),
            of(&Inquiry {
                recipients: &glued,
                ..base
            }),
            of(&Inquiry {
                digest: Some([2; 32]),
                ..base
            }),
            Key::of(&engine(EngineProtocol::Spamd, 1), &base).unwrap(),
            Key::of(&engine(EngineProtocol::Rspamd, 2), &base).unwrap(),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(
            Key::of(
                &rspamd,
                &Inquiry {
                    digest: None,
                    ..base
                }
            ),
            None
        );
    }
}
