//! `CountryRule`.

use sekisho_crd::{ClassAtLeast, CountryRuleSpec, FromCountry, LoginFrom as Login};
use sekisho_policy::Class;
use sekisho_policy::snapshot::{CountryRule, Exempt, From, LoginFrom, SenderCheck};

use super::shared::{Context, applies_to, countries, exempt, limits, sender};

/// The rule, or nothing if it asks for what this version does not do.
pub(crate) fn country_rule(spec: &CountryRuleSpec, context: &Context) -> Option<CountryRule> {
    let then = &spec.then;
    Some(CountryRule {
        from: match &spec.from {
            FromCountry::Abroad {} => From::Except(context.home.clone()),
            FromCountry::Countries(list) => From::Countries(countries(list)),
            FromCountry::NotCountries(list) => From::Except(countries(list)),
            FromCountry::Unknown {} => From::Unknown,
        },
        exempt: spec
            .exempt
            .as_ref()
            .map_or_else(Exempt::default, |spec| exempt(spec, context)),
        applies_to: applies_to(spec.applies_to),
        login: match then.login {
            Login::Allow => LoginFrom::Allow,
            Login::Refuse => LoginFrom::Refuse,
        },
        sender: then.sender.map_or(SenderCheck::Any, sender),
        recipients_per_message: then.recipients_per_message,
        limits: limits(&then.limits)?,
        class_at_least: then.class_at_least.map(|class| match class {
            ClassAtLeast::Suspect => Class::Suspect,
            ClassAtLeast::Spam => Class::Spam,
        }),
    })
}
