//! Which object a document is: `apiVersion`, `kind` and `metadata`.

use sekisho_crd::{API_VERSION, GROUP, Kind};

use super::node::{Content, Mark, Node};
use crate::admit::quote;
use crate::diagnostic::{Code, Diagnostic};
use crate::objects::{ObjectKey, ObjectName};
use crate::path::FieldPath;
use crate::suggest::{did_you_mean, nearest};

/// What a document turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// One of the kinds of the API.
    Kind(Kind),
    /// `v1` Secret.
    Secret,
    /// The kind `Demo`, which files alone can have.
    Demo,
    /// The kind `PolicyTest`, which files alone can have.
    PolicyTest,
    /// `v1` List of objects.
    List,
}

/// Why a document is no object that is looked at.
pub(super) enum Refusal {
    /// It is meant to be one of ours, and which one is not sure.
    Unidentified(Vec<(Diagnostic, Mark)>),
    /// It is somebody else's.
    Foreign(Box<Diagnostic>, Mark),
}

/// The name that every document has that can be looked at.
pub(super) struct Identity {
    pub(super) family: Family,
    pub(super) key: ObjectKey,
    pub(super) created: Option<String>,
    /// What is wrong with `metadata` beyond the name.
    pub(super) problems: Vec<(Diagnostic, Mark)>,
}

impl Identity {
    /// What messages call the object.
    pub(super) fn name(&self) -> ObjectName {
        ObjectName::new(self.family.as_str(), &self.key.namespace, &self.key.name)
    }
}

impl Family {
    fn as_str(self) -> &'static str {
        match self {
            Self::Kind(kind) => kind.as_str(),
            Self::Secret => "Secret",
            Self::Demo => "Demo",
            Self::PolicyTest => "PolicyTest",
            Self::List => "List",
        }
    }

    fn api_version(self) -> &'static str {
        match self {
            Self::Kind(_) | Self::Demo | Self::PolicyTest => API_VERSION,
            Self::Secret | Self::List => "v1",
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        Kind::ALL.into_iter().map(Self::Kind).chain([
            Self::Secret,
            Self::Demo,
            Self::PolicyTest,
            Self::List,
        ])
    }
}

/// Which kind of object a document is.
pub(super) fn family(root: &Node) -> Result<Family, Refusal> {
    if !matches!(root.content, Content::Map(_)) {
        let diagnostic = Diagnostic::error(
            Code::WrongType,
            "a document must be an object with apiVersion, kind and metadata",
        );
        return Err(Refusal::Unidentified(vec![(diagnostic, root.mark)]));
    }
    let (api_version, kind) = match (text_field(root, "apiVersion"), text_field(root, "kind")) {
        (Ok(api_version), Ok(kind)) => (api_version, kind),
        (api_version, kind) => {
            let problems = [api_version.err(), kind.err()].into_iter().flatten();
            return Err(Refusal::Unidentified(
                problems.map(|problem| *problem).collect(),
            ));
        }
    };
    let known = Family::all().find(|family| family.as_str() == kind.0);
    match known {
        Some(family) if family.api_version() == api_version.0 => Ok(family),
        Some(family) => {
            let message = format!("{} has no kind {}", quote(api_version.0), kind.0);
            let diagnostic = Diagnostic::error(Code::UnknownKind, message)
                .at(FieldPath::root().field("apiVersion"))
                .mend(format!("write {}", family.api_version()));
            Err(Refusal::Unidentified(vec![(diagnostic, api_version.1)]))
        }
        None => Err(unknown_kind(api_version, kind)),
    }
}

fn unknown_kind(api_version: (&str, Mark), kind: (&str, Mark)) -> Refusal {
    let names = || Family::all().map(Family::as_str);
    let group = api_version.0.split('/').next().unwrap_or_default();
    if group != GROUP && nearest(group, [GROUP]).is_none() && nearest(kind.0, names()).is_none() {
        let message = format!(
            "{} {} is no kind of {GROUP}; it is not looked at",
            api_version.0, kind.0
        );
        return Refusal::Foreign(
            Box::new(Diagnostic::warning(Code::ForeignKind, message)),
            kind.1,
        );
    }
    let list = || format!("the kinds are {}", names().collect::<Vec<_>>().join(", "));
    let remedy = did_you_mean(kind.0, names(), list);
    let message = format!("{} is no kind of {GROUP}", quote(kind.0));
    let diagnostic = Diagnostic::error(Code::UnknownKind, message)
        .at(FieldPath::root().field("kind"))
        .mend(remedy);
    Refusal::Unidentified(vec![(diagnostic, kind.1)])
}

/// The fields of `metadata` that an object can have (ObjectMeta of meta/v1).
const METADATA: [&str; 15] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The name of an object of a known kind.
pub(super) fn identify(root: &Node, family: Family) -> Result<Identity, Refusal> {
    let path = FieldPath::root().field("metadata");
    let required = |field: &FieldPath, mark| {
        let diagnostic = Diagnostic::error(Code::Required, "must be given").at(field.clone());
        Refusal::Unidentified(vec![(diagnostic.mend("the name of the object"), mark)])
    };
    let Some(metadata) = root.child("metadata") else {
        return Err(required(&path.field("name"), root.mark));
    };
    let Some(name) = metadata.child("name") else {
        return Err(required(&path.field("name"), root.mark_of(&path)));
    };
    let name = dns_name(name, &path.field("name"))?;
    let namespace = match metadata.child("namespace") {
        Some(node) if node.content != Content::Null => dns_name(node, &path.field("namespace"))?,
        _ => "default".to_owned(),
    };
    let created = metadata
        .child("creationTimestamp")
        .and_then(Node::text)
        .map(str::to_owned);
    let problems = unknown_metadata(metadata, &path);
    Ok(Identity {
        family,
        key: ObjectKey { namespace, name },
        created,
        problems,
    })
}

fn unknown_metadata(metadata: &Node, path: &FieldPath) -> Vec<(Diagnostic, Mark)> {
    let Content::Map(entries) = &metadata.content else {
        return Vec::new();
    };
    let unknown = entries
        .iter()
        .filter(|entry| !METADATA.contains(&entry.key.as_str()));
    unknown
        .map(|entry| {
            let remedy = did_you_mean(&entry.key, METADATA, || {
                "it has name, namespace, labels and annotations".to_owned()
            });
            let message = format!("there is no field `{}`", entry.key);
            let diagnostic = Diagnostic::error(Code::UnknownField, message)
                .at(path.field(&entry.key))
                .mend(remedy);
            (diagnostic, entry.mark)
        })
        .collect()
}

/// A DNS subdomain (RFC 1123), as names of objects are.
fn dns_name(node: &Node, path: &FieldPath) -> Result<String, Refusal> {
    let refuse = |code, message: String, remedy: &str| {
        let diagnostic = Diagnostic::error(code, message)
            .at(path.clone())
            .mend(remedy);
        Refusal::Unidentified(vec![(diagnostic, node.mark)])
    };
    let Some(text) = node.text() else {
        return Err(refuse(
            Code::WrongType,
            "must be text".to_owned(),
            "write it in quotes",
        ));
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if text.len() > 253 || !text.split('.').all(label) {
        let message = format!("{} is no name of an object", quote(text));
        return Err(refuse(
            Code::InvalidName,
            message,
            "small letters, digits and hyphens, like per-account",
        ));
    }
    Ok(text.to_owned())
}

fn text_field<'a>(root: &'a Node, field: &str) -> Result<(&'a str, Mark), Box<(Diagnostic, Mark)>> {
    let path = FieldPath::root().field(field);
    let refuse = |code, message, mark| Box::new((Diagnostic::error(code, message).at(path), mark));
    match root.child(field) {
        Some(node) => match node.text() {
            Some(text) => Ok((text, node.mark)),
            None => Err(refuse(Code::WrongType, "must be text", node.mark)),
        },
        None => Err(refuse(Code::Required, "must be given", root.mark)),
    }
}
