//! `sekisho lint`: what the API server would say of each object, and what only all of them together show.

use std::io::stdin;
use std::path::Path;

use anyhow::Result;
use sekisho_compile::Diagnostic;
use serde_json::json;

use crate::Outcome;
use crate::args::{Lint, OutputFormat};
use crate::objects::Compiled;
use crate::output::{self, Ink, Palette, visible};

pub(crate) fn run(command: &Lint) -> Result<Outcome> {
    let compiled = if command.objects == Path::new("-") {
        Compiled::read_from(stdin().lock())
    } else {
        Compiled::read(&command.objects)
    };
    let diagnostics = &compiled.diagnostics;
    let errors = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error())
        .count();
    let warnings = diagnostics.len() - errors;
    output::print(&match command.format {
        OutputFormat::Text => text(diagnostics, errors, warnings, Palette::of_stdout()),
        OutputFormat::Json => {
            let report =
                json!({ "diagnostics": diagnostics, "errors": errors, "warnings": warnings });
            format!("{}\n", serde_json::to_string_pretty(&report)?)
        }
    })?;
    Ok(if errors == 0 {
        Outcome::Done
    } else {
        Outcome::Wanting
    })
}

fn text(diagnostics: &[Diagnostic], errors: usize, warnings: usize, palette: Palette) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        let ink = if diagnostic.is_error() {
            Ink::Bad
        } else {
            Ink::Warning
        };
        text.push_str(&palette.paint(ink, &visible(&diagnostic.to_string())));
        text.push('\n');
    }
    text.push_str(&format!(
        "{}, {}\n",
        count(errors, "error"),
        count(warnings, "warning")
    ));
    text
}

fn count(number: usize, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}
