//! Files to objects, as the API server would take them: defaults, structure, unknown fields and CEL, with the place of
//! everything that is wrong.

mod demo;
mod identity;
mod load;
mod node;
mod policy_test;
mod scalar;
mod secret;
mod source;
mod yaml;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use demo::{Demo, DemoAccount, DemoRelay};
pub(crate) use node::{Content, Mark, Node};
pub use policy_test::{
    Act, Domain, Expect, ExpectedVerdict, Origin, Outage, Password, PolicyTest, TestCase,
    TestClient, TestContent, TestMessage, TestStep, numbered,
};
pub use secret::{Secret, SecretValue};
pub use source::{MAX_FILE_BYTES, Source};

use crate::diagnostic::Diagnostic;
use crate::objects::{ObjectKey, Objects};

/// What files hold.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The objects of the API, with their places.
    pub objects: Objects,
    /// The Secrets, decoded.
    pub secrets: BTreeMap<ObjectKey, Secret>,
    /// What `sekisho up` is asked to show itself with.
    pub demos: Vec<Demo>,
    /// What the rules are expected to do, for `sekisho test`.
    pub tests: Vec<PolicyTest>,
    /// What is wrong, in the order of files and lines. A load never fails as a whole.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads files, and the `*.yaml` and `*.yml` files below folders.
pub fn load(paths: &[PathBuf]) -> Loaded {
    let (sources, problems) = source::read_paths(paths);
    load_with(&sources, problems)
}

/// Reads texts that somebody else got hold of, such as the standard input.
pub fn load_sources(sources: &[Source]) -> Loaded {
    load_with(sources, Vec::new())
}

fn load_with(sources: &[Source], problems: Vec<Diagnostic>) -> Loaded {
    let mut loader = load::Loader::new(problems);
    sources.iter().for_each(|source| loader.source(source));
    loader.finish()
}
