//! Objects and the last snapshot to the next one.
//!
//! An object that is invalid keeps the rules that it had in the last snapshot; deleting it removes them. So a typo never
//! deletes a limit.

mod rule;
mod run;

use std::collections::BTreeSet;

use sekisho_crd::{
    CountryRuleSpec, EgressPoolSpec, LoginGuardSpec, MailGatewaySpec, RateLimitSpec,
    SubmissionPolicySpec,
};
use sekisho_policy::snapshot::{Kind, ObjectRef};
use sekisho_policy::{Envelope, LoadError, Ruleset, Snapshot};

use self::run::Run;
use crate::checks;
use crate::diagnostic::{Code, Diagnostic, Position, sort};
use crate::objects::{ObjectKey, ObjectName, Objects, Spec, name_of};
use crate::path::FieldPath;

/// What [`compile`] makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// The body of the gateway's next snapshot; none while the gateway itself is not valid and never was.
    pub snapshot: Option<Snapshot>,
    /// What is wrong with the objects, in a defined order. Errors do not keep the rest from being compiled.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles the snapshot of one gateway. `previous` is the body of its last snapshot, from which objects that are not
/// valid now keep their rules. The same arguments give the same result, on every machine.
pub fn compile(objects: &Objects, gateway: &ObjectKey, previous: Option<&Snapshot>) -> Compiled {
    let mut diagnostics = checks::all(objects);
    let snapshot = attempt(objects, gateway, previous, &mut diagnostics);
    sort(&mut diagnostics);
    Compiled {
        snapshot,
        diagnostics,
    }
}

/// Everything that is wrong with objects, as `sekisho lint` prints it: what [`compile`] finds for every gateway, without a
/// past.
pub fn lint(objects: &Objects) -> Vec<Diagnostic> {
    let checked = checks::all(objects);
    let mut diagnostics = checked.clone();
    for gateway in objects.gateways.keys() {
        let mut found = checked.clone();
        attempt(objects, gateway, None, &mut found);
        diagnostics.append(&mut found);
    }
    sort(&mut diagnostics);
    diagnostics
}

/// Compiles until the data plane would take it, leaving out at each turn the object that it would not. `diagnostics`
/// holds what the checks found and gets what is found here.
fn attempt(
    objects: &Objects,
    gateway: &ObjectKey,
    previous: Option<&Snapshot>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Snapshot> {
    let mut rejected: BTreeSet<ObjectName> = diagnostics
        .iter()
        .filter(|d| checks::rejects(d))
        .filter_map(|d| d.object.clone())
        .collect();
    loop {
        let mut run = Run {
            objects,
            gateway,
            previous,
            rejected: &rejected,
            out: Vec::new(),
        };
        let snapshot = run.snapshot();
        let mut found = run.out;
        let Some(snapshot) = snapshot else {
            diagnostics.append(&mut found);
            return None;
        };
        let Err(error) = Ruleset::load(&Envelope::seal(0, snapshot.clone())) else {
            diagnostics.append(&mut found);
            return Some(snapshot);
        };
        let (name, diagnostic) = refused(objects, gateway, &error);
        diagnostics.push(diagnostic);
        // An object that is refused twice is refused as it was before: the last snapshot stays as a whole.
        if !rejected.insert(name) {
            diagnostics.append(&mut found);
            return None;
        }
    }
}

/// What the data plane would refuse, as a finding about the object. The checks before it know all that is known to be
/// refused, with better places; this is for what they do not know.
fn refused(objects: &Objects, gateway: &ObjectKey, error: &LoadError) -> (ObjectName, Diagnostic) {
    let (object, part, why) = match error {
        LoadError::Invalid { object, part, why } => (Some(object), part.as_str(), why.clone()),
        LoadError::UnknownPool { object, .. } | LoadError::KindMismatch { object, .. } => {
            (Some(object), "", error.to_string())
        }
        LoadError::Duplicate(object) => (Some(object), "", error.to_string()),
        LoadError::Conflict { second, .. } => (Some(second), "", error.to_string()),
        _ => (None, "", error.to_string()),
    };
    let name = object.map_or_else(
        || name_of::<MailGatewaySpec>(gateway),
        |object| ObjectName::new(object.kind.to_string(), &object.namespace, &object.name),
    );
    let field = FieldPath::parse(part);
    let position = object.and_then(|object| position(objects, object, &field));
    (
        name.clone(),
        Diagnostic::error(Code::InvalidValue, why)
            .of(name)
            .at(field)
            .in_file(position),
    )
}

fn position(objects: &Objects, object: &ObjectRef, field: &FieldPath) -> Option<Position> {
    let key = ObjectKey::new(&object.namespace, &object.name);
    fn of<S: Spec>(objects: &Objects, key: &ObjectKey, field: &FieldPath) -> Option<Position> {
        S::table(objects).get(key)?.position(field)
    }
    match object.kind {
        Kind::MailGateway => of::<MailGatewaySpec>(objects, &key, field),
        Kind::SubmissionPolicy => of::<SubmissionPolicySpec>(objects, &key, field),
        Kind::CountryRule => of::<CountryRuleSpec>(objects, &key, field),
        Kind::RateLimit => of::<RateLimitSpec>(objects, &key, field),
        Kind::LoginGuard => of::<LoginGuardSpec>(objects, &key, field),
        Kind::EgressPool => of::<EgressPoolSpec>(objects, &key, field),
    }
}
