//! `sekisho test`: runs the cases of `PolicyTest` objects against the rules beside them, by the engine of a running gateway.

mod bench;
mod compare;
mod compose;
mod history;
mod junit;
mod report;
mod run;
mod seen;

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result};
use sekisho_compile::files::PolicyTest;

use self::bench::Bench;
use self::report::{CaseReport, Ended, Report};
use crate::args::{OutputFormat, Test};
use crate::objects::Compiled;
use crate::output::{self, Palette};
use crate::{Outcome, complain};

pub(crate) async fn run(command: &Test) -> Result<Outcome> {
    let compiled = Compiled::read_all(&command.objects);
    let mut report = Report::default();
    if compiled.diagnostics.iter().any(|found| found.is_error()) {
        // Rules that lack one of their objects are not those that the cases are about.
        report.diagnostics.clone_from(&compiled.diagnostics);
    } else {
        report.cases = run_all(&compiled, command.filter.as_deref()).await;
    }
    output::print(&match command.format {
        OutputFormat::Text => report.text(Palette::of_stdout()),
        OutputFormat::Json => report.json()?,
    })?;
    if let Some(path) = &command.junit
        && let Err(error) = fs::write(path, junit::xml(&report))
    {
        complain(&anyhow::Error::new(error).context(format!("--junit {}", path.display())));
        return Ok(Outcome::Idle);
    }
    Ok(if report.cases.is_empty() {
        Outcome::Idle
    } else if report
        .cases
        .iter()
        .all(|case| matches!(case.ended, Ended::Passed))
    {
        Outcome::Done
    } else {
        Outcome::Wanting
    })
}

async fn run_all(compiled: &Compiled, filter: Option<&str>) -> Vec<CaseReport> {
    let mut benches = BTreeMap::new();
    for envelope in compiled.envelopes() {
        let object = &envelope.snapshot.gateway.object;
        let name = (object.namespace.clone(), object.name.clone());
        benches.insert(name, Bench::new(envelope));
    }
    let mut cases = Vec::new();
    for test in &compiled.tests {
        let is_wanted = |name: &str| {
            filter.is_none_or(|text| format!("{}: {name}", test.key.name).contains(text))
        };
        for case in test.cases.iter().filter(|case| is_wanted(&case.name)) {
            let ended = match bench_of(test, &benches) {
                Ok(bench) => run::case(bench, case).await,
                Err(error) => Ended::Broken {
                    at: case.position.clone(),
                    why: format!("{error:#}"),
                },
            };
            cases.push(CaseReport {
                test: test.key.name.clone(),
                name: case.name.clone(),
                position: case.position.clone(),
                ended,
            });
        }
    }
    cases
}

type Benches = BTreeMap<(String, String), Result<Bench>>;

/// The gateway that a test names, or the only one of its namespace.
fn bench_of<'b>(test: &PolicyTest, benches: &'b Benches) -> Result<&'b Bench> {
    let namespace = &test.key.namespace;
    let near: Vec<_> = benches
        .iter()
        .filter(|((place, _), _)| place == namespace)
        .collect();
    let names = || {
        near.iter()
            .map(|((_, name), _)| name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let found = match (&test.gateway, near.as_slice()) {
        (Some(wanted), _) => near
            .iter()
            .find(|((_, name), _)| name == wanted)
            .map(|(_, bench)| *bench),
        (None, [(_, only)]) => Some(*only),
        (None, _) => None,
    };
    let bench = found.with_context(|| match (&test.gateway, near.is_empty()) {
        (_, true) => format!("the namespace {namespace} has no gateway with valid rules"),
        (Some(wanted), _) => format!("there is no gateway {wanted}; there is: {}", names()),
        (None, _) => format!("say which gateway with spec.gateway: {}", names()),
    })?;
    bench.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))
}
