//! Rules, and parts of rules, that can never apply.

use sekisho_crd::{
    AbuseRuleSpec, AppliesTo, CountryRuleSpec, Enforcement, Exempt, FromCountry, KeyPart,
    LimitUnit, LoginFrom, LoginGuardSpec, MailGatewaySpec, Match, RateLimitSpec,
    SubmissionPolicySpec,
};
use sekisho_policy::expr::{Expr, Field};

use super::countries;
use crate::diagnostic::{Code, Diagnostic};
use crate::index::Index;
use crate::objects::{Objects, Spec, name_of};
use crate::rules::RuleKind;
use crate::suggest::did_you_mean;
use crate::view::{View, valid};
use crate::when;

pub(super) fn check(index: &Index<'_>, out: &mut Vec<Diagnostic>) {
    let objects = index.objects;
    off::<SubmissionPolicySpec>(objects, out);
    off::<CountryRuleSpec>(objects, out);
    off::<RateLimitSpec>(objects, out);
    off::<LoginGuardSpec>(objects, out);
    off::<AbuseRuleSpec>(objects, out);
    valid::<RateLimitSpec>(objects).for_each(|view| rate_limit(view, out));
    valid::<CountryRuleSpec>(objects).for_each(|view| {
        everybody_exempt(view, out);
        connections_of_nobody(view, out);
    });
    for gateway in valid::<MailGatewaySpec>(objects) {
        for &view in index.attached::<SubmissionPolicySpec>(gateway.key) {
            matching(view, "match", view.spec.matching.as_ref(), gateway, out);
        }
        for &view in index.attached::<RateLimitSpec>(gateway.key) {
            matching(view, "match", view.spec.matching.as_ref(), gateway, out);
            for (index, each) in view.spec.overrides.iter().enumerate() {
                matching(
                    view,
                    &format!("overrides[{index}].match"),
                    Some(&each.matching),
                    gateway,
                    out,
                );
            }
            asn_key(view, gateway, out);
        }
        for &view in index.attached::<AbuseRuleSpec>(gateway.key) {
            matching(view, "match", view.spec.matching.as_ref(), gateway, out);
        }
        for &view in index.attached::<CountryRuleSpec>(gateway.key) {
            country_rule(view, gateway, out);
        }
    }
}

fn off<S: RuleKind>(objects: &Objects, out: &mut Vec<Diagnostic>) {
    for view in valid::<S>(objects).filter(|view| view.spec.enforcement() == Enforcement::Off) {
        let diagnostic = view.warning(
            Code::NeverApplies,
            "enforcement",
            "Off: nothing of this object has an effect",
        );
        out.push(diagnostic.mend("Shadow records what it would do"));
    }
}

/// A limit of connections knows no account, and an override that repeats an earlier match is never reached.
fn rate_limit(view: View<'_, RateLimitSpec>, out: &mut Vec<Diagnostic>) {
    let spec = view.spec;
    let by_account = spec
        .matching
        .as_ref()
        .is_some_and(|matching| !matching.accounts.is_empty());
    if by_account
        && spec
            .limits
            .iter()
            .all(|limit| limit.unit == LimitUnit::Connections)
    {
        let message =
            "no account is known when a connection is made, so that these limits never apply";
        out.push(
            view.warning(Code::NeverApplies, "match.accounts", message)
                .mend("use networks or listeners"),
        );
    }
    for (index, each) in spec.overrides.iter().enumerate() {
        if let Some(earlier) = spec.overrides[..index]
            .iter()
            .find(|earlier| earlier.matching == each.matching)
        {
            let message = format!(
                "the override {} has the same match and comes first",
                earlier.name
            );
            let diagnostic = view.warning(
                Code::NeverApplies,
                &format!("overrides[{index}].match"),
                message,
            );
            out.push(diagnostic.mend("join the two"));
        }
    }
}

/// Whose a connection is, and so what its account has set, nobody knows when it is made.
fn connections_of_nobody(view: View<'_, CountryRuleSpec>, out: &mut Vec<Diagnostic>) {
    if view.spec.applies_to == AppliesTo::Everyone {
        return;
    }
    for (index, limit) in view.spec.then.limits.iter().enumerate() {
        if limit.unit == LimitUnit::Connections {
            let field = format!("then.limits[{index}].unit");
            let message = "no account, and so no setting of one, is known when a connection is made, so that this limit never applies";
            let diagnostic = view.warning(Code::NeverApplies, &field, message);
            out.push(diagnostic.mend("put it into a RateLimit, or use appliesTo: Everyone"));
        }
    }
}

/// A match that holds for nothing that comes through `gateway`.
fn matching<S: Spec>(
    view: View<'_, S>,
    field: &str,
    spec: Option<&Match>,
    gateway: View<'_, MailGatewaySpec>,
    out: &mut Vec<Diagnostic>,
) {
    let Some(spec) = spec else { return };
    let known = || {
        gateway
            .spec
            .listeners
            .iter()
            .map(|listener| listener.name.as_str())
    };
    for (index, listener) in spec.listeners.iter().enumerate() {
        if known().any(|name| name == listener.as_str()) {
            continue;
        }
        let list = || format!("it has {}", known().collect::<Vec<_>>().join(", "));
        let remedy = did_you_mean(listener.as_str(), known(), list);
        let message = format!(
            "{} has no listener {listener}",
            name_of::<MailGatewaySpec>(gateway.key)
        );
        out.push(
            view.warning(
                Code::NeverApplies,
                &format!("{field}.listeners[{index}]"),
                message,
            )
            .mend(remedy),
        );
    }
    let none_assigned = !spec.countries.is_empty()
        && !spec
            .countries
            .iter()
            .any(|c| countries::is_assigned(c.as_str()));
    if none_assigned {
        out.push(view.warning(
            Code::NeverApplies,
            &format!("{field}.countries"),
            "nobody comes from any of these",
        ));
    }
    let Some(expr) = spec.when.as_deref().and_then(|text| when::parse(text).ok()) else {
        return;
    };
    if expr == Expr::Constant(false) {
        out.push(view.warning(
            Code::NeverApplies,
            &format!("{field}.when"),
            "is never true",
        ));
    }
    if mentions_asn(&expr) && !has_asns(gateway) {
        let message = format!("source.asn is never known: {}", no_database(gateway));
        out.push(
            view.warning(Code::NeverApplies, &format!("{field}.when"), message)
                .mend(NAME_DATABASE),
        );
    }
}

pub(super) const NAME_DATABASE: &str = "name a database in its spec.geo.asnDatabase";

pub(super) fn has_asns(gateway: View<'_, MailGatewaySpec>) -> bool {
    gateway
        .spec
        .geo
        .as_ref()
        .is_some_and(|geo| geo.asn_database.is_some())
}

pub(super) fn no_database(gateway: View<'_, MailGatewaySpec>) -> String {
    format!(
        "{} has no ASN database",
        name_of::<MailGatewaySpec>(gateway.key)
    )
}

fn mentions_asn(expr: &Expr) -> bool {
    match expr {
        Expr::All(parts) | Expr::Any(parts) => parts.iter().any(mentions_asn),
        Expr::Not(inner) => mentions_asn(inner),
        Expr::Compare(field, ..) | Expr::In(field, _) | Expr::Text(field, ..) => {
            *field == Field::SourceAsn
        }
        Expr::Constant(_) => false,
    }
}

fn asn_key(
    view: View<'_, RateLimitSpec>,
    gateway: View<'_, MailGatewaySpec>,
    out: &mut Vec<Diagnostic>,
) {
    let at = view.spec.key.iter().position(|part| *part == KeyPart::Asn);
    if let Some(index) = at.filter(|_| !has_asns(gateway)) {
        let message = format!("all sources share one tally: {}", no_database(gateway));
        out.push(
            view.warning(Code::NeverApplies, &format!("key[{index}]"), message)
                .mend(NAME_DATABASE),
        );
    }
}

fn country_rule(
    view: View<'_, CountryRuleSpec>,
    gateway: View<'_, MailGatewaySpec>,
    out: &mut Vec<Diagnostic>,
) {
    if view.spec.from == (FromCountry::Abroad {}) && gateway.spec.home.is_empty() {
        let message = format!(
            "nothing is abroad, because {} has no home",
            name_of::<MailGatewaySpec>(gateway.key)
        );
        let diagnostic = view.error(Code::NeverApplies, "from.abroad", message);
        out.push(diagnostic.mend("name the home countries in its spec.home, like [JP]"));
    }
    if let FromCountry::Countries(list) = &view.spec.from
        && !list
            .iter()
            .any(|code| countries::is_assigned(code.as_str()))
    {
        out.push(view.warning(
            Code::NeverApplies,
            "from.countries",
            "nobody comes from any of these",
        ));
    }
    let exempts_asns = view
        .spec
        .exempt
        .as_ref()
        .is_some_and(|exempt| !exempt.asns.is_empty());
    if exempts_asns && !has_asns(gateway) {
        let message = format!("exempts nobody: {}", no_database(gateway));
        out.push(
            view.warning(Code::NeverApplies, "exempt.asns", message)
                .mend(NAME_DATABASE),
        );
    }
}

/// An exemption of everybody leaves limits alone to have an effect.
fn everybody_exempt(view: View<'_, CountryRuleSpec>, out: &mut Vec<Diagnostic>) {
    let then = &view.spec.then;
    let exempt = view.spec.exempt.as_ref();
    let whole = |exempt: &Exempt| {
        let open = |all: &str| {
            exempt
                .networks
                .iter()
                .any(|network| network.to_string() == all)
        };
        exempt.accounts.iter().any(|glob| glob.as_str() == "*")
            || (open("0.0.0.0/0") && open("::/0"))
    };
    if then.limits.is_empty() && exempt.is_some_and(whole) {
        let what = if then.login == LoginFrom::Refuse {
            "refuses nobody"
        } else {
            "changes nothing"
        };
        out.push(view.warning(
            Code::NeverApplies,
            "exempt",
            format!("exempts everybody, so that the rule {what}"),
        ));
    }
}
