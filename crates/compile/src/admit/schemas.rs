//! The schemas of all kinds, compiled once for the life of the process.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use kube_cel::{CompiledSchema, ErrorKind, ValidationError};
use sekisho_crd::Kind;
use serde_json::{Value, json};

use super::structure::{Patterns, patterns_of};
use crate::diagnostic::{Code, Diagnostic};
use crate::path::FieldPath;

/// The schema of one kind, ready to check objects with.
pub(crate) struct KindSchema {
    /// `openAPIV3Schema` with the fields that the API server adds to it.
    pub(crate) schema: Value,
    /// Its patterns.
    pub(crate) patterns: Patterns,
    rules: CompiledSchema,
}

static SCHEMAS: LazyLock<BTreeMap<Kind, KindSchema>> = LazyLock::new(|| {
    let compile = |kind| {
        let mut schema = sekisho_crd::schema(kind);
        let (patterns, rules) = (patterns_of(&schema), kube_cel::compile_schema(&schema));
        for field in ["apiVersion", "kind"] {
            schema["properties"][field] = json!({ "type": "string" });
        }
        (
            kind,
            KindSchema {
                schema,
                patterns,
                rules,
            },
        )
    };
    Kind::ALL.into_iter().map(compile).collect()
});

impl KindSchema {
    /// The schema of `kind`.
    pub(crate) fn of(kind: Kind) -> &'static Self {
        &SCHEMAS[&kind]
    }

    /// Evaluates the CEL rules on a complete object that has its defaults and the right structure.
    pub(crate) fn rules(&self, object: &Value) -> Vec<Diagnostic> {
        match kube_cel::validate_compiled(&self.rules, object, None) {
            Ok(()) => Vec::new(),
            Err(errors) => errors.into_iter().map(violation).collect(),
        }
    }
}

fn violation(error: ValidationError) -> Diagnostic {
    let field = FieldPath::parse(&error.field_path);
    let diagnostic = match error.kind {
        ErrorKind::ValidationFailure => Diagnostic::error(Code::RuleViolated, error.message),
        _ => Diagnostic::error(
            Code::RuleViolated,
            format!("cannot be checked: {}", error.message),
        )
        .mend(format!("the rule is {}", error.rule)),
    };
    diagnostic.at(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_schema_whose_rules_compile() {
        for kind in Kind::ALL {
            let schema = KindSchema::of(kind);
            assert!(
                !schema.rules.has_errors(),
                "{kind}: {:?}",
                schema.rules.compilation_errors()
            );
            assert!(schema.schema["properties"]["spec"].is_object(), "{kind}");
            assert!(!schema.patterns.is_empty(), "{kind}");
        }
    }
}
