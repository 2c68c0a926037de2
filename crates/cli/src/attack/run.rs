//! The run itself: who sends what when, and how far it has come.

use std::io::{IsTerminal as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

use super::client::{Answer, Submission};
use super::random::Random;
use super::scenario::Scenario;
use super::texts::{self, Texts};

/// Time between two messages of one honest account.
const HONEST_EVERY: Duration = Duration::from_millis(900);
/// Time between two messages of the attacker, from whichever address.
const ATTACKER_EVERY: Duration = Duration::from_millis(60);
/// The attacker begins when this part of the run is over.
const ATTACKER_AFTER: u32 = 5;
/// Recipients of one spam message.
const SPAM_RECIPIENTS: usize = 12;
/// Sessions at once.
const MOST_SESSIONS: usize = 64;

/// Where and with what it is run.
pub(super) struct Run<'a> {
    pub(super) address: SocketAddr,
    pub(super) scenario: &'a Scenario,
    pub(super) texts: &'a Texts,
    pub(super) lasts: Duration,
}

/// Everything that was sent.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) messages: Vec<Message>,
    /// Sessions that failed without a word of the gateway.
    pub(super) broken: usize,
}

/// One message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) by: Party,
    /// From the attacker's first connection to the answer; nothing for honest ones.
    pub(super) after: Duration,
    pub(super) recipients: usize,
    pub(super) answer: Answer,
}

/// Who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Party {
    Honest,
    /// Honest too, and whoever restricts the account that was stolen restricts its owner.
    Owner,
    Attacker,
}

/// One message that is going to be sent.
struct Planned {
    by: Party,
    at: Duration,
    from: IpAddr,
    login: String,
    password: String,
    recipients: Vec<String>,
    message: Vec<u8>,
}

impl Run<'_> {
    /// Sends everything, each message at its time.
    ///
    /// # Errors
    /// Nothing could be sent at all.
    pub(super) async fn send_all(&self) -> Result<Traffic> {
        let plan = self.plan();
        let (began, attack_at) = (Instant::now(), self.lasts / ATTACKER_AFTER);
        let progress = Arc::new(Progress::default());
        let places = Arc::new(Semaphore::new(MOST_SESSIONS));
        let mut sessions = JoinSet::new();
        for planned in plan {
            let (to, places, progress) = (self.address, places.clone(), progress.clone());
            sessions.spawn(async move {
                sleep_until(began + planned.at).await;
                let _place = places.acquire().await;
                let answer = planned.submission(to).run().await;
                progress.note(planned.by, answer.as_ref().ok());
                let after = began.elapsed().saturating_sub(attack_at);
                (planned.by, after, planned.recipients.len(), answer)
            });
        }
        let mut traffic = Traffic::default();
        let mut broke = None;
        let mut tick = interval(Duration::from_millis(250));
        while !sessions.is_empty() {
            tokio::select! {
                Some(ended) = sessions.join_next() => match ended? {
                    (by, after, recipients, Ok(answer)) => {
                        traffic.messages.push(Message { by, after, recipients, answer });
                    }
                    (.., Err(error)) => {
                        traffic.broken += 1;
                        broke.get_or_insert(error);
                    }
                },
                _ = tick.tick() => progress.show(began.elapsed(), self.lasts),
            }
        }
        progress.clear();
        match broke {
            Some(error) if traffic.messages.is_empty() => {
                Err(error).context("nothing could be sent")
            }
            _ => Ok(traffic),
        }
    }

    fn party(&self, account: &str) -> Party {
        if account == self.scenario.stolen.name {
            Party::Owner
        } else {
            Party::Honest
        }
    }

    fn plan(&self) -> Vec<Planned> {
        let mut random = self.scenario.random.clone();
        let mut plan = Vec::new();
        for sender in &self.scenario.honest {
            let mut at = random_part(&mut random, HONEST_EVERY);
            while at < self.lasts {
                let recipients = recipients(&mut random, 1, "friends.example");
                let text = &self.texts.ham[random.below(self.texts.ham.len())];
                plan.push(Planned {
                    by: self.party(&sender.account.name),
                    at,
                    from: sender.from,
                    login: sender.account.name.clone(),
                    password: sender.account.password.clone(),
                    message: texts::address(text, &sender.account.name, &recipients),
                    recipients,
                });
                at += HONEST_EVERY / 2 + random_part(&mut random, HONEST_EVERY);
            }
        }
        let stolen = &self.scenario.stolen;
        let mut at = self.lasts / ATTACKER_AFTER;
        while at < self.lasts {
            let recipients = recipients(&mut random, SPAM_RECIPIENTS, "victims.example");
            let text = &self.texts.spam[random.below(self.texts.spam.len())];
            plan.push(Planned {
                by: Party::Attacker,
                at,
                from: self.scenario.bots[random.below(self.scenario.bots.len())],
                login: stolen.name.clone(),
                password: stolen.password.clone(),
                message: texts::address(text, &stolen.name, &recipients),
                recipients,
            });
            at += ATTACKER_EVERY;
        }
        plan
    }
}

impl Planned {
    fn submission(&self, to: SocketAddr) -> Submission<'_> {
        Submission {
            to,
            from: self.from,
            login: &self.login,
            password: &self.password,
            recipients: &self.recipients,
            message: &self.message,
        }
    }
}

/// Less than `span`, by chance.
fn random_part(random: &mut Random, span: Duration) -> Duration {
    let millis = usize::try_from(span.as_millis()).unwrap_or(usize::MAX);
    Duration::from_millis(random.below(millis) as u64)
}

fn recipients(random: &mut Random, count: usize, domain: &str) -> Vec<String> {
    (0..count)
        .map(|_| format!("r{:06x}@{domain}", random.next() & 0xff_ffff))
        .collect()
}

/// How far it has come, for a line on a terminal.
#[derive(Debug, Default)]
struct Progress {
    honest: Count,
    attacker: Count,
}

#[derive(Debug, Default)]
struct Count {
    taken: AtomicUsize,
    refused: AtomicUsize,
}

impl Progress {
    fn note(&self, by: Party, answer: Option<&Answer>) {
        let count = match by {
            Party::Honest | Party::Owner => &self.honest,
            Party::Attacker => &self.attacker,
        };
        let one = match answer {
            Some(answer) if answer.code < 400 => &count.taken,
            _ => &count.refused,
        };
        one.fetch_add(1, Ordering::Relaxed);
    }

    #[expect(clippy::print_stderr, reason = "progress is no result")]
    fn show(&self, so_far: Duration, lasts: Duration) {
        const WIDTH: usize = 30;
        if !std::io::stderr().is_terminal() {
            return;
        }
        let part = (so_far.as_secs_f64() / lasts.as_secs_f64().max(0.001)).min(1.0);
        let done = (part * WIDTH as f64) as usize;
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        eprint!(
            "\r\x1b[K[{}{}] {:>2} s  honest: {} sent, {} refused  attacker: {} sent, {} refused",
            "#".repeat(done),
            "-".repeat(WIDTH - done),
            so_far.as_secs(),
            read(&self.honest.taken),
            read(&self.honest.refused),
            read(&self.attacker.taken),
            read(&self.attacker.refused),
        );
        let _ = std::io::stderr().flush();
    }

    #[expect(clippy::print_stderr, reason = "progress is no result")]
    fn clear(&self) {
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
    }
}
