//! The crate from outside: lint cases as files, snapshots from objects, and what holds for all of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod cases;
mod cluster;
mod keeping;
mod pages;
mod properties;
mod snapshots;

use std::path::Path;

use sekisho_compile::files::{Loaded, Source, load_sources};

/// Loads one text.
fn load(text: &str) -> Loaded {
    load_sources(&[Source::inline("objects.yaml", Path::new(""), text)])
}

/// Everything that lint says of a load, one line each.
fn lint(loaded: &Loaded) -> Vec<String> {
    let mut diagnostics = loaded.diagnostics.clone();
    diagnostics.extend(sekisho_compile::lint(&loaded.objects));
    sekisho_compile::sort(&mut diagnostics);
    diagnostics.iter().map(ToString::to_string).collect()
}
