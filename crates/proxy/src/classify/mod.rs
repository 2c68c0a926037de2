//! Content engines: what each of them says of a message.

mod answer;
mod body;
mod breaker;
mod cache;
mod connect;
mod engine;
mod rspamd;
mod spamd;
#[cfg(test)]
mod tests;
mod trouble;
mod turns;

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use sekisho_policy::opinion::Score;
use sekisho_policy::snapshot::{Engine, EngineProtocol, HostPort};
use sekisho_policy::{Account, DecisionId, Opinion};
use sekisho_runtime::Metrics;
use sekisho_runtime::metrics::{Classifier as Label, ClassifierResult};
use tokio::time::{Instant, timeout_at};

use crate::dns::Dns;
use crate::held::Content;
use cache::{Cache, Key};
use engine::Known;
use trouble::Trouble;

/// A message, and what engines are told of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inquiry<'a> {
    /// Names the message in the engines' logs.
    pub(crate) id: DecisionId,
    pub(crate) account: Option<&'a Account>,
    pub(crate) source: IpAddr,
    pub(crate) helo: Option<&'a str>,
    /// The reverse path as it stands in MAIL, without the angle brackets; empty for the null one.
    pub(crate) sender: &'a str,
    /// The forward paths as they stand in RCPT, without the angle brackets.
    pub(crate) recipients: &'a [String],
    pub(crate) message: &'a Content,
    /// SHA-256 of the message, if it is known; no answer is remembered without it.
    pub(crate) digest: Option<[u8; 32]>,
    /// Our own field, with its CRLF: how the message came here.
    pub(crate) received: &'a str,
    /// What was not said after so long is not waited for, however long an engine may take.
    pub(crate) patience: Duration,
}

/// Asks engines. One for each gateway; it outlives every snapshot.
#[derive(Debug)]
pub(crate) struct Classifier {
    dns: Dns,
    metrics: Metrics,
    first_pause: Duration,
    engines: Mutex<HashMap<Place, Arc<Known>>>,
    cache: Mutex<Cache>,
}

/// Engines at one place are one, whatever marks policies set for them.
type Place = (EngineProtocol, HostPort);

impl Classifier {
    /// One that leaves an engine that fails alone for `first_pause`, and longer if there still is nobody after it.
    pub(crate) fn new(dns: Dns, metrics: Metrics, first_pause: Duration) -> Self {
        Self {
            dns,
            metrics,
            first_pause,
            engines: Mutex::default(),
            cache: Mutex::default(),
        }
    }

    /// These engines are in force from now on. What is known of others is forgotten.
    pub(crate) fn retain(&self, engines: &[Engine]) {
        let mut known = lock(&self.engines);
        known.retain(|place, _| engines.iter().any(|engine| place_of(engine) == *place));
        for engine in engines {
            if let Some(known) = known.get(&place_of(engine)) {
                known.admit_at_once(engine.concurrency);
            }
        }
    }

    /// What each of `engines` says, in their order; all are asked at once. Dropping this hangs up on all of them.
    pub(crate) async fn opinions(&self, engines: &[Engine], inquiry: &Inquiry<'_>) -> Vec<Opinion> {
        let asking = engines
            .iter()
            .map(|engine| self.opinion(engine, inquiry))
            .collect();
        all(asking).await
    }

    async fn opinion(&self, engine: &Engine, inquiry: &Inquiry<'_>) -> Opinion {
        let key = Key::of(engine, inquiry);
        let began = Instant::now();
        if let Some(score) = key.and_then(|key| lock(&self.cache).find(&key, began)) {
            self.metrics
                .classified(label(engine.protocol), ClassifierResult::Cached);
            return Opinion::Scored(score);
        }
        match self.ask(engine, inquiry).await {
            Ok(score) => {
                if let Some(key) = key {
                    lock(&self.cache).keep(key, score.clone(), Instant::now());
                }
                Opinion::Scored(score)
            }
            Err(trouble) => {
                tracing::debug!(engine = %engine.address, message = %inquiry.id, "{trouble}");
                trouble.opinion()
            }
        }
    }

    async fn ask(&self, engine: &Engine, inquiry: &Inquiry<'_>) -> Result<Score, Trouble> {
        let patience = Duration::from_millis(engine.timeout.0).min(inquiry.patience);
        let known = self.known(engine);
        let question = known.admit(inquiry, patience).await?;
        let time = question.time;
        let answer = match engine.protocol {
            EngineProtocol::Rspamd => {
                let asking = rspamd::ask(&self.dns, engine, &known.idle, inquiry, time);
                timeout_at(time.until, asking).await
            }
            EngineProtocol::Spamd => {
                let asking = spamd::ask(&self.dns, engine, inquiry, time);
                timeout_at(time.until, asking).await
            }
        };
        let answer = answer.unwrap_or(Err(Trouble::TIMEOUT));
        question.conclude(&answer);
        answer
    }

    fn known(&self, engine: &Engine) -> Arc<Known> {
        let mut known = lock(&self.engines);
        let place = place_of(engine);
        let new = || Arc::new(Known::new(engine, self.metrics.clone(), self.first_pause));
        known.entry(place).or_insert_with(new).clone()
    }
}

fn place_of(engine: &Engine) -> Place {
    (engine.protocol, engine.address.clone())
}

fn label(protocol: EngineProtocol) -> Label {
    match protocol {
        EngineProtocol::Rspamd => Label::Rspamd,
        EngineProtocol::Spamd => Label::Spamd,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for all of them at once; they are few.
async fn all<F: Future>(asking: Vec<F>) -> Vec<F::Output> {
    let mut asking: Vec<Pin<Box<F>>> = asking.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = asking.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in asking.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(output) = future.as_mut().poll(context)
            {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}
