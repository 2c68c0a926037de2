//! One document after the other to objects, in the order of the API server: kind, name, defaults, structure, CEL.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sekisho_crd::{
    AbuseRuleSpec, CountryRuleSpec, EgressPoolSpec, Kind, LoginGuardSpec, MailGatewaySpec,
    NotificationChannelSpec, RateLimitSpec, SubmissionPolicySpec,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::demo::{self, Demo, DemoSpec};
use super::identity::{self, Family, Identity, Refusal};
use super::node::{Content, Mark, Node};
use super::policy_test;
use super::source::Source;
use super::{Loaded, secret, yaml};
use crate::admit::{Finding, KindSchema, checked_body, checked_spec, from_json};
use crate::diagnostic::{Code, Diagnostic, Position, sort};
use crate::objects::{Completeness, Object, ObjectName, Origin, SecretKeys, Spec, State, name_of};
use crate::path::FieldPath;

/// The most objects of one load.
const MAX_OBJECTS: usize = 50_000;

/// Gathers what the sources hold.
pub(super) struct Loader {
    loaded: Loaded,
    seen: BTreeMap<ObjectName, Position>,
}

/// The document that is being read.
struct Reading<'a> {
    source: &'a Source,
    root: Arc<Node>,
    /// Problems of the text that the document was read from.
    damaged: bool,
}

impl Reading<'_> {
    fn position(&self, mark: Mark) -> Option<Position> {
        Some(Position {
            file: Arc::clone(&self.source.name),
            line: mark.line,
            column: mark.column,
        })
    }

    fn origin(&self) -> Origin {
        Origin {
            file: Arc::clone(&self.source.name),
            document: Arc::clone(&self.root),
        }
    }
}

impl Loader {
    /// A loader that begins with what went wrong before: files that could not be read leave the set incomplete.
    pub(super) fn new(diagnostics: Vec<Diagnostic>) -> Self {
        let mut loaded = Loaded::default();
        if !diagnostics.is_empty() {
            loaded.objects.completeness = Completeness::Partial;
        }
        loaded.diagnostics = diagnostics;
        Self {
            loaded,
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn finish(mut self) -> Loaded {
        sort(&mut self.loaded.diagnostics);
        self.loaded
    }

    pub(super) fn source(&mut self, source: &Source) {
        for document in yaml::parse(&source.text) {
            let damaged = !document.problems.is_empty();
            for problem in document.problems {
                let Mark { line, column } = problem.mark;
                let position = Position {
                    file: Arc::clone(&source.name),
                    line,
                    column,
                };
                let diagnostic =
                    Diagnostic::error(problem.code, problem.message).mend(problem.remedy);
                self.loaded
                    .diagnostics
                    .push(diagnostic.in_file(Some(position)));
            }
            match document.root {
                Some(root) => self.document(Reading {
                    source,
                    root: Arc::new(root),
                    damaged,
                }),
                None => self.loaded.objects.completeness = Completeness::Partial,
            }
        }
    }

    fn document(&mut self, reading: Reading<'_>) {
        if reading.root.content == Content::Null {
            return;
        }
        match identity::family(&reading.root) {
            Ok(Family::List) => self.list(&reading),
            Ok(family) => match identity::identify(&reading.root, family) {
                Ok(identity) => self.object(&reading, identity),
                Err(refusal) => self.refuse(&reading, refusal),
            },
            Err(refusal) => self.refuse(&reading, refusal),
        }
    }

    fn list(&mut self, reading: &Reading<'_>) {
        let Some(Content::List(items)) = reading.root.child("items").map(|items| &items.content)
        else {
            return;
        };
        for item in items {
            let root = Arc::new(item.clone());
            self.document(Reading {
                source: reading.source,
                root,
                damaged: reading.damaged,
            });
        }
    }

    fn refuse(&mut self, reading: &Reading<'_>, refusal: Refusal) {
        let problems = match refusal {
            Refusal::Foreign(diagnostic, mark) => vec![(*diagnostic, mark)],
            Refusal::Unidentified(problems) => {
                self.loaded.objects.completeness = Completeness::Partial;
                problems
            }
        };
        for (diagnostic, mark) in problems {
            self.loaded
                .diagnostics
                .push(diagnostic.in_file(reading.position(mark)));
        }
    }

    fn object(&mut self, reading: &Reading<'_>, identity: Identity) {
        let position = Position {
            file: Arc::clone(&reading.source.name),
            line: reading.root.mark.line,
            column: 1,
        };
        if self.seen.len() >= MAX_OBJECTS {
            self.loaded.objects.completeness = Completeness::Partial;
            let diagnostic =
                Diagnostic::error(Code::TooLarge, format!("more than {MAX_OBJECTS} objects"));
            self.loaded
                .diagnostics
                .push(diagnostic.in_file(Some(position)));
            return;
        }
        let first = self.seen.get(&identity.name()).cloned();
        self.seen
            .entry(identity.name())
            .or_insert_with(|| position.clone());
        for (diagnostic, mark) in &identity.problems {
            let diagnostic = diagnostic
                .clone()
                .of(identity.name())
                .in_file(reading.position(*mark));
            self.loaded.diagnostics.push(diagnostic);
        }
        if let Some(first) = first {
            let diagnostic = Diagnostic::error(
                Code::DuplicateObject,
                format!("is already defined at {first}"),
            );
            let diagnostic = diagnostic
                .of(identity.name())
                .mend("keep one of them, or give it another name");
            self.loaded
                .diagnostics
                .push(diagnostic.in_file(Some(position)));
            self.invalidate(reading, &identity);
            return;
        }
        match identity.family {
            Family::Kind(kind) => self.kind(reading, kind, identity),
            Family::Secret => self.secret(reading, identity),
            Family::Demo => self.demo(reading, identity),
            Family::PolicyTest => self.policy_test(reading, identity),
            Family::List => {}
        }
    }

    /// Of two objects with one name neither is taken: nobody can say which was meant.
    fn invalidate(&mut self, reading: &Reading<'_>, identity: &Identity) {
        match identity.family {
            Family::Kind(Kind::MailGateway) => {
                self.insert_invalid::<MailGatewaySpec>(reading, identity)
            }
            Family::Kind(Kind::SubmissionPolicy) => {
                self.insert_invalid::<SubmissionPolicySpec>(reading, identity)
            }
            Family::Kind(Kind::CountryRule) => {
                self.insert_invalid::<CountryRuleSpec>(reading, identity)
            }
            Family::Kind(Kind::RateLimit) => {
                self.insert_invalid::<RateLimitSpec>(reading, identity)
            }
            Family::Kind(Kind::LoginGuard) => {
                self.insert_invalid::<LoginGuardSpec>(reading, identity)
            }
            Family::Kind(Kind::EgressPool) => {
                self.insert_invalid::<EgressPoolSpec>(reading, identity)
            }
            Family::Kind(Kind::AbuseRule) => {
                self.insert_invalid::<AbuseRuleSpec>(reading, identity)
            }
            Family::Kind(Kind::NotificationChannel) => {
                self.insert_invalid::<NotificationChannelSpec>(reading, identity)
            }
            Family::Secret => drop(self.loaded.secrets.remove(&identity.key)),
            Family::Demo | Family::PolicyTest | Family::List => {}
        }
    }

    fn insert_invalid<S: Spec>(&mut self, reading: &Reading<'_>, identity: &Identity) {
        self.insert::<S>(reading, identity, State::Invalid);
    }

    fn insert<S: Spec>(&mut self, reading: &Reading<'_>, identity: &Identity, state: State<S>) {
        let object = Object {
            created: identity.created.clone(),
            state,
            origin: Some(reading.origin()),
        };
        self.loaded.objects.insert(identity.key.clone(), object);
    }

    fn kind(&mut self, reading: &Reading<'_>, kind: Kind, identity: Identity) {
        match kind {
            Kind::MailGateway => self.typed(reading, identity, anchor_paths),
            Kind::SubmissionPolicy => {
                self.typed::<SubmissionPolicySpec>(reading, identity, as_it_is)
            }
            Kind::CountryRule => self.typed::<CountryRuleSpec>(reading, identity, as_it_is),
            Kind::RateLimit => self.typed::<RateLimitSpec>(reading, identity, as_it_is),
            Kind::LoginGuard => self.typed::<LoginGuardSpec>(reading, identity, as_it_is),
            Kind::EgressPool => self.typed::<EgressPoolSpec>(reading, identity, as_it_is),
            Kind::AbuseRule => self.typed::<AbuseRuleSpec>(reading, identity, as_it_is),
            Kind::NotificationChannel => {
                self.typed::<NotificationChannelSpec>(reading, identity, as_it_is)
            }
        }
    }

    /// Checks an object of one of the kinds and reads its spec.
    fn typed<S: Spec + DeserializeOwned>(
        &mut self,
        reading: &Reading<'_>,
        identity: Identity,
        place: fn(&mut S, &Path),
    ) {
        let name = name_of::<S>(&identity.key);
        let (spec, mut problems) = checked_spec(
            KindSchema::of(S::KIND),
            reading.root.to_json(),
            Some(&reading.root),
            &identity.key,
        );
        let state = match spec.map(|spec| from_json::<S>(spec, &FieldPath::spec())) {
            Some(Ok(mut spec)) if !reading.damaged && identity.problems.is_empty() => {
                place(&mut spec, &reading.source.folder);
                State::Valid(Box::new(spec))
            }
            Some(Err(problem)) => {
                problems.push(Finding::at_its_field(*problem));
                State::Invalid
            }
            _ => State::Invalid,
        };
        self.report(reading, &name, problems);
        self.insert(reading, &identity, state);
    }

    fn secret(&mut self, reading: &Reading<'_>, identity: Identity) {
        let (value, problems) = checked_body(&secret::schema(), &reading.root);
        self.report(reading, &identity.name(), problems);
        let mut keys = SecretKeys::Unread;
        match value.map(|value| secret::decode(&value)) {
            Some(Ok(secret)) if !reading.damaged => {
                keys = secret.keys();
                drop(self.loaded.secrets.insert(identity.key.clone(), secret))
            }
            Some(Err(problems)) => {
                let findings = problems.into_iter().map(Finding::at_its_field);
                self.report(reading, &identity.name(), findings.collect());
            }
            _ => {}
        }
        self.loaded.objects.secrets.insert(identity.key, keys);
    }

    fn demo(&mut self, reading: &Reading<'_>, identity: Identity) {
        let schema = json!({ "type": "object", "properties": { "spec": demo::schema() }, "required": ["spec"] });
        let (value, mut problems) = checked_body(&schema, &reading.root);
        let spec =
            value.map(|mut value| from_json::<DemoSpec>(value["spec"].take(), &FieldPath::spec()));
        match spec {
            Some(Ok(DemoSpec { relays, accounts })) => {
                self.loaded.demos.push(Demo {
                    key: identity.key.clone(),
                    relays,
                    accounts,
                });
            }
            Some(Err(problem)) => problems.push(Finding::at_its_field(*problem)),
            None => {}
        }
        self.report(reading, &identity.name(), problems);
    }

    fn policy_test(&mut self, reading: &Reading<'_>, identity: Identity) {
        let schema = json!({ "type": "object", "properties": { "spec": policy_test::schema() }, "required": ["spec"] });
        let (value, mut problems) = checked_body(&schema, &reading.root);
        let raw = value.map(|mut value| from_json(value["spec"].take(), &FieldPath::spec()));
        match raw {
            Some(Ok(raw)) => {
                let position = |path: &FieldPath| reading.position(reading.root.mark_of(path));
                let (test, wrong) =
                    policy_test::read(raw, identity.key.clone(), &reading.source.folder, position);
                problems.extend(wrong.into_iter().map(Finding::at_its_field));
                self.loaded.tests.push(test);
            }
            Some(Err(problem)) => problems.push(Finding::at_its_field(*problem)),
            None => {}
        }
        self.report(reading, &identity.name(), problems);
    }

    fn report(&mut self, reading: &Reading<'_>, name: &ObjectName, findings: Vec<Finding>) {
        for Finding { diagnostic, mark } in findings {
            let mark = mark.unwrap_or_else(|| reading.root.mark_of(&diagnostic.field));
            self.loaded
                .diagnostics
                .push(diagnostic.of(name.clone()).in_file(reading.position(mark)));
        }
    }
}

/// Relative paths of files start from the folder of the YAML file.
fn anchor_paths(spec: &mut MailGatewaySpec, folder: &Path) {
    let anchor = |path: &mut String| *path = folder.join(&*path).to_string_lossy().into_owned();
    let files = spec
        .authentication
        .backends
        .iter_mut()
        .filter_map(|backend| backend.accounts_file.as_mut());
    files.for_each(|file| anchor(&mut file.path));
    let backends = spec.authentication.backends.iter_mut();
    let keys = backends.filter_map(|backend| backend.service_account.as_mut()?.jwks.as_mut());
    keys.for_each(anchor);
    let databases = spec
        .geo
        .iter_mut()
        .flat_map(|geo| [geo.country_database.as_mut(), geo.asn_database.as_mut()]);
    databases
        .flatten()
        .for_each(|database| anchor(&mut database.path));
}

fn as_it_is<S>(_: &mut S, _: &Path) {}
