//! `SubmissionPolicy`.

use std::collections::BTreeMap;

use sekisho_crd::{RouteAction, RouteTo as To, SubmissionPolicySpec};
use sekisho_policy::Class;
use sekisho_policy::snapshot::{
    Alias, BareNewlines, Classify, ContentRule, RecipientDomains, RouteTo, SubmissionPolicy,
};

use super::shared::{Context, sender, sorted};

/// The rule, or nothing if it asks for what this version does not do.
pub(crate) fn submission_policy(
    spec: &SubmissionPolicySpec,
    context: &Context,
) -> Option<SubmissionPolicy> {
    let extensions = spec
        .attachments
        .iter()
        .flat_map(|attachments| &attachments.blocked_extensions);
    Some(SubmissionPolicy {
        max_size: Some(spec.message.max_size.as_bytes()),
        max_recipients: Some(spec.message.max_recipients),
        max_visible_recipients: spec.message.max_visible_recipients,
        bare_newlines: match spec.message.bare_newlines {
            sekisho_crd::BareNewlines::Normalize => BareNewlines::Normalize,
            sekisho_crd::BareNewlines::Reject => BareNewlines::Reject,
        },
        envelope_sender: sender(spec.sender.envelope),
        header_sender: sender(spec.sender.header),
        aliases: aliases(spec, context),
        recipient_domains: match spec.recipients.domains {
            sekisho_crd::RecipientDomains::Any => RecipientDomains::Any,
            sekisho_crd::RecipientDomains::MustResolve => RecipientDomains::MustResolve,
        },
        blocked_extensions: sorted(extensions.map(|extension| extension.to_ascii_lowercase())),
        classify: spec.classify.as_ref().map(classify),
        route: route(spec)?,
    })
}

fn aliases(spec: &SubmissionPolicySpec, context: &Context) -> Vec<Alias> {
    let mut aliases: Vec<Alias> = spec
        .sender
        .aliases
        .iter()
        .map(|alias| Alias {
            account: context.account(alias.account.as_str()),
            addresses: sorted(
                alias
                    .addresses
                    .iter()
                    .map(|address| address.as_str().to_owned()),
            ),
        })
        .collect();
    aliases.sort_by(|a, b| a.account.cmp(&b.account));
    aliases
}

/// Scores are whole numbers in YAML and thousandths on the wire, which has room for finer ones.
fn classify(spec: &sekisho_crd::Classify) -> Classify {
    let mut rules: Vec<ContentRule> = spec
        .rules
        .iter()
        .map(|rule| ContentRule {
            name: rule.name.as_str().to_owned(),
            header: rule.header.clone(),
            matches: rule.matches.clone(),
            score: i64::from(rule.score) * 1000,
        })
        .collect();
    rules.sort_by(|a, b| a.name.cmp(&b.name));
    Classify {
        rules,
        suspect_at: i64::from(spec.suspect_at) * 1000,
        spam_at: i64::from(spec.spam_at) * 1000,
    }
}

fn route(spec: &SubmissionPolicySpec) -> Option<BTreeMap<Class, RouteTo>> {
    let route = &spec.route;
    let classes = [
        (Class::Unclassified, &route.unclassified),
        (Class::Clean, &route.clean),
        (Class::Suspect, &route.suspect),
        (Class::Spam, &route.spam),
    ];
    let given = classes
        .into_iter()
        .filter_map(|(class, to)| to.as_ref().map(|to| (class, to)));
    given
        .map(|(class, to)| match to {
            To::Pool(pool) => Some((class, RouteTo::Pool(pool.as_str().to_owned()))),
            To::Action(RouteAction::Reject) => Some((class, RouteTo::Reject)),
            To::Action(RouteAction::Hold) => None,
        })
        .collect()
}
