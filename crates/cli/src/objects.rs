//! Files to snapshots: what `up`, `lint`, `test` and `explain` have in common.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sekisho_compile::files::{self, Demo, Loaded, PolicyTest, Secret, Source};
use sekisho_compile::{Diagnostic, ObjectKey, Platform, compile_all, sort};
use sekisho_policy::snapshot::Kind;
use sekisho_policy::{Envelope, ObjectRef, Snapshot};

/// What files say, compiled.
pub(crate) struct Compiled {
    /// Each gateway, and the body of its next snapshot unless there is none to go by.
    pub(crate) gateways: BTreeMap<ObjectRef, Option<Snapshot>>,
    pub(crate) secrets: BTreeMap<ObjectKey, Secret>,
    pub(crate) demos: Vec<Demo>,
    pub(crate) tests: Vec<PolicyTest>,
    /// What is wrong, in the order of files and lines.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Compiled {
    /// Reads a file or a folder, without a past.
    pub(crate) fn read(path: &Path) -> Self {
        Self::read_all(&[path.to_owned()])
    }

    /// Reads files and folders together, without a past.
    pub(crate) fn read_all(paths: &[PathBuf]) -> Self {
        Self::linted(files::load(paths))
    }

    /// Reads a stream, such as standard input. Relative paths in it start from the current folder.
    pub(crate) fn read_from(stream: impl Read) -> Self {
        match Source::from_reader("-", Path::new("."), stream) {
            Ok(source) => Self::linted(files::load_sources(&[source])),
            Err(problem) => Self::linted(Loaded {
                diagnostics: vec![*problem],
                ..Loaded::default()
            }),
        }
    }

    /// Reads a file or a folder for `sekisho up`, after a past: objects that are invalid now keep the rules that they have
    /// in `last`.
    pub(crate) fn after(path: &Path, last: &BTreeMap<ObjectRef, Snapshot>) -> Self {
        let mut loaded = files::load(&[path.to_owned()]);
        loaded.objects.platform = Platform::Standalone;
        let last = last
            .iter()
            .map(|(name, snapshot)| (ObjectKey::new(&*name.namespace, &*name.name), snapshot));
        Self::assemble(loaded, &last.collect())
    }

    fn linted(loaded: Loaded) -> Self {
        Self::assemble(loaded, &BTreeMap::new())
    }

    fn assemble(loaded: Loaded, last: &BTreeMap<ObjectKey, &Snapshot>) -> Self {
        let Loaded {
            objects,
            secrets,
            demos,
            tests,
            mut diagnostics,
        } = loaded;
        let compiled = compile_all(&objects, last);
        diagnostics.extend(compiled.diagnostics);
        sort(&mut diagnostics);
        let gateways = compiled.gateways.into_iter();
        Self {
            gateways: gateways
                .map(|(key, snapshot)| (gateway_ref(&key), snapshot))
                .collect(),
            secrets,
            demos,
            tests,
            diagnostics,
        }
    }

    /// The snapshots as they would be named if they were the first.
    pub(crate) fn envelopes(&self) -> Vec<Envelope> {
        self.gateways
            .values()
            .flatten()
            .map(|snapshot| Envelope::seal(1, snapshot.clone()))
            .collect()
    }

    /// The kind, namespace and name of each object that is not accepted.
    pub(crate) fn invalid(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let errors = self
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.is_error());
        errors
            .filter_map(|diagnostic| diagnostic.object.as_ref())
            .map(|object| {
                (
                    object.kind.as_str(),
                    object.namespace.as_str(),
                    object.name.as_str(),
                )
            })
    }
}

fn gateway_ref(key: &ObjectKey) -> ObjectRef {
    ObjectRef {
        kind: Kind::MailGateway,
        namespace: key.namespace.clone(),
        name: key.name.clone(),
    }
}

/// Whether the files can be read at all, whatever they say.
///
/// # Errors
/// The file or folder is not there, or not for this process to read.
pub(crate) fn probe(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        std::fs::read_dir(path).map(drop)
    } else {
        std::fs::File::open(path).map(drop)
    }
}
