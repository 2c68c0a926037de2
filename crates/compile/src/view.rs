//! One valid object, ready to be looked at and complained about.

use sekisho_policy::snapshot::{Kind, ObjectRef};

use crate::diagnostic::{Code, Diagnostic};
use crate::objects::{Object, ObjectKey, Objects, Spec, name_of};
use crate::path::FieldPath;

/// A valid object and its place.
#[derive(Debug)]
pub(crate) struct View<'a, S> {
    pub(crate) key: &'a ObjectKey,
    pub(crate) object: &'a Object<S>,
    pub(crate) spec: &'a S,
}

impl<S> Clone for View<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for View<'_, S> {}

impl<S: Spec> View<'_, S> {
    /// An error at `field`, a path below `spec` like `limits[0].unit`.
    pub(crate) fn error(&self, code: Code, field: &str, message: impl Into<String>) -> Diagnostic {
        self.place(Diagnostic::error(code, message), field)
    }

    /// A warning at `field`, a path below `spec`.
    pub(crate) fn warning(
        &self,
        code: Code,
        field: &str,
        message: impl Into<String>,
    ) -> Diagnostic {
        self.place(Diagnostic::warning(code, message), field)
    }

    fn place(&self, diagnostic: Diagnostic, field: &str) -> Diagnostic {
        let path = FieldPath::parse(&format!("spec.{field}"));
        let position = self.object.position(&path);
        diagnostic
            .of(name_of::<S>(self.key))
            .at(path)
            .in_file(position)
    }
}

/// The valid objects of a kind, in the order of their keys.
pub(crate) fn valid<S: Spec>(objects: &Objects) -> impl Iterator<Item = View<'_, S>> {
    S::table(objects)
        .iter()
        .filter_map(|(key, object)| object.spec().map(|spec| View { key, object, spec }))
}

/// How the snapshot names the object `key` of the kind of `S`.
pub(crate) fn object_ref<S: Spec>(key: &ObjectKey) -> ObjectRef {
    ObjectRef {
        kind: wire_kind(S::KIND),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    }
}

pub(crate) fn wire_kind(kind: sekisho_crd::Kind) -> Kind {
    match kind {
        sekisho_crd::Kind::MailGateway => Kind::MailGateway,
        sekisho_crd::Kind::SubmissionPolicy => Kind::SubmissionPolicy,
        sekisho_crd::Kind::CountryRule => Kind::CountryRule,
        sekisho_crd::Kind::RateLimit => Kind::RateLimit,
        sekisho_crd::Kind::LoginGuard => Kind::LoginGuard,
        sekisho_crd::Kind::EgressPool => Kind::EgressPool,
        sekisho_crd::Kind::AbuseRule => Kind::AbuseRule,
        sekisho_crd::Kind::NotificationChannel => Kind::NotificationChannel,
    }
}
