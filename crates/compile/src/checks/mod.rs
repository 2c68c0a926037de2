//! Checks that need more than one object, or more than a schema can say. Each is a small function over all objects.

mod abuse;
mod aliases;
mod applies;
mod costs;
mod countries;
mod engines;
mod expressions;
mod guards;
mod headers;
mod limits;
mod mechanisms;
mod patterns;
mod platform;
mod pools;
mod replicas;
mod secrets;
mod targets;
mod trust;

use crate::diagnostic::{Code, Diagnostic};
use crate::index::Index;
use crate::objects::{Objects, Spec};
use crate::unavailable;

/// Everything that is wrong with valid objects, whatever the gateway.
pub(crate) fn all(index: &Index<'_>) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    for check in [
        unavailable::check,
        expressions::check,
        headers::check,
        mechanisms::check,
        patterns::check,
        targets::check,
        pools::check,
        aliases::check,
        secrets::check,
        costs::check,
        countries::check,
        replicas::check,
        platform::check,
    ] {
        check(index.objects, &mut out);
    }
    for check in [
        engines::check,
        limits::check,
        applies::check,
        trust::check,
        guards::check,
        abuse::check,
    ] {
        check(index, &mut out);
    }
    out
}

/// Whether an error leaves its object without effect. The others speak of something beside it that is missing.
pub(crate) fn rejects(diagnostic: &Diagnostic) -> bool {
    let beside = matches!(
        diagnostic.code,
        Code::TargetNotFound
            | Code::ChannelNotFound
            | Code::SecretNotFound
            | Code::SecretIncomplete
            | Code::Conflicted
    );
    diagnostic.is_error() && !beside
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
