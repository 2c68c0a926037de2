//! What the control plane says of accounts, or has this proxy do, is heard of by a long poll, in parts where it is much. Each subject has
//! a connection of its own, so that the first hearing of a million of one holds up nothing of another.

use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use sekisho_policy::states::{Part, Rest};
use tokio::time::{Instant, sleep};

use super::follow::built;
use super::{Backoff, Control, Line, Told, Trouble};

/// The control plane is asked to wait so long for news.
const POLL_SECONDS: u64 = 50;
/// And so much later there must be an answer.
const POLL_WITHIN: Duration = Duration::from_secs(POLL_SECONDS + 15);
/// A control plane that answers at once and has nothing new is not asked more often than this.
const AT_LEAST: Duration = Duration::from_millis(100);
/// One that keeps nothing of the kind is asked again after this.
pub(super) const WITHOUT_STORE: Duration = Duration::from_secs(60);

/// What is heard of.
pub(super) trait Subject {
    /// Where it is asked for.
    const PATH: &'static str;
    /// The whole is asked for so often, so that whatever was missed does not stay so; `None` where there is no whole.
    const WHOLE_EVERY: Option<Duration>;
    /// For the first time up to so much later.
    const WHOLE_SPREAD: Duration = Duration::ZERO;

    /// What is asked beside the gateway's name, such as `&since=1`.
    fn query(&self) -> String;

    fn ask_for_whole(&self) {}

    /// Takes over an answer, which came on that connection, and says how much it is.
    async fn take(&self, body: &[u8], line: &mut Line) -> Result<Amount, Trouble>;

    /// Says how things are after an answer.
    fn report(&self, told: &mut Told);

    /// Says how they are where the control plane keeps nothing of the kind.
    fn report_without_store(&self, told: &mut Told, trouble: &Trouble);
}

/// What is asked by who knows of a revision.
pub(super) fn since((revision, part): (u64, Part)) -> String {
    let part = match part {
        Part::First => "",
        Part::Next => "&part=next",
    };
    format!("&since={revision}{part}")
}

/// How much an answer says.
pub(super) struct Amount {
    pub(super) changes: usize,
    pub(super) rest: Rest,
}

/// Hears what there is, until it is dropped.
pub(super) async fn hear_of(
    control: &Control,
    subject: &impl Subject,
    told: &mut Told,
    backoff: &mut Backoff,
) {
    let mut whole = Whole::of(subject, backoff);
    loop {
        let ended = hear_on_one_connection(control, subject, told, backoff, &mut whole);
        let Err(trouble) = ended.await else { continue };
        if keeps_none(&trouble) {
            subject.report_without_store(told, &trouble);
            sleep(WITHOUT_STORE).await;
            continue;
        }
        told.trouble(&trouble);
        sleep(backoff.wait(trouble.retry_after())).await;
    }
}

/// When the whole is due, if there is one.
struct Whole(Option<Instant>);

impl Whole {
    fn of<S: Subject>(_: &S, backoff: &Backoff) -> Self {
        let first = |every| Instant::now() + every + backoff.part_of(S::WHOLE_SPREAD);
        Self(S::WHOLE_EVERY.map(first))
    }

    fn ask_if_due<S: Subject>(&mut self, subject: &S, now: Instant) {
        if self.0.is_some_and(|due| now >= due) {
            subject.ask_for_whole();
            self.0 = S::WHOLE_EVERY.map(|every| now + every);
        }
    }
}

async fn hear_on_one_connection(
    control: &Control,
    subject: &impl Subject,
    told: &mut Told,
    backoff: &mut Backoff,
    whole: &mut Whole,
) -> Result<(), Trouble> {
    let mut line = control.connect().await?;
    let mut answers = 0_u32;
    while line.is_open() {
        let began = Instant::now();
        whole.ask_if_due(subject, began);
        let asked = match line.ask(question(control, subject), POLL_WITHIN).await {
            Err(trouble) if answers > 0 && trouble.is_hang_up() => return Ok(()),
            asked => asked?,
        };
        answers = answers.saturating_add(1);
        if asked.status != StatusCode::OK {
            return Err(asked.trouble());
        }
        let amount = subject.take(&asked.body, &mut line).await?;
        subject.report(told);
        backoff.reset();
        let is_news = amount.changes > 0 || amount.rest == Rest::More;
        if !is_news && began.elapsed() < AT_LEAST {
            sleep(AT_LEAST).await;
        }
    }
    Ok(())
}

fn question<S: Subject>(
    control: &Control,
    subject: &S,
) -> hyper::Request<http_body_util::Full<Bytes>> {
    let request = control
        .request_with(S::PATH, &subject.query())
        .header("prefer", format!("wait={POLL_SECONDS}"));
    built(request, Bytes::new())
}

/// Whether the control plane keeps nothing of the kind, or is too old to know of it.
pub(super) fn keeps_none(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Answered { status, .. } if *status == StatusCode::NOT_FOUND)
}
