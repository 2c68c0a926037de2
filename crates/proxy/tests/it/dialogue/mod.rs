//! Conversations as text: a gateway with the objects that the file names, clients over pipes, next hops over loopback. The
//! format is described in `tests/dialogues/README.md`.

mod asns;
mod ends;
mod engine;
mod hop;
mod names;
mod pattern;
mod script;
mod stage;

use std::path::PathBuf;

use script::Script;
use stage::Stage;

/// Plays one file; an error says what came instead of what was written, and where.
pub(crate) async fn play(path: PathBuf) -> Result<(), String> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))?;
    let script = Script::parse(&text).map_err(|(line, fault)| format!("{name}:{line}: {fault}"))?;
    let mut stage = Stage::default();
    for step in &script.steps {
        stage
            .play(step)
            .await
            .map_err(|fault| format!("{name}:{}: {fault}", step.line))?;
    }
    stage
        .finish()
        .await
        .map_err(|fault| format!("{name}: at the end: {fault}"))
}
