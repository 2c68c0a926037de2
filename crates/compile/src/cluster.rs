//! Objects as an API server holds them, one at a time: whoever watches a cluster keeps [`Objects`] and changes them by
//! what it sees.

use sekisho_crd::{
    AbuseRuleSpec, CountryRuleSpec, EgressPoolSpec, Kind, LoginGuardSpec, MailGatewaySpec,
    NotificationChannelSpec, RateLimitSpec, SubmissionPolicySpec,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::admit::{Finding, KindSchema, checked_spec, from_json};
use crate::diagnostic::{Code, Diagnostic};
use crate::objects::{Object, ObjectKey, Objects, Spec, State, name_of};
use crate::path::FieldPath;

/// One object as it was read, to be put among others.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Its namespace and name.
    pub key: ObjectKey,
    /// What is wrong with it alone, in a defined order. With an error in it the object is there and not valid, and
    /// keeps the rules that it had.
    pub diagnostics: Vec<Diagnostic>,
    object: AnyObject,
}

/// An object of one of the kinds.
#[derive(Debug, Clone)]
enum AnyObject {
    MailGateway(Object<MailGatewaySpec>),
    SubmissionPolicy(Object<SubmissionPolicySpec>),
    CountryRule(Object<CountryRuleSpec>),
    RateLimit(Object<RateLimitSpec>),
    LoginGuard(Object<LoginGuardSpec>),
    EgressPool(Object<EgressPoolSpec>),
    AbuseRule(Object<AbuseRuleSpec>),
    NotificationChannel(Object<NotificationChannelSpec>),
}

impl Taken {
    /// Puts the object among `objects`, in the place of one with the same kind and key, and gives what is wrong with it.
    pub fn put(self, objects: &mut Objects) -> Vec<Diagnostic> {
        let Self {
            key,
            diagnostics,
            object,
        } = self;
        match object {
            AnyObject::MailGateway(object) => objects.insert(key, object),
            AnyObject::SubmissionPolicy(object) => objects.insert(key, object),
            AnyObject::CountryRule(object) => objects.insert(key, object),
            AnyObject::RateLimit(object) => objects.insert(key, object),
            AnyObject::LoginGuard(object) => objects.insert(key, object),
            AnyObject::EgressPool(object) => objects.insert(key, object),
            AnyObject::AbuseRule(object) => objects.insert(key, object),
            AnyObject::NotificationChannel(object) => objects.insert(key, object),
        }
        diagnostics
    }
}

/// Reads one object of `kind` through the same checks that files go through: defaults, structure, unknown fields, CEL and
/// the Rust type. An API server with the definitions of this version has made them all; one with older or newer ones has
/// not. An object that does not pass is taken as one that is not valid, with what is wrong; it stops no other.
///
/// # Errors
/// An object without `metadata.namespace` and `metadata.name`, which no API server holds.
pub fn read(kind: Kind, object: &Value) -> Result<Taken, Box<Diagnostic>> {
    let key = key_of(kind, object)?;
    let created = object
        .pointer("/metadata/creationTimestamp")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let read = Reading {
        value: object,
        key: &key,
        created,
    };
    let (object, diagnostics) = match kind {
        Kind::MailGateway => read.typed(AnyObject::MailGateway),
        Kind::SubmissionPolicy => read.typed(AnyObject::SubmissionPolicy),
        Kind::CountryRule => read.typed(AnyObject::CountryRule),
        Kind::RateLimit => read.typed(AnyObject::RateLimit),
        Kind::LoginGuard => read.typed(AnyObject::LoginGuard),
        Kind::EgressPool => read.typed(AnyObject::EgressPool),
        Kind::AbuseRule => read.typed(AnyObject::AbuseRule),
        Kind::NotificationChannel => read.typed(AnyObject::NotificationChannel),
    };
    Ok(Taken {
        key,
        diagnostics,
        object,
    })
}

fn key_of(kind: Kind, object: &Value) -> Result<ObjectKey, Box<Diagnostic>> {
    let text = |field: &str| {
        let value = object.get("metadata").and_then(|of| of.get(field));
        value.and_then(Value::as_str).ok_or_else(|| {
            let message = format!("a {kind} without this field is none that an API server holds");
            let path = FieldPath::root().field("metadata").field(field);
            Box::new(Diagnostic::error(Code::Required, message).at(path))
        })
    };
    Ok(ObjectKey::new(text("namespace")?, text("name")?))
}

/// The object that is being read.
struct Reading<'a> {
    value: &'a Value,
    key: &'a ObjectKey,
    created: Option<String>,
}

impl Reading<'_> {
    fn typed<S: Spec + DeserializeOwned>(
        self,
        any: fn(Object<S>) -> AnyObject,
    ) -> (AnyObject, Vec<Diagnostic>) {
        let (spec, findings) = checked_spec(KindSchema::of(S::KIND), self.body(), None, self.key);
        let mut diagnostics: Vec<Diagnostic> = findings
            .into_iter()
            .map(|Finding { diagnostic, .. }| diagnostic)
            .collect();
        let state = match spec.map(|spec| from_json::<S>(spec, &FieldPath::spec())) {
            Some(Ok(spec)) => State::Valid(Box::new(spec)),
            Some(Err(problem)) => {
                diagnostics.push(*problem);
                State::Invalid
            }
            None => State::Invalid,
        };
        for diagnostic in &mut diagnostics {
            diagnostic.object = Some(name_of::<S>(self.key));
        }
        let object = Object {
            created: self.created,
            state,
            origin: None,
        };
        (any(object), diagnostics)
    }

    /// The object without what says nothing of it, which is often the most of it.
    fn body(&self) -> Value {
        match self.value {
            Value::Object(map) => {
                let said = map
                    .iter()
                    .filter(|(field, _)| !["metadata", "status"].contains(&field.as_str()));
                Value::Object(said.map(|(f, value)| (f.clone(), value.clone())).collect())
            }
            other => other.clone(),
        }
    }
}
