//! A past for a network that a case calls known good: logins of earlier days, counted as the engine counts them.

use std::sync::Arc;

use anyhow::{Result, bail};
use sekisho_counters::Counters;
use sekisho_policy::event::{
    AccountFacts, BeforeGreeting, Checked, ConfigState, Event, HeloForm, Network, SessionFacts,
    Settings, Source, Stage, Tls,
};
use sekisho_policy::op::{Op, Outcome, Results};
use sekisho_policy::{Account, DecisionId, Millis, Ruleset, Timestamp};

/// No guard asks for more days.
const MOST_DAYS: u64 = 366;

/// Counts good logins on as many days before `at` as the rules ask for.
///
/// # Errors
/// The counters do not take them, or no number of days is enough.
pub(super) async fn make_known(
    rules: &Ruleset,
    counters: &Counters,
    account: &Account,
    source: &Source,
    at: Timestamp,
) -> Result<()> {
    for day in 1..=MOST_DAYS {
        let event = login(
            account,
            source,
            Timestamp(at.0.saturating_sub(day * Millis::DAY.0)),
        );
        let plan = rules.plan(&event);
        let mut answers = Vec::with_capacity(plan.ops().len());
        for op in plan.ops() {
            // The members of sets are the days. What else a login counts did not happen again.
            answers.push(match op {
                Op::Distinct { .. } => {
                    let (Results(outcomes), _) =
                        counters.apply(at, std::slice::from_ref(op)).await?;
                    outcomes.first().cloned().unwrap_or(Outcome::Done)
                }
                other => neutral(other),
            });
        }
        if plan.decide(Ok(&Results(answers))).network == Network::KnownGood {
            return Ok(());
        }
    }
    bail!("no network becomes known good by these rules within {MOST_DAYS} days")
}

fn login(account: &Account, source: &Source, at: Timestamp) -> Event {
    let name = account.clone();
    Event {
        id: DecisionId::from_random(0),
        at,
        session: Arc::new(SessionFacts {
            listener: "".into(),
            source: source.clone(),
            tls: Tls::On,
            helo: None,
            helo_form: HeloForm::default(),
            before_greeting: BeforeGreeting::default(),
        }),
        account: Some(Arc::new(AccountFacts::new(name, Network::New))),
        settings: Settings::None,
        checked: Checked::Here,
        transaction: None,
        stage: Stage::LoginSucceeded,
        tripped: Vec::new(),
        config: ConfigState::Current,
    }
}

/// What an operation answers of which nothing is known.
fn neutral(op: &Op) -> Outcome {
    match op {
        Op::Gate { .. } => Outcome::Passed { total: 0 },
        Op::Meter { .. }
        | Op::Read { .. }
        | Op::Distinct { .. }
        | Op::Admit { .. }
        | Op::Count { .. }
        | Op::Correspond { .. } => Outcome::Total(0),
        Op::Award { .. } | Op::Points { .. } => Outcome::Awards(Box::default()),
        Op::Lock { .. } | Op::Locked { .. } => Outcome::Until(None),
        Op::Forgive { .. }
        | Op::Disown { .. }
        | Op::Heed { .. }
        | Op::Forget { .. }
        | Op::Clear { .. } => Outcome::Done,
    }
}
