//! What the schema has and this version does not do yet. It is refused, never ignored.

use sekisho_crd::{
    AbuseRuleSpec, CountryRuleSpec, LadderStep, Limit, LimitUnit, RateLimitSpec, RouteAction,
    RouteTo, SubmissionPolicySpec,
};

use crate::diagnostic::{Code, Diagnostic};
use crate::objects::{Messenger, Objects, Spec};
use crate::view::{View, valid};

/// Everything in valid objects that this version does not do.
pub(crate) fn check(objects: &Objects, out: &mut Vec<Diagnostic>) {
    valid::<SubmissionPolicySpec>(objects).for_each(|view| policy(view, out));
    valid::<CountryRuleSpec>(objects).for_each(|view| country_rule(view, out));
    valid::<RateLimitSpec>(objects).for_each(|view| rate_limit(view, out));
    if objects.messenger == Messenger::NoStore {
        valid::<AbuseRuleSpec>(objects).for_each(|view| untold(view, out));
    }
}

fn refuse<S: Spec>(
    view: View<'_, S>,
    field: &str,
    what: &str,
    instead: &str,
    out: &mut Vec<Diagnostic>,
) {
    let message = format!("{what} is not available in this version");
    out.push(view.error(Code::NotAvailable, field, message).mend(instead));
}

fn policy(view: View<'_, SubmissionPolicySpec>, out: &mut Vec<Diagnostic>) {
    let route = &view.spec.route;
    let routes = [
        ("unclassified", &route.unclassified),
        ("clean", &route.clean),
        ("suspect", &route.suspect),
        ("spam", &route.spam),
    ];
    for (class, to) in routes {
        if *to == Some(RouteTo::Action(RouteAction::Hold)) {
            refuse(
                view,
                &format!("route.{class}.action"),
                "the action Hold",
                "use Reject or a pool",
                out,
            );
        }
    }
}

fn country_rule(view: View<'_, CountryRuleSpec>, out: &mut Vec<Diagnostic>) {
    units(view, "then.limits", &view.spec.then.limits, out);
}

fn rate_limit(view: View<'_, RateLimitSpec>, out: &mut Vec<Diagnostic>) {
    units(view, "limits", &view.spec.limits, out);
    for (index, each) in view.spec.overrides.iter().enumerate() {
        units(
            view,
            &format!("overrides[{index}].limits"),
            &each.limits,
            out,
        );
    }
}

/// Messages wait in the store, and without one nobody is told. The rule restricts all the same.
fn untold(view: View<'_, AbuseRuleSpec>, out: &mut Vec<Diagnostic>) {
    for (at, _) in named(view.spec) {
        let message = "nobody is told: messages wait in the store of account states, and this control plane has none";
        let field = format!("ladder[{at}].notify");
        let diagnostic = view.warning(Code::NotAvailable, &field, message);
        out.push(
            diagnostic.mend("give it one: store.type Sqlite or accounts.databaseSecret of the chart (--store, --accounts-database); until then follow the metric sekisho_restrictions of the proxies"),
        );
    }
}

/// The steps that name a channel.
fn named(spec: &AbuseRuleSpec) -> impl Iterator<Item = (usize, &LadderStep)> {
    let steps = spec.ladder.iter().enumerate();
    steps.filter(|(_, step)| !step.notify.is_empty())
}

fn units<S: Spec>(view: View<'_, S>, list: &str, limits: &[Limit], out: &mut Vec<Diagnostic>) {
    for (index, limit) in limits.iter().enumerate() {
        if matches!(
            limit.unit,
            LimitUnit::UnknownRecipients | LimitUnit::FirstTimeRecipients
        ) {
            let what = format!("the unit {}", limit.unit.as_str());
            let instead = "use Messages, Recipients, Bytes, Connections or Attempts";
            refuse(view, &format!("{list}[{index}].unit"), &what, instead, out);
        }
    }
}
