//! `targetRefs` that name no gateway.

use sekisho_crd::{
    AbuseRuleSpec, CountryRuleSpec, LoginGuardSpec, MailGatewaySpec, RateLimitSpec,
    SubmissionPolicySpec,
};

use super::names;
use crate::diagnostic::{Code, Diagnostic};
use crate::objects::{ObjectKey, Objects};
use crate::rules::RuleKind;
use crate::suggest::did_you_mean;
use crate::view::valid;

pub(super) fn check(objects: &Objects, out: &mut Vec<Diagnostic>) {
    of_kind::<SubmissionPolicySpec>(objects, out);
    of_kind::<CountryRuleSpec>(objects, out);
    of_kind::<RateLimitSpec>(objects, out);
    of_kind::<LoginGuardSpec>(objects, out);
    of_kind::<AbuseRuleSpec>(objects, out);
}

fn of_kind<S: RuleKind>(objects: &Objects, out: &mut Vec<Diagnostic>) {
    for view in valid::<S>(objects) {
        let namespace = &view.key.namespace;
        for (index, target) in view.spec.targets().iter().enumerate() {
            let name = target.name.as_str();
            if objects
                .gateways
                .contains_key(&ObjectKey::new(namespace, name))
            {
                continue;
            }
            let known = names::<MailGatewaySpec>(objects, namespace);
            let remedy = did_you_mean(name, known.clone(), || {
                match known.collect::<Vec<_>>().as_slice() {
                    [] => format!("the namespace {namespace} has no gateway"),
                    names => format!(
                        "the gateways of the namespace {namespace} are {}",
                        names.join(", ")
                    ),
                }
            });
            let message = format!("there is no MailGateway {name} in the namespace {namespace}");
            out.push(
                view.error(
                    Code::TargetNotFound,
                    &format!("targetRefs[{index}].name"),
                    message,
                )
                .mend(remedy),
            );
        }
    }
}
