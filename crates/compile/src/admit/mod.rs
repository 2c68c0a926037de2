//! One object through the checks of the API server: defaults, structure, CEL, and then its Rust type. Files and clusters
//! come through here alike.

mod defaults;
mod schemas;
mod structure;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) use self::schemas::KindSchema;
use self::structure::{Check, Patterns};
pub(crate) use self::structure::{Finding, quote};
use crate::diagnostic::{Code, Diagnostic};
use crate::files::Node;
use crate::objects::ObjectKey;
use crate::path::FieldPath;

/// The spec of `object` with its defaults if structure and rules hold, and whatever does not. `root` is the same object
/// as it was written, where it was.
pub(crate) fn checked_spec(
    schema: &KindSchema,
    mut object: Value,
    root: Option<&Node>,
    key: &ObjectKey,
) -> (Option<Value>, Vec<Finding>) {
    if let Some(map) = object.as_object_mut() {
        // The cluster keeps status apart and does not take it from whoever applies the object.
        map.remove("status");
        map.remove("metadata");
    }
    defaults::apply(&schema.schema, &mut object);
    let mut findings = structure(&schema.schema, &schema.patterns, &object, root);
    if findings.iter().any(|finding| finding.diagnostic.is_error()) {
        return (None, findings);
    }
    object["metadata"] = json!({ "name": key.name, "namespace": key.namespace });
    let broken = schema.rules(&object);
    let valid = broken.is_empty();
    findings.extend(broken.into_iter().map(Finding::at_its_field));
    (valid.then(|| object["spec"].take()), findings)
}

/// An object of a kind that has no CEL rules, without `apiVersion`, `kind` and `metadata`.
pub(crate) fn checked_body(schema: &Value, root: &Node) -> (Option<Value>, Vec<Finding>) {
    let mut object = root.to_json();
    if let Some(map) = object.as_object_mut() {
        map.retain(|field, _| !["apiVersion", "kind", "metadata"].contains(&field.as_str()));
    }
    defaults::apply(schema, &mut object);
    let mut findings = structure(schema, &Patterns::new(), &object, Some(root));
    // These kinds never come through `kubectl` (Demo, PolicyTest) or hold words of no enum (Secret).
    findings.retain(|finding| finding.diagnostic.is_error());
    (findings.is_empty().then_some(object), findings)
}

fn structure(
    schema: &Value,
    patterns: &Patterns,
    object: &Value,
    root: Option<&Node>,
) -> Vec<Finding> {
    let mut check = Check {
        patterns,
        findings: Vec::new(),
    };
    check.value(schema, object, root, &FieldPath::root());
    check.findings
}

/// Reads a checked value into its type. What the schema could not say is refused here, by field.
pub(crate) fn from_json<S: DeserializeOwned>(
    value: Value,
    path: &FieldPath,
) -> Result<S, Box<Diagnostic>> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let inner = error.path().to_string();
        let field = match inner.as_str() {
            "." => path.clone(),
            inner => FieldPath::parse(&format!("{path}.{inner}")),
        };
        Box::new(Diagnostic::error(Code::InvalidValue, error.into_inner().to_string()).at(field))
    })
}
