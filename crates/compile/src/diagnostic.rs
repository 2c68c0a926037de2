//! What is wrong with an object, where, and what would mend it.

use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::objects::ObjectName;
use crate::path::FieldPath;

/// How bad it is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The object is not accepted and keeps the rules that it had.
    Error,
    /// The object is accepted, and does something that its author may not want.
    Warning,
}

/// What is wrong, from a closed list. The names are stable: they are the reasons of conditions and the codes of
/// `lint --format json`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Code {
    /// A file or folder that cannot be read.
    Unreadable,
    /// A file, a document or a folder over a bound.
    TooLarge,
    /// Text that is no YAML.
    YamlSyntax,
    /// A mapping with the same key twice.
    DuplicateKey,
    /// A word that `kubectl` reads as a boolean.
    AmbiguousScalar,
    /// An `apiVersion` or `kind` that this version does not have.
    UnknownKind,
    /// An object of another group, which is not looked at.
    ForeignKind,
    /// A name that is no name of an object.
    InvalidName,
    /// Two objects with the same kind, namespace and name.
    DuplicateObject,
    /// A field that the kind does not have.
    UnknownField,
    /// A field that must be given.
    Required,
    /// A value of another type.
    WrongType,
    /// A word that is none of those that a field can have.
    UnsupportedValue,
    /// Too long, too short, too large or too small.
    OutOfBounds,
    /// A text that does not have the form of its field.
    InvalidValue,
    /// A list with the same element twice.
    DuplicateItem,
    /// A CEL rule of the schema that does not hold.
    RuleViolated,
    /// Something that the schema has and this version does not do.
    NotAvailable,
    /// A `when` that is no expression of the subset.
    InvalidExpression,
    /// A regular expression that is none, or is too large.
    InvalidPattern,
    /// A `targetRefs` entry that names no gateway.
    TargetNotFound,
    /// A route that names no pool.
    PoolNotFound,
    /// A step that names no channel.
    ChannelNotFound,
    /// A pool without members.
    EmptyPool,
    /// A Secret that is not there.
    SecretNotFound,
    /// A Secret without a value that is needed.
    SecretIncomplete,
    /// An object of which one applies to a gateway, and an older one does; or a port that another gateway has.
    Conflicted,
    /// A rule, or a part of one, that can never apply.
    NeverApplies,
    /// A limit that another one always reaches first.
    NeverTriggers,
    /// A signal that nothing can set off at a gateway.
    SignalNeverSeen,
    /// A signal whose memory does not outlast the process.
    SignalForgotten,
    /// A step that anybody can bring an account to.
    OthersDoing,
    /// An alias for a whole domain.
    WholeDomainAlias,
    /// Pools of different classes that leave from the same place.
    SharedEgress,
    /// Counters in memory and more than one replica.
    LimitsLocal,
    /// A listener that takes a client's address or login from almost anybody.
    EverybodyBelieved,
    /// An upstream that is asked about accounts of any domain, where rules count by account.
    AnyDomain,
    /// A guard by which one stale program locks its account for everybody.
    StaleLocks,
    /// Nobody needs to log in, and nobody's sender is checked.
    AnybodySends,
    /// Two letters that are no country.
    UnknownCountry,
    /// An object that keeps the rules of the last snapshot.
    KeptPrevious,
}

impl Code {
    /// The name, as in conditions and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "Unreadable",
            Self::TooLarge => "TooLarge",
            Self::YamlSyntax => "YamlSyntax",
            Self::DuplicateKey => "DuplicateKey",
            Self::AmbiguousScalar => "AmbiguousScalar",
            Self::UnknownKind => "UnknownKind",
            Self::ForeignKind => "ForeignKind",
            Self::InvalidName => "InvalidName",
            Self::DuplicateObject => "DuplicateObject",
            Self::UnknownField => "UnknownField",
            Self::Required => "Required",
            Self::WrongType => "WrongType",
            Self::UnsupportedValue => "UnsupportedValue",
            Self::OutOfBounds => "OutOfBounds",
            Self::InvalidValue => "InvalidValue",
            Self::DuplicateItem => "DuplicateItem",
            Self::RuleViolated => "RuleViolated",
            Self::NotAvailable => "NotAvailable",
            Self::InvalidExpression => "InvalidExpression",
            Self::InvalidPattern => "InvalidPattern",
            Self::TargetNotFound => "TargetNotFound",
            Self::PoolNotFound => "PoolNotFound",
            Self::ChannelNotFound => "ChannelNotFound",
            Self::EmptyPool => "EmptyPool",
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretIncomplete => "SecretIncomplete",
            Self::Conflicted => "Conflicted",
            Self::NeverApplies => "NeverApplies",
            Self::NeverTriggers => "NeverTriggers",
            Self::SignalNeverSeen => "SignalNeverSeen",
            Self::SignalForgotten => "SignalForgotten",
            Self::OthersDoing => "OthersDoing",
            Self::WholeDomainAlias => "WholeDomainAlias",
            Self::SharedEgress => "SharedEgress",
            Self::LimitsLocal => "LimitsLocal",
            Self::EverybodyBelieved => "EverybodyBelieved",
            Self::AnyDomain => "AnyDomain",
            Self::StaleLocks => "StaleLocks",
            Self::AnybodySends => "AnybodySends",
            Self::UnknownCountry => "UnknownCountry",
            Self::KeptPrevious => "KeptPrevious",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Position {
    /// The file as it was named, or `-` for the standard input.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One finding about one object or file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, for programs.
    pub code: Code,
    /// The object, where it is known.
    pub object: Option<ObjectName>,
    /// Where in the object.
    pub field: FieldPath,
    /// Where in a file, if the object came from one.
    pub position: Option<Position>,
    /// What is wrong, for people.
    pub message: String,
    /// What would mend it; empty if the message says it all.
    pub remedy: String,
}

impl Diagnostic {
    /// An error without a place yet.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            object: None,
            field: FieldPath::root(),
            position: None,
            message: message.into(),
            remedy: String::new(),
        }
    }

    /// A warning without a place yet.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    /// With the field that it is about.
    #[must_use]
    pub fn at(mut self, field: FieldPath) -> Self {
        self.field = field;
        self
    }

    /// With the object that it is about.
    #[must_use]
    pub fn of(mut self, object: ObjectName) -> Self {
        self.object = Some(object);
        self
    }

    /// With its place in a file.
    #[must_use]
    pub fn in_file(mut self, position: Option<Position>) -> Self {
        self.position = position;
        self
    }

    /// With what would mend it.
    #[must_use]
    pub fn mend(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// Whether the object is not accepted because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Puts findings in the order in which they are printed: by place, then by object and field. Equal ones become one.
pub fn sort(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| {
        let place = |d: &Diagnostic| (d.position.is_none(), d.position.clone());
        (
            place(a),
            &a.object,
            &a.field,
            a.severity,
            a.code,
            &a.message,
        )
            .cmp(&(
                place(b),
                &b.object,
                &b.field,
                b.severity,
                b.code,
                &b.message,
            ))
    });
    diagnostics.dedup();
}

impl fmt::Display for Diagnostic {
    /// `file:line:column: error: Kind/name spec.x: what is wrong (what would mend it)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = &self.position {
            write!(f, "{position}: ")?;
        }
        f.write_str(match self.severity {
            Severity::Error => "error: ",
            Severity::Warning => "warning: ",
        })?;
        if let Some(object) = &self.object {
            write!(f, "{object}")?;
            f.write_str(if self.field.is_root() { ": " } else { " " })?;
        }
        if !self.field.is_root() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        if !self.remedy.is_empty() {
            write!(f, " ({})", self.remedy)?;
        }
        Ok(())
    }
}

impl Serialize for Diagnostic {
    /// One flat object, the shape of `lint --format json`; what is not known is null.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Diagnostic", 9)?;
        out.serialize_field("severity", &self.severity)?;
        out.serialize_field("code", &self.code)?;
        out.serialize_field("file", &self.position.as_ref().map(|p| &p.file))?;
        out.serialize_field("line", &self.position.as_ref().map(|p| p.line))?;
        out.serialize_field("column", &self.position.as_ref().map(|p| p.column))?;
        out.serialize_field("object", &self.object)?;
        out.serialize_field("field", &self.field.to_string())?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("remedy", &self.remedy)?;
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Diagnostic {
        Diagnostic::error(Code::UnknownField, "no field `unti`")
            .of(ObjectName::new("RateLimit", "default", "per-account"))
            .at(FieldPath::parse("spec.limits[0].unti"))
            .in_file(Some(Position {
                file: "limits.yaml".into(),
                line: 9,
                column: 5,
            }))
            .mend("did you mean `unit`?")
    }

    #[test]
    fn reads_like_a_compiler_message() {
        assert_eq!(
            sample().to_string(),
            "limits.yaml:9:5: error: RateLimit/per-account spec.limits[0].unti: no field `unti` (did you mean `unit`?)"
        );
        let bare = Diagnostic::warning(Code::Unreadable, "empty");
        assert_eq!(bare.to_string(), "warning: empty");
    }

    #[test]
    fn is_flat_in_json() {
        let json = serde_json::to_value(sample()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "severity": "error", "code": "UnknownField", "file": "limits.yaml", "line": 9, "column": 5,
                "object": {"kind": "RateLimit", "namespace": "default", "name": "per-account"},
                "field": "spec.limits[0].unti", "message": "no field `unti`", "remedy": "did you mean `unit`?",
            })
        );
    }

    #[test]
    fn order_is_by_place_and_equal_ones_are_one() {
        let early = Diagnostic {
            position: Some(Position {
                file: "a.yaml".into(),
                line: 1,
                column: 1,
            }),
            ..sample()
        };
        let placeless = Diagnostic {
            position: None,
            ..sample()
        };
        let mut list = vec![placeless.clone(), sample(), early.clone(), sample()];
        sort(&mut list);
        assert_eq!(list, [early, sample(), placeless]);
    }
}
