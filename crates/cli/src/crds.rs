//! `sekisho crds`.

use anyhow::Result;

use crate::{Outcome, output};

/// Prints the definition of each kind as YAML.
pub(crate) fn run() -> Result<Outcome> {
    let definitions: Vec<String> = sekisho_crd::render()
        .into_iter()
        .map(|(_, yaml)| yaml)
        .collect();
    output::print(&definitions.join("---\n"))?;
    Ok(Outcome::Done)
}
