//! JUnit XML, as build servers read it: a suite for each `PolicyTest`, without durations, so that equal runs are equal.

use std::fmt::Write as _;

use sekisho_compile::{Diagnostic, Position};

use super::report::{CaseReport, Ended, Report, place};

/// The suite of what keeps all cases from being run. No `PolicyTest` has a capital in its name.
const OBJECTS: &str = "Objects";

/// The whole file.
pub(super) fn xml(report: &Report) -> String {
    let mut suites: Vec<(&str, Vec<&CaseReport>)> = Vec::new();
    for case in &report.cases {
        match suites.iter_mut().find(|(name, _)| *name == case.test) {
            Some((_, cases)) => cases.push(case),
            None => suites.push((&case.test, vec![case])),
        }
    }
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let errors: Vec<&Diagnostic> = report
        .diagnostics
        .iter()
        .filter(|found| found.is_error())
        .collect();
    if !errors.is_empty() {
        add_objects(&mut text, &errors);
    }
    for (name, cases) in suites {
        let count = |is: fn(&Ended) -> bool| cases.iter().filter(|case| is(&case.ended)).count();
        let (failures, errors) = (
            count(|ended| matches!(ended, Ended::Failed(_))),
            count(|ended| matches!(ended, Ended::Broken { .. })),
        );
        let _ = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\">",
            escaped(name),
            cases.len()
        );
        for case in cases {
            add(&mut text, case);
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// Objects that are not in order, as one case that cannot be run: without it, a build server sees nothing that went wrong.
fn add_objects(text: &mut String, errors: &[&Diagnostic]) {
    let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let first = all.first().map_or("", String::as_str);
    let _ = write!(
        text,
        "  <testsuite name=\"{OBJECTS}\" tests=\"1\" failures=\"0\" errors=\"1\">\n    <testcase classname=\"{OBJECTS}\" name=\"the objects are in order\"{}>\n      <error message=\"{}\">{}</error>\n    </testcase>\n  </testsuite>\n",
        file(errors.first().and_then(|found| found.position.as_ref())),
        escaped(first),
        escaped(&all.join("\n"))
    );
}

/// The attributes that say where something is.
fn file(position: Option<&Position>) -> String {
    position.map_or_else(String::new, |position| {
        format!(
            " file=\"{}\" line=\"{}\"",
            escaped(&position.file),
            position.line
        )
    })
}

fn add(text: &mut String, case: &CaseReport) {
    let _ = write!(
        text,
        "    <testcase classname=\"{}\" name=\"{}\"{}",
        escaped(&case.test),
        escaped(&case.name),
        file(case.position.as_ref())
    );
    match &case.ended {
        Ended::Passed => text.push_str("/>\n"),
        Ended::Failed(failure) => {
            let summary = failure.summary();
            let message = summary.get(1).map_or("", String::as_str);
            let whole = format!("{}\n\n{}", summary.join("\n"), failure.text);
            let _ = write!(
                text,
                ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
                escaped(message),
                escaped(&whole)
            );
        }
        Ended::Broken { at, why } => {
            let whole = format!("{}: {why}", place(at.as_ref()));
            let _ = write!(
                text,
                ">\n      <error message=\"{}\">{}</error>\n    </testcase>\n",
                escaped(why),
                escaped(&whole)
            );
        }
    }
}

/// Text for an element or an attribute. What XML 1.0 has no place for becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push('\n'),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out() {
        assert_eq!(
            escaped("a<b>&\"c\"\u{1}\u{ffff}\n"),
            "a&lt;b&gt;&amp;&quot;c&quot;\u{fffd}\u{fffd}\n"
        );
    }
}
