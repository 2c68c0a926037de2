//! `SubmissionPolicy`.

use std::collections::BTreeMap;

use sekisho_crd::{EngineType, RouteAction, RouteTo as To, SubmissionPolicySpec};
use sekisho_policy::Class;
use sekisho_policy::snapshot::{
    Alias, BareNewlines, Classify, ContentRule, Engine, EngineProtocol, MissingHeaders,
    RecipientDomains, RouteTo, SubmissionPolicy,
};

use super::shared::{Context, applies_to, host_port, millis, sender, sorted};

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
        missing_headers: match spec.message.missing_headers {
            sekisho_crd::MissingHeaders::Keep => MissingHeaders::Keep,
            sekisho_crd::MissingHeaders::Add => MissingHeaders::Add,
        },
        envelope_sender: sender(spec.sender.envelope),
        header_sender: sender(spec.sender.header),
        aliases: aliases(spec, context),
        recipient_domains: match spec.recipients.domains {
            sekisho_crd::RecipientDomains::Any => RecipientDomains::Any,
            sekisho_crd::RecipientDomains::MustResolve => RecipientDomains::MustResolve,
        },
        blocked_extensions: sorted(extensions.map(|extension| extension.to_ascii_lowercase())),
        classify: match &spec.classify {
            Some(spec) => Some(classify(spec)?),
            None => None,
        },
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

fn classify(spec: &sekisho_crd::Classify) -> Option<Classify> {
    let mut rules: Vec<ContentRule> = spec
        .rules
        .iter()
        .map(|rule| ContentRule {
            name: rule.name.as_str().to_owned(),
            header: rule.header.clone(),
            matches: rule.matches.clone(),
            score: thousandths(rule.score),
        })
        .collect();
    rules.sort_by(|a, b| a.name.cmp(&b.name));
    Some(Classify {
        applies_to: applies_to(spec.applies_to),
        engines: spec.engines.iter().map(engine).collect::<Option<_>>()?,
        rules,
        suspect_at: thousandths(spec.suspect_at),
        spam_at: thousandths(spec.spam_at),
    })
}

fn engine(spec: &sekisho_crd::Engine) -> Option<Engine> {
    Some(Engine {
        protocol: match spec.type_ {
            EngineType::Rspamd => EngineProtocol::Rspamd,
            EngineType::Spamd => EngineProtocol::Spamd,
        },
        address: host_port(&spec.address()?),
        timeout: millis(&spec.timeout),
        concurrency: spec.concurrency,
        suspect_at: thousandths(spec.suspect_at),
        spam_at: spec.spam_at.map(thousandths),
        reject_at: spec.reject_at.map(thousandths),
    })
}

/// Scores are whole numbers in YAML and thousandths on the wire, as engines give finer ones.
fn thousandths(score: i32) -> i64 {
    i64::from(score) * 1000
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
