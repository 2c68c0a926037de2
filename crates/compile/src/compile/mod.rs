//! Objects and the last snapshot to the next one.
//!
//! An object that is invalid keeps the rules that it had in the last snapshot, and so does one that names a gateway that does
//! not exist; deleting it removes them, and so does leading it to another gateway. So a typo never deletes a limit.

mod rule;
mod run;

use std::borrow::{Borrow, Cow};
use std::collections::{BTreeMap, BTreeSet};

use sekisho_crd::{
    AbuseRuleSpec, CountryRuleSpec, EgressPoolSpec, LoginGuardSpec, MailGatewaySpec,
    NotificationChannelSpec, RateLimitSpec, SubmissionPolicySpec,
};
use sekisho_policy::snapshot::{Kind, ObjectRef};
use sekisho_policy::{Envelope, LoadError, Ruleset, Snapshot};

use self::run::Run;
use crate::checks;
use crate::diagnostic::{Code, Diagnostic, Position, sort};
use crate::index::Index;
use crate::objects::{Completeness, ObjectKey, ObjectName, Objects, Spec, name_of};
use crate::path::FieldPath;

/// What [`compile`] makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// The body of the gateway's next snapshot; none while the gateway itself is not valid and never was.
    pub snapshot: Option<Snapshot>,
    /// What is wrong with the objects, in a defined order. Errors do not keep the rest from being compiled.
    pub diagnostics: Vec<Diagnostic>,
}

/// What [`compile_all`] makes.
#[derive(Debug, Clone, PartialEq)]
pub struct CompiledAll {
    /// Each gateway and the body of its next snapshot; none while the gateway itself is not valid and never was.
    pub gateways: BTreeMap<ObjectKey, Option<Snapshot>>,
    /// What is wrong with the objects, in a defined order. Errors do not keep the rest from being compiled.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles the snapshot of one gateway. `previous` is the body of its last snapshot, from which objects that are not
/// valid now keep their rules. The same arguments give the same result, on every machine.
pub fn compile(objects: &Objects, gateway: &ObjectKey, previous: Option<&Snapshot>) -> Compiled {
    let mut session = Session::of(objects);
    let snapshot = session.attempt(gateway, previous);
    Compiled {
        snapshot,
        diagnostics: session.finish(),
    }
}

/// Compiles the snapshots of all gateways, and does once what does not depend on the gateway. `previous` has the bodies
/// of their last snapshots, as for [`compile`]. Nothing that a rule names is in another namespace, so that the objects of
/// each namespace can be compiled alone, with the same result.
///
/// While not everything could be read, a gateway that only `previous` has is compiled too.
pub fn compile_all<S: Borrow<Snapshot>>(
    objects: &Objects,
    previous: &BTreeMap<ObjectKey, S>,
) -> CompiledAll {
    let mut session = Session::of(objects);
    let mut names: BTreeSet<&ObjectKey> = objects.gateways.keys().collect();
    if objects.completeness == Completeness::Partial {
        names.extend(previous.keys());
    }
    let compiled = names.into_iter().map(|name| {
        let previous = previous.get(name).map(Borrow::borrow);
        (name.clone(), session.attempt(name, previous))
    });
    CompiledAll {
        gateways: compiled.collect(),
        diagnostics: session.finish(),
    }
}

/// Everything that is wrong with objects, as `sekisho lint` prints it: what [`compile`] finds for every gateway, without a
/// past.
pub fn lint(objects: &Objects) -> Vec<Diagnostic> {
    compile_all::<Snapshot>(objects, &BTreeMap::new()).diagnostics
}

/// The compilation of some gateways from the same objects.
struct Session<'a> {
    index: Index<'a>,
    /// What the checks across objects reject, whatever the gateway.
    rejected: BTreeSet<ObjectName>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Session<'a> {
    fn of(objects: &'a Objects) -> Self {
        let index = Index::of(objects);
        let diagnostics = checks::all(&index);
        let rejected = diagnostics
            .iter()
            .filter(|d| checks::rejects(d))
            .filter_map(|d| d.object.clone())
            .collect();
        Self {
            index,
            rejected,
            diagnostics,
        }
    }

    /// Compiles until the data plane would take it, leaving out at each turn the object that it would not.
    fn attempt(&mut self, gateway: &ObjectKey, previous: Option<&Snapshot>) -> Option<Snapshot> {
        let mut rejected = Cow::Borrowed(&self.rejected);
        loop {
            let mut run = Run {
                index: &self.index,
                objects: self.index.objects,
                gateway,
                previous,
                rejected: &rejected,
                out: Vec::new(),
            };
            let snapshot = run.snapshot();
            let mut found = run.out;
            let Some(snapshot) = snapshot else {
                self.diagnostics.append(&mut found);
                return None;
            };
            let error = match loads(snapshot, previous) {
                Ok(snapshot) => {
                    self.diagnostics.append(&mut found);
                    return Some(snapshot);
                }
                Err(error) => error,
            };
            let (name, diagnostic) = refused(self.index.objects, gateway, &error);
            self.diagnostics.push(diagnostic);
            // An object that is refused twice is refused as it was before: the last snapshot stays as a whole.
            if !rejected.to_mut().insert(name) {
                self.diagnostics.append(&mut found);
                return None;
            }
        }
    }

    fn finish(mut self) -> Vec<Diagnostic> {
        sort(&mut self.diagnostics);
        self.diagnostics
    }
}

/// The snapshot, if the data plane takes it. What is in force already is taken: most gateways are as they were when one
/// of many changes.
fn loads(snapshot: Snapshot, previous: Option<&Snapshot>) -> Result<Snapshot, LoadError> {
    if previous == Some(&snapshot) {
        return Ok(snapshot);
    }
    // Nobody looks at the digest here, and to make it takes as long as all the rest.
    let envelope = Envelope {
        generation: 0,
        digest: String::new(),
        snapshot,
    };
    Ruleset::load(&envelope)?;
    Ok(envelope.snapshot)
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
        Kind::AbuseRule => of::<AbuseRuleSpec>(objects, &key, field),
        Kind::NotificationChannel => of::<NotificationChannelSpec>(objects, &key, field),
    }
}
