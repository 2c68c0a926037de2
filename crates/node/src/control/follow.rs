//! Follows the control plane: a long poll for the next snapshot, and a report of what became of the last, on one connection,
//! so that the replica that hears the report is the one that holds the poll.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use hyper::{Method, Request, StatusCode};
use sekisho_node::packed::{self, Packing};
use sekisho_policy::Report;
use sekisho_policy::report::Revision;
use sekisho_policy::snapshot::SCHEMA;
use sekisho_runtime::Shutdown;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{Answer, Backoff, Control, Line, Told, Trouble};
use crate::checkpoint::{Checkpoint, Heard, Origin, Taken};

/// The control plane is asked to wait so long for news.
const POLL_SECONDS: u64 = 50;
/// And so much later there must be an answer.
const POLL_WITHIN: Duration = Duration::from_secs(POLL_SECONDS + 15);
const REPORT_WITHIN: Duration = Duration::from_secs(15);
/// A control plane that answers at once and has nothing new is not asked more often than this; and a connection that ended
/// sooner was no good one.
const AT_LEAST: Duration = Duration::from_secs(1);

/// What is known of the control plane's side.
struct Follower<'a> {
    control: Control,
    checkpoint: &'a Checkpoint,
    report: watch::Receiver<Report>,
    told: Told,
    backoff: Backoff,
    /// The digest of what it answered last, taken or not: only another one is news.
    answered: Option<String>,
    /// What it last answered to a report that it did not take.
    unreported: Option<StatusCode>,
}

/// Follows until the process drains. The poll is broken off then: the control plane should count on this proxy no more.
pub(crate) async fn follow(
    control: Control,
    checkpoint: &Checkpoint,
    told: Told,
    backoff: Backoff,
    shutdown: &Shutdown,
) {
    let mut follower = Follower {
        control,
        checkpoint,
        report: checkpoint.report(),
        told,
        backoff,
        answered: None,
        unreported: None,
    };
    tokio::select! {
        () = follower.run() => {}
        () = shutdown.draining() => {}
    }
}

impl Follower<'_> {
    async fn run(&mut self) {
        loop {
            let began = Instant::now();
            let ended = self.stay_connected().await;
            let wanted = match &ended {
                Ok(()) if began.elapsed() >= AT_LEAST => continue,
                Ok(()) => None,
                Err(trouble) => {
                    self.told.trouble(trouble);
                    trouble.retry_after()
                }
            };
            sleep(self.backoff.wait(wanted)).await;
        }
    }

    /// One connection, until the control plane ends it or the report changes while a poll is open.
    async fn stay_connected(&mut self) -> Result<(), Trouble> {
        let mut line = self.control.connect().await?;
        self.send_report(&mut line).await?;
        let mut answers = 0_u32;
        while line.is_open() {
            let began = Instant::now();
            let is_first = answers == 0;
            let request = self.poll(is_first).await;
            let answer = tokio::select! {
                answer = line.ask(request, POLL_WITHIN) => answer,
                // What was asked is not taken back on a connection of HTTP/1.1 but by ending it.
                _ = self.report.changed() => return Ok(()),
            };
            let answer = match answer {
                Err(trouble) if answers > 0 && trouble.is_hang_up() => return Ok(()),
                answer => answer?,
            };
            answers = answers.saturating_add(1);
            let news = self.take(&answer).await?;
            if !news && !is_first && began.elapsed() < AT_LEAST {
                sleep(AT_LEAST).await;
            }
            if self.report.has_changed().unwrap_or(false) && line.is_open() {
                self.send_report(&mut line).await?;
            }
        }
        Ok(())
    }

    /// The first question on a connection wants its answer at once: whether the rules in force are still the newest should not
    /// take a minute to know after an outage.
    async fn poll(&self, is_first: bool) -> Request<Full<Bytes>> {
        let known = match &self.answered {
            Some(digest) => Some(digest.clone()),
            None => self.checkpoint.digest().await,
        };
        let mut request = self
            .control
            .request("/v1/config")
            .header("sekisho-schema", SCHEMA)
            .header(ACCEPT_ENCODING, "zstd");
        if !is_first {
            request = request.header("prefer", format!("wait={POLL_SECONDS}"));
        }
        if let Some(digest) = known {
            request = request.header(IF_NONE_MATCH, format!("\"{digest}\""));
        }
        built(request, Bytes::new())
    }

    /// Whether there was something new.
    async fn take(&mut self, answer: &Answer) -> Result<bool, Trouble> {
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => {
                self.well();
                let in_force = self.checkpoint.digest().await;
                let current = self.answered.is_none() || self.answered == in_force;
                let heard = if current {
                    Heard::Current
                } else {
                    Heard::Another
                };
                self.checkpoint.heard(heard).await;
                return Ok(false);
            }
            _ => return Err(answer.trouble()),
        }
        let packing = packing(answer)?;
        let taken = match packed::read(packing, &answer.body) {
            Ok(envelope) => {
                let digest = envelope.digest.clone();
                let taken = self.checkpoint.offer(envelope, Origin::Control).await;
                // The same rules under a newer generation would be news.
                self.answered = (taken != Taken::Outdated).then_some(digest);
                taken
            }
            Err(error) => {
                let claimed = packed::claimed_revision(packing, &answer.body);
                let why = format!("what the control plane sent is no snapshot: {error}");
                self.checkpoint
                    .refuse(claimed.or_else(|| unknown(answer)), &why)
                    .await;
                // Nothing under that name was seen, so it is asked for again: another replica may have it whole.
                return Err(Trouble::Body(error.to_string()));
            }
        };
        if taken == Taken::Outdated {
            self.told.well();
            self.checkpoint.heard(Heard::Another).await;
            sleep(self.backoff.wait(None)).await;
            return Ok(false);
        }
        self.well();
        let heard = match taken {
            Taken::Refused | Taken::Outdated => Heard::Another,
            Taken::InForce | Taken::Unchanged => Heard::Current,
        };
        self.checkpoint.heard(heard).await;
        Ok(taken == Taken::InForce)
    }

    fn well(&mut self) {
        self.told.well();
        self.backoff.reset();
    }

    async fn send_report(&mut self, line: &mut Line) -> Result<(), Trouble> {
        let report = self.report.borrow_and_update().clone().bounded();
        // Numbers, texts and lists: writing them as JSON cannot fail.
        let json = serde_json::to_vec(&report).unwrap_or_default();
        let request = self
            .control
            .request("/v1/ack")
            .method(Method::POST)
            .header(CONTENT_TYPE, "application/json");
        let answer = line.ask(built(request, json.into()), REPORT_WITHIN).await?;
        let status = answer.status;
        if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status) {
            return Err(answer.trouble());
        }
        // Rules matter more than what is said of them: a report that is not wanted keeps nobody from asking for rules.
        if !status.is_success() && self.unreported != Some(status) {
            tracing::warn!(trouble = %answer.trouble(), "the control plane does not take the report of this proxy");
        }
        self.unreported = (!status.is_success()).then_some(status);
        Ok(())
    }
}

/// The parts are all of our own making, but for names that were checked.
pub(crate) fn built(request: hyper::http::request::Builder, body: Bytes) -> Request<Full<Bytes>> {
    request
        .body(Full::new(body))
        .expect("the parts were checked when the command line was read")
}

fn packing(answer: &Answer) -> Result<Packing, Trouble> {
    match answer
        .headers
        .get(CONTENT_ENCODING)
        .map(|value| value.as_bytes())
    {
        None | Some(b"identity") => Ok(Packing::Plain),
        Some(b"zstd") => Ok(Packing::Zstd),
        Some(_) => Err(Trouble::Body(
            "it is packed in another way than zstd".to_owned(),
        )),
    }
}

/// The digest that the head of an answer names.
fn tag(answer: &Answer) -> Option<String> {
    let tag = answer.headers.get(ETAG)?.to_str().ok()?;
    let digest = tag.trim_start_matches("W/").trim_matches('"');
    let is_digest = digest.len() == 64 && digest.bytes().all(|c| c.is_ascii_hexdigit());
    is_digest.then(|| digest.to_owned())
}

/// What a body is called that does not say so itself.
fn unknown(answer: &Answer) -> Option<Revision> {
    let digest = tag(answer)?;
    Some(Revision {
        generation: 0,
        digest,
    })
}
