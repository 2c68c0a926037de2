//! Classification: the scores of the policy's own patterns, and the opinions of content engines. The worst counts.

use crate::content::Patterns;
use crate::decision::{Class, Reason, Said};
use crate::event::{EndFacts, Event, Fact, HeaderFacts};
use crate::opinion::{EngineVerdict, Opinion, Score};
use crate::plan::Plan;
use crate::reply;
use crate::rules::Defect;
use crate::rules::submission::ask_unexamined;
use crate::ruleset::RuleView;
use crate::settings::Filtering;
use crate::snapshot::{self, AppliesTo, Classify, EngineProtocol};

/// The most engines of one policy.
const MAX_ENGINES: usize = 4;

/// How messages are classified.
#[derive(Clone, Debug)]
pub(crate) struct Classification {
    pub(crate) patterns: Patterns,
    pub(crate) engines: Vec<snapshot::Engine>,
    applies_to: AppliesTo,
    suspect_at: i64,
    spam_at: i64,
}

impl Classification {
    pub(crate) fn new(spec: &Classify) -> Result<Self, Defect> {
        let part = "spec.classify.engines";
        if spec.engines.len() > MAX_ENGINES {
            let why = format!("{} engines, {MAX_ENGINES} is the most", spec.engines.len());
            return Err(Defect::new(part, why));
        }
        if spec
            .engines
            .iter()
            .any(|engine| engine.concurrency == 0 || engine.timeout.0 == 0)
        {
            return Err(Defect::new(part, "an engine that may never be asked"));
        }
        Ok(Self {
            patterns: Patterns::new(&spec.rules)?,
            engines: spec.engines.clone(),
            applies_to: spec.applies_to,
            suspect_at: spec.suspect_at,
            spam_at: spec.spam_at,
        })
    }

    /// Whether the messages of the event's account are classified.
    pub(crate) fn is_about(&self, event: &Event) -> bool {
        self.spares(event).is_none()
    }

    /// Why messages of the event's account are not classified, if they are not.
    pub(crate) fn spares(&self, event: &Event) -> Option<&'static str> {
        let own = event.settings.own();
        match (self.applies_to, own.and_then(|own| own.classification)) {
            (AppliesTo::OptedIn, Some(Filtering::Unwanted) | None) => {
                Some("appliesTo is OptedIn, and the account's settings do not ask for it")
            }
            (AppliesTo::NotOptedOut, Some(Filtering::Unwanted)) => {
                Some("appliesTo is NotOptedOut, and the account's settings refuse it")
            }
            _ => None,
        }
    }

    pub(crate) fn asks_text(&self) -> bool {
        self.patterns.ask_text()
    }

    pub(crate) fn asks_end(&self) -> bool {
        self.asks_text() || !self.engines.is_empty()
    }

    /// At the headers: the patterns, unless some of them wait for the text. Then all are weighed together at the end, since
    /// a class that was once worsened stays so.
    pub(crate) fn ask_headers<'a>(
        &self,
        rule: RuleView<'a>,
        plan: &mut Plan<'a>,
        facts: &HeaderFacts,
    ) {
        if !self.asks_text() && !self.patterns.is_empty() {
            self.ask_patterns(rule, plan, &facts.matched);
        }
    }

    /// At the end: patterns over the text, and the engines.
    pub(crate) fn ask_end<'a>(&self, rule: RuleView<'a>, plan: &mut Plan<'a>, facts: &'a EndFacts) {
        if self.asks_text() {
            self.ask_patterns(rule, plan, &facts.matched);
        }
        for (at, engine) in self.engines.iter().enumerate() {
            let opinion = match &facts.opinions {
                Fact::Known(opinions) => opinions.get(at),
                Fact::Unavailable => Some(&Opinion::Out),
                Fact::Unasked => None,
            };
            ask_engine(rule, plan, PARTS[at.min(MAX_ENGINES - 1)], engine, opinion);
        }
    }

    fn ask_patterns<'a>(&self, rule: RuleView<'a>, plan: &mut Plan<'a>, matched: &[Box<str>]) {
        let (class, saw) = self.judge(matched);
        plan.say(rule, "spec.classify", worsen(class), saw);
    }

    /// The class that the patterns found lead to. Each pattern counts once.
    fn judge(&self, matched: &[Box<str>]) -> (Class, String) {
        let hits = || {
            self.patterns
                .iter()
                .filter(|pattern| matched.contains(&pattern.name))
        };
        let score = hits().fold(0i64, |score, pattern| score.saturating_add(pattern.score));
        let names: Vec<&str> = hits().map(|pattern| &*pattern.name).collect();
        let (class, mark) = class_of(score, self.suspect_at, Some(self.spam_at));
        let found = if names.is_empty() {
            "no pattern matched".to_owned()
        } else {
            names.join(", ")
        };
        (
            class,
            format!("score {} of {}: {found}", points(score), points(mark)),
        )
    }
}

/// The field paths of engines.
const PARTS: [&str; MAX_ENGINES] = [
    "spec.classify.engines[0]",
    "spec.classify.engines[1]",
    "spec.classify.engines[2]",
    "spec.classify.engines[3]",
];

fn ask_engine<'a>(
    rule: RuleView<'a>,
    plan: &mut Plan<'a>,
    part: &'static str,
    engine: &snapshot::Engine,
    opinion: Option<&Opinion>,
) {
    let name = match engine.protocol {
        EngineProtocol::Rspamd => "rspamd",
        EngineProtocol::Spamd => "spamd",
    };
    let on_unavailable = plan.rules.gateway().on_unavailable;
    match opinion {
        Some(Opinion::Scored(score)) => ask_score(rule, plan, part, engine, name, score),
        Some(Opinion::Failed(fault)) => {
            let saw = format!("{name} {fault}");
            ask_unexamined(
                rule,
                plan,
                "spec.onUnavailable.message",
                on_unavailable.message,
                saw,
            );
        }
        Some(Opinion::Out) => {
            let saw = format!("{name} is out");
            ask_unexamined(
                rule,
                plan,
                "spec.onUnavailable.classifier",
                on_unavailable.classifier,
                saw,
            );
        }
        None => plan.say(rule, part, Said::Unjudged, format!("{name} was not asked")),
    }
}

fn ask_score<'a>(
    rule: RuleView<'a>,
    plan: &mut Plan<'a>,
    part: &'static str,
    engine: &snapshot::Engine,
    name: &str,
    score: &Score,
) {
    let (mut class, mut mark) = class_of(score.points, engine.suspect_at, engine.spam_at);
    let mut own = "";
    if score.verdict == EngineVerdict::Reject {
        class = Class::Spam;
        own = ", which it would reject";
    }
    let refused = engine
        .reject_at
        .filter(|reject_at| score.points >= *reject_at);
    mark = refused.unwrap_or(mark);
    let found: Vec<String> = score
        .symbols
        .iter()
        .map(|symbol| match symbol.points {
            Some(part) => format!("{} {}", symbol.name, points(part)),
            None => symbol.name.to_string(),
        })
        .collect();
    let saw = format!(
        "{name} {} of {}{own}: {}",
        points(score.points),
        points(mark),
        if found.is_empty() {
            "nothing found".to_owned()
        } else {
            found.join(", ")
        }
    );
    if refused.is_some() {
        plan.refuse(rule, part, reply::content_refused(), saw);
    } else {
        plan.say(rule, part, worsen(class), saw);
    }
}

fn worsen(class: Class) -> Said {
    match class {
        Class::Unclassified | Class::Clean => Said::Pass,
        Class::Suspect | Class::Spam => Said::Worsen(class, Reason::ContentMatched),
    }
}

/// The class of a score, and the mark that it reached or missed.
fn class_of(score: i64, suspect_at: i64, spam_at: Option<i64>) -> (Class, i64) {
    match spam_at {
        Some(spam_at) if score >= spam_at => (Class::Spam, spam_at),
        _ if score >= suspect_at => (Class::Suspect, suspect_at),
        _ => (Class::Clean, suspect_at),
    }
}

/// Thousandths as a decimal number.
fn points(thousandths: i64) -> String {
    let sign = if thousandths < 0 { "-" } else { "" };
    let (whole, rest) = (
        thousandths.unsigned_abs() / 1000,
        thousandths.unsigned_abs() % 1000,
    );
    let text = format!("{sign}{whole}.{rest:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
