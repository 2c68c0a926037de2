//! Checks that need more than one object, or more than a schema can say. Each is a small function over all objects.

mod aliases;
mod applies;
mod countries;
mod engines;
mod expressions;
mod headers;
mod limits;
mod patterns;
mod pools;
mod replicas;
mod secrets;
mod targets;

use crate::diagnostic::{Code, Diagnostic};
use crate::objects::{ObjectKey, Objects, Spec};
use crate::rules::RuleKind;
use crate::unavailable;
use crate::view::{View, valid};

/// Everything that is wrong with valid objects, whatever the gateway.
pub(crate) fn all(objects: &Objects) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    for check in [
        unavailable::check,
        expressions::check,
        headers::check,
        patterns::check,
        engines::check,
        targets::check,
        pools::check,
        aliases::check,
        limits::check,
        applies::check,
        secrets::check,
        countries::check,
        replicas::check,
    ] {
        check(objects, &mut out);
    }
    out
}

/// Whether an error leaves its object without effect. The others speak of something beside it that is missing.
pub(crate) fn rejects(diagnostic: &Diagnostic) -> bool {
    let beside = matches!(
        diagnostic.code,
        Code::TargetNotFound | Code::SecretNotFound | Code::SecretIncomplete | Code::Conflicted
    );
    diagnostic.is_error() && !beside
}

/// Whether a rule attaches to a gateway.
pub(crate) fn is_attached<S: RuleKind>(key: &ObjectKey, spec: &S, gateway: &ObjectKey) -> bool {
    key.namespace == gateway.namespace
        && spec
            .targets()
            .iter()
            .any(|target| target.name.as_str() == gateway.name)
}

/// The valid rules of a kind that attach to a gateway.
fn attached<'a, S: RuleKind>(
    objects: &'a Objects,
    gateway: &'a ObjectKey,
) -> impl Iterator<Item = View<'a, S>> {
    valid::<S>(objects).filter(move |view| is_attached(view.key, view.spec, gateway))
}

/// The names of the objects of a kind in a namespace.
fn names<'a, S: Spec>(
    objects: &'a Objects,
    namespace: &'a str,
) -> impl Iterator<Item = &'a str> + Clone {
    S::table(objects)
        .keys()
        .filter(move |key| key.namespace == namespace)
        .map(|key| key.name.as_str())
}
