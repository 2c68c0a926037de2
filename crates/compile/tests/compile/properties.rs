//! What holds for every input.

use proptest::prelude::*;
use sekisho_compile::{ObjectKey, compile};

use super::load;
use super::snapshots::{OBJECTS, snapshot};

fn documents() -> Vec<String> {
    OBJECTS.split("---\n").map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The order of documents means nothing, and neither does the file that each is in.
    #[test]
    fn permuted_documents_give_the_same_bytes(order in Just(documents()).prop_shuffle()) {
        let text = order.join("\n---\n");
        prop_assert_eq!(snapshot(&text).canonical(), snapshot(OBJECTS).canonical());
    }

    /// Whatever is done to a text, it loads, its findings are placed within it, and what is compiled from it can be put
    /// in force.
    #[test]
    fn mangled_text_loads(cuts in proptest::collection::vec((0..OBJECTS.len(), "[ -~\n]{0,8}", 0..20usize), 1..4)) {
        let mut text = OBJECTS.to_owned();
        for (at, insert, remove) in cuts {
            let at = at.min(text.len());
            let end = (at + remove).min(text.len());
            text.replace_range(at..end, &insert);
        }
        let loaded = load(&text);
        let lines = text.lines().count() + 1;
        for diagnostic in &loaded.diagnostics {
            let position = diagnostic.position.as_ref();
            prop_assert!(position.is_some_and(|p| (1..=lines).contains(&p.line)), "{}", diagnostic);
        }
        let before = snapshot(OBJECTS);
        let compiled = compile(&loaded.objects, &ObjectKey::new("default", "outbound"), Some(&before));
        if let Some(after) = compiled.snapshot {
            let envelope = sekisho_policy::Envelope::seal(1, after);
            prop_assert!(sekisho_policy::Ruleset::load(&envelope).is_ok());
        }
    }

    /// Any text at all is read or refused.
    #[test]
    fn any_text_loads(text in "[ -~\n\t\\PC]{0,200}|([a-zA-Z]{1,6}: ?[\\[{&*!|>\"'a-z0-9,}\\]]{0,6}\n ?){0,20}") {
        let loaded = load(&text);
        prop_assert!(sekisho_compile::lint(&loaded.objects).is_empty());
    }
}
