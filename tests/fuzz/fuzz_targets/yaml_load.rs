//! Files of objects: any text is read or refused at a place within it, and what is compiled from it can be put in force.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use sekisho_compile::files::{Source, load_sources};
use sekisho_compile::{Completeness, compile};
use sekisho_policy::{Envelope, Ruleset};

fuzz_target!(|text: &str| {
    let source = [Source::inline("fuzz.yaml", Path::new(""), text)];
    let loaded = load_sources(&source);
    let lines = text.lines().count().max(1) + 1;
    for diagnostic in &loaded.diagnostics {
        let position = diagnostic.position.as_ref().expect("what is wrong in a file has a place");
        assert!((1..=lines).contains(&position.line) && position.column >= 1, "{diagnostic}");
    }
    // A document that could not be read leaves its mark, so that nothing of it is taken for deleted.
    if text.contains("kind: RateLimit") && loaded.diagnostics.is_empty() {
        assert_eq!(loaded.objects.completeness, Completeness::Complete);
    }
    let again = load_sources(&source);
    assert_eq!(again.diagnostics, loaded.diagnostics);

    for gateway in loaded.objects.gateways.keys() {
        let compiled = compile(&loaded.objects, gateway, None);
        let Some(snapshot) = compiled.snapshot else { continue };
        let envelope = Envelope::seal(1, snapshot.clone());
        let read = Envelope::read(&serde_json::to_vec(&envelope).expect("a snapshot is JSON")).expect("it reads back");
        assert_eq!(read, envelope);
        Ruleset::load(&read).expect("what is compiled can be put in force");
        // Compiled again with itself as the past, it stays the same.
        let next = compile(&loaded.objects, gateway, Some(&snapshot));
        assert_eq!(next.snapshot.as_ref().map(sekisho_policy::Snapshot::canonical), Some(snapshot.canonical()));
    }
});
