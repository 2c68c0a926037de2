//! Results for people and for programs.

use anyhow::Result;
use sekisho_compile::{Diagnostic, Position};
use sekisho_policy::decision::Said;
use sekisho_policy::record::Step;
use sekisho_policy::{FieldPath, ObjectRef, Ruleset, Timestamp};
use serde_json::{Value, json};

use super::compare::Difference;
use crate::explain::layout::{Ids, Layout, line};
use crate::explain::when::utc;
use crate::output::{Ink, Palette, visible};

/// The most steps of a session that are shown.
const MOST_STEPS: usize = 12;

/// What came of everything.
#[derive(Default)]
pub(super) struct Report {
    /// What keeps the cases from being run at all.
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) cases: Vec<CaseReport>,
}

/// What came of one case.
pub(super) struct CaseReport {
    pub(super) test: String,
    pub(super) name: String,
    pub(super) position: Option<Position>,
    pub(super) ended: Ended,
}

/// How a case ended.
pub(super) enum Ended {
    Passed,
    Failed(Box<Failure>),
    /// It cannot be run.
    Broken {
        at: Option<Position>,
        why: String,
    },
}

/// A step that is not as expected.
pub(super) struct Failure {
    pub(super) at: Option<Position>,
    /// Which time of how many.
    pub(super) repetition: (u32, u32),
    pub(super) differences: Vec<Difference>,
    /// What the rules said.
    pub(super) text: String,
}

/// What the rules said in a session, as `sekisho explain` lays it out: the steps in which some rule had more to say than
/// that it passes, and the last. Of steps in a row in which the same was said, such as of many recipients, the last stands.
pub(super) fn spoken(rules: &Ruleset, steps: &[Step]) -> String {
    let mut shown: Vec<usize> = (0..steps.len())
        .filter(|&at| match steps.get(at + 1) {
            Some(next) => {
                let (said, name) = (remarks(&steps[at]), steps[at].event.stage.name());
                !said.is_empty() && (name != next.event.stage.name() || said != remarks(next))
            }
            None => true,
        })
        .collect();
    let left_out = shown.len().saturating_sub(MOST_STEPS);
    shown.drain(..left_out);
    let layout = Layout {
        palette: Palette::Plain,
        rules: Some(rules),
        began: steps.first().map_or(Timestamp(0), |step| step.event.at),
        ids: Ids::Hidden,
    };
    let mut text = String::new();
    if let Some(first) = steps.first() {
        line(
            &mut text,
            format_args!(
                "at {}, from {}",
                utc(first.event.at),
                first.event.session.source.ip
            ),
        );
    }
    for at in shown {
        text.push_str(&layout.step(at + 1, &steps[at]));
    }
    text
}

/// What was said beyond that something passes.
fn remarks(step: &Step) -> Vec<(&ObjectRef, &FieldPath, Said)> {
    let findings = step.decision.findings.iter();
    findings
        .filter(|finding| finding.said != Said::Pass)
        .map(|finding| (&*finding.object, &finding.part, finding.said))
        .collect()
}

impl Report {
    /// Passed, failed, broken.
    fn counts(&self) -> (usize, usize, usize) {
        let count =
            |is: fn(&Ended) -> bool| self.cases.iter().filter(|case| is(&case.ended)).count();
        (
            count(|ended| matches!(ended, Ended::Passed)),
            count(|ended| matches!(ended, Ended::Failed(_))),
            count(|ended| matches!(ended, Ended::Broken { .. })),
        )
    }

    pub(super) fn text(&self, palette: Palette) -> String {
        let mut text = String::new();
        for diagnostic in &self.diagnostics {
            let ink = if diagnostic.is_error() {
                Ink::Bad
            } else {
                Ink::Warning
            };
            line(
                &mut text,
                format_args!("{}", palette.paint(ink, &visible(&diagnostic.to_string()))),
            );
        }
        for case in &self.cases {
            text.push_str(&case.text(palette));
        }
        let (passed, failed, broken) = self.counts();
        let ending = match (self.diagnostics.is_empty(), self.cases.is_empty()) {
            (false, _) => "no case was run: the objects are not in order".to_owned(),
            (true, true) => "no case was run: there is none, or none by that name".to_owned(),
            (true, false) => format!("{passed} passed, {failed} failed, {broken} could not be run"),
        };
        line(
            &mut text,
            format_args!("{}", palette.paint(Ink::Strong, &ending)),
        );
        text
    }

    pub(super) fn json(&self) -> Result<String> {
        let (passed, failed, broken) = self.counts();
        let cases: Vec<Value> = self.cases.iter().map(CaseReport::json).collect();
        let report = json!({
            "diagnostics": self.diagnostics, "cases": cases, "passed": passed, "failed": failed, "broken": broken,
        });
        Ok(format!("{}\n", serde_json::to_string_pretty(&report)?))
    }
}

impl CaseReport {
    fn text(&self, palette: Palette) -> String {
        let title = visible(&format!("{}: {}", self.test, self.name));
        let mut text = String::new();
        match &self.ended {
            Ended::Passed => line(
                &mut text,
                format_args!("{}  {title}", palette.paint(Ink::Good, "pass ")),
            ),
            Ended::Broken { at, why } => {
                line(
                    &mut text,
                    format_args!("{}  {title}", palette.paint(Ink::Bad, "ERROR")),
                );
                line(
                    &mut text,
                    format_args!("       {}: {}", place(at.as_ref()), visible(why)),
                );
            }
            Ended::Failed(failure) => {
                line(
                    &mut text,
                    format_args!("{}  {title}", palette.paint(Ink::Bad, "FAIL ")),
                );
                for row in failure.summary() {
                    line(
                        &mut text,
                        format_args!("       {}", palette.paint(Ink::Bad, &visible(&row))),
                    );
                }
                for row in failure.text.lines() {
                    line(&mut text, format_args!("       {row}"));
                }
            }
        }
        text
    }

    fn json(&self) -> Value {
        let position = self.position.as_ref();
        let mut case = json!({
            "test": self.test, "case": self.name, "file": position.map(|p| &p.file), "line": position.map(|p| p.line),
        });
        match &self.ended {
            Ended::Passed => case["result"] = "Passed".into(),
            Ended::Broken { at, why } => {
                case["result"] = "Broken".into();
                case["at"] = place(at.as_ref()).into();
                case["why"] = why.as_str().into();
            }
            Ended::Failed(failure) => {
                case["result"] = "Failed".into();
                case["at"] = place(failure.at.as_ref()).into();
                case["repetition"] = failure.repetition.0.into();
                case["differences"] = json!(failure.differences);
            }
        }
        case
    }
}

impl Failure {
    /// Where, and what is not as expected, one line each.
    pub(super) fn summary(&self) -> Vec<String> {
        let (time, times) = self.repetition;
        let which = if times > 1 {
            format!(", time {time} of {times}")
        } else {
            String::new()
        };
        let mut rows = vec![format!("{}{which}", place(self.at.as_ref()))];
        let width = self
            .differences
            .iter()
            .map(|difference| difference.what.len())
            .max()
            .unwrap_or(0);
        rows.extend(self.differences.iter().map(
            |Difference {
                 what,
                 expected,
                 got,
             }| { format!("{what:width$}  expected {expected}, got {got}") },
        ));
        rows
    }
}

/// Where something is, for people and for their editors.
pub(super) fn place(position: Option<&Position>) -> String {
    position.map_or_else(|| "somewhere".to_owned(), ToString::to_string)
}
