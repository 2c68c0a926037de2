//! What the proxy says to clients and to next hops, seen from outside.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod channel;
mod dialogue;
mod fronts;
mod gateway;
mod hostile;
mod logins;
mod oracle;
mod protection;
mod releases;
mod sessions;
mod smuggling;
mod tls_ends;
mod world;

use std::path::Path;

/// Every conversation in `tests/dialogues` goes as it is written there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialogues() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dialogues");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "smtp")
        })
        .collect();
    files.sort();
    assert!(
        files.len() >= 40,
        "only {} dialogues in {}",
        files.len(),
        folder.display()
    );
    let running: Vec<_> = files
        .into_iter()
        .map(|file| tokio::spawn(dialogue::play(file)))
        .collect();
    let mut failures = Vec::new();
    for dialogue in running {
        failures.extend(dialogue.await.unwrap().err());
    }
    assert!(
        failures.is_empty(),
        "{} dialogues went otherwise:\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}
