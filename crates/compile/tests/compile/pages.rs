//! The YAML on the pages of documentation: each example stands for itself, and lint has nothing to say of it.

use std::fs;
use std::path::Path;

/// Each fenced block of YAML on a page.
fn examples(page: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(page);
    let text = fs::read_to_string(path).unwrap();
    let blocks = text.split("```yaml\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn examples_of_next_hops_are_good() {
    are_good("relays.md", 5);
}

#[test]
fn examples_of_tokens_are_good() {
    are_good("tokens.md", 4);
}

#[track_caller]
fn are_good(page: &str, least: usize) {
    let examples = examples(page);
    assert!(
        examples.len() >= least,
        "only {} examples found",
        examples.len()
    );
    for example in examples {
        let loaded = super::load(&example);
        assert_eq!(super::lint(&loaded), Vec::<String>::new(), "{example}");
    }
}
