//! What an account's restrictions do at each stage. They speak in the gateway's name, so that no rule's `match`, shadow or brake
//! is in their way.

use std::borrow::Cow;

use crate::decision::{Class, Reason, Said};
use crate::event::{Event, Stage};
use crate::key::{Scope, Subject, Subjects, Tally};
use crate::plan::{Effect, Part, Plan};
use crate::reply;
use crate::restriction::{Level, Standing};
use crate::route::Route;
use crate::rules::limit::LimitPart;
use crate::ruleset::Ruleset;
use crate::snapshot::{Limit, OnCountersUnavailable, Unit};
use crate::time::{Millis, Timestamp};

/// The part of the gateway that findings name.
const PART: &str = "restriction";
const WINDOW: Millis = Millis::HOUR;

/// Judges the event by what restricts its account. A session that is open already is told at its next step.
pub(crate) fn ask(plan: &mut Plan<'_>) {
    let event = plan.event;
    let Some(account) = event.account.as_deref() else {
        return;
    };
    let Some(standing) = account.standing.as_deref() else {
        return;
    };
    if !matches!(
        event.stage,
        Stage::Mail | Stage::Rcpt { .. } | Stage::Headers(_) | Stage::End(_)
    ) {
        return;
    }
    match standing.worst.level {
        Level::Suspend => refuse(plan, standing),
        Level::Quarantine => quarantine(plan, standing),
        Level::Limit | Level::Watch => note(plan, standing),
    }
    if let (Some(count), Stage::Rcpt { .. }) = (standing.recipients_per_hour, &event.stage)
        && standing.worst.level != Level::Suspend
    {
        limit(plan, account.name.as_str(), count);
    }
}

fn refuse(plan: &mut Plan<'_>, standing: &Standing) {
    let saw = seen(standing, plan.event.at);
    plan.refuse(plan.gateway_view(), PART, reply::restricted(), saw);
}

fn note(plan: &mut Plan<'_>, standing: &Standing) {
    if plan.event.stage == Stage::Mail {
        let saw = seen(standing, plan.event.at);
        let said = Said::Noted(Reason::Restricted);
        plan.say(plan.gateway_view(), PART, said, saw);
    }
}

/// The message is spam from here on. Where spam has no way of its own it has none at all; what a policy says of its route may
/// not be known before there is a recipient.
fn quarantine(plan: &mut Plan<'_>, standing: &Standing) {
    let event = plan.event;
    if event.stage != Stage::Mail && !keeps_spam_apart(plan.rules, event) {
        return refuse(plan, standing);
    }
    let class = event.transaction.as_ref().map(|known| known.class);
    if class.unwrap_or_default() < Class::Spam {
        let said = Said::Worsen(Class::Spam, Reason::Restricted);
        plan.say(plan.gateway_view(), PART, said, seen(standing, event.at));
    }
}

/// Whether spam leaves by a pool that clean mail does not leave by, or not at all.
fn keeps_spam_apart(rules: &Ruleset, event: &Event) -> bool {
    let pool = match rules.route(event, Class::Spam) {
        Route::Reject => return true,
        Route::Upstream => return false,
        Route::Pool { name, .. } => name,
    };
    let leads_there =
        |class| matches!(rules.route(event, class), Route::Pool { name, .. } if name == pool);
    ![Class::Unclassified, Class::Clean]
        .into_iter()
        .any(leads_there)
}

/// So many recipients in an hour, at this gateway.
fn limit(plan: &mut Plan<'_>, account: &str, count: u32) {
    let limit = Limit {
        unit: Unit::Recipients,
        count: u64::from(count),
        per: WINDOW,
    };
    let part = LimitPart {
        limit,
        scope: Scope::new(
            plan.rules.gateway_ref(),
            Tally::RestrictedRecipients,
            WINDOW,
        ),
        path: format!("{PART}[{:?} per {WINDOW}]", limit.unit).into(),
        bound: format!(" of {count} in {WINDOW}").into(),
    };
    plan.ask_limit(
        plan.gateway_view(),
        Part::Account(Box::new(part)),
        &Subjects::of(&[Subject::Account(account)]),
        1,
        Effect::Defer,
        OnCountersUnavailable::LocalOnly,
    );
}

/// `Suspend by AbuseRule/default/stolen for another 5h59m: 120 points`.
fn seen(standing: &Standing, at: Timestamp) -> Cow<'static, str> {
    let worst = &standing.worst;
    let lasts = match worst.until {
        Some(until) => {
            let left = Millis::from_secs(until.since(at).0.div_ceil(1000));
            format!("for another {left}")
        }
        None => "until it is released".to_owned(),
    };
    let mut saw = format!("{} by {} {lasts}", worst.level, worst.origin);
    if !worst.why.is_empty() {
        saw.push_str(": ");
        saw.push_str(&worst.why);
    }
    saw.into()
}
