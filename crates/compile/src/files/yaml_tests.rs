//! Places, bounds and neighbours of documents.

use super::*;
use crate::path::FieldPath;

fn only(text: &str) -> Document {
    let mut documents = parse(text);
    assert_eq!(documents.len(), 1, "{text}");
    documents.remove(0)
}

fn codes(text: &str) -> Vec<(Code, usize, usize)> {
    let problems = parse(text)
        .into_iter()
        .flat_map(|document| document.problems);
    problems
        .map(|problem| (problem.code, problem.mark.line, problem.mark.column))
        .collect()
}

#[test]
fn every_value_knows_its_place() {
    let text = "# limits\n---\nkind: RateLimit\nspec:\n  limits:\n  - { unit: Recipients, count: 5 }\n  - unit: x\n";
    let root = only(text).root.unwrap();
    for (path, line, column) in [
        ("kind", 3, 7),
        ("spec", 4, 1),
        ("spec.limits", 5, 3),
        ("spec.limits[0]", 6, 5),
        ("spec.limits[0].count", 6, 32),
        ("spec.limits[1]", 7, 5),
        ("spec.limits[1].missing", 7, 5),
        ("spec.limits[9].unit", 5, 3),
    ] {
        assert_eq!(
            root.mark_of(&FieldPath::parse(path)),
            Mark { line, column },
            "{path}"
        );
    }
    assert_eq!(
        root.child("spec")
            .unwrap()
            .child("limits")
            .unwrap()
            .entry("x"),
        None
    );
}

#[test]
fn a_broken_document_spares_its_neighbours() {
    let documents = parse("a: 1\n---\nb: [\n---\nc: 3\n--- # last\nd: 4\n");
    let roots: Vec<_> = documents
        .iter()
        .map(|d| d.root.as_ref().map(Node::to_json))
        .collect();
    let json = |text: &str| Some(serde_json::from_str(text).unwrap());
    assert_eq!(
        roots,
        [
            json(r#"{"a":1}"#),
            None,
            json(r#"{"c":3}"#),
            json(r#"{"d":4}"#)
        ]
    );
    assert_eq!(documents[1].problems[0].mark.line, 4);
}

#[test]
fn idle_text_is_no_document() {
    for text in [
        "",
        "\n",
        "---\n",
        "# nothing\n---\n# here\n---\n",
        "%YAML 1.2\n",
    ] {
        assert_eq!(parse(text).len(), 0, "{text:?}");
    }
}

#[test]
fn duplicates_tags_and_merges_are_errors() {
    assert_eq!(codes("a: 1\nb: 2\na: 3\n"), [(Code::DuplicateKey, 3, 1)]);
    assert_eq!(codes("a: !secret x\n"), [(Code::YamlSyntax, 1, 4)]);
    assert_eq!(codes("a: !!str 5\n"), []);
    assert_eq!(
        codes("a: &x {b: 1}\nc: { <<: *x }\n"),
        [(Code::YamlSyntax, 2, 6)]
    );
    assert_eq!(codes("? [a]\n: b\n"), [(Code::YamlSyntax, 1, 3)]);
}

#[test]
fn aliases_repeat_and_laughs_are_refused() {
    let root = only("a: &x [1, 2]\nb: *x\n").root.unwrap();
    assert_eq!(
        root.to_json(),
        serde_json::json!({"a": [1, 2], "b": [1, 2]})
    );
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let below = format!("*a{}", level - 1);
        text.push_str(&format!(
            "a{level}: &a{level} [{}]\n",
            vec![below; 10].join(", ")
        ));
    }
    let laughs = only(&text);
    assert_eq!(
        (laughs.root, laughs.problems[0].code),
        (None, Code::TooLarge)
    );
}

#[test]
fn depth_is_bounded_also_through_aliases() {
    assert_eq!(
        codes(&format!("{}{}", "[".repeat(60), "]".repeat(60))),
        [(Code::TooLarge, 1, 50)]
    );
    // The parser has a bound of its own on brackets.
    assert_eq!(codes(&"[".repeat(100_000)).len(), 1);
    let mut text = format!("- &a0 {}x{}\n", "[".repeat(30), "]".repeat(30));
    for level in 1..2_000 {
        text.push_str(&format!("- &a{level} [*a{}]\n", level - 1));
    }
    assert_eq!(codes(&text), [(Code::TooLarge, 19, 9)]);
}
