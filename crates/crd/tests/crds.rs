//! The generated definitions: fresh on disk, structural, small, and with rules that the API server can afford.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use kube_cel::{CompiledSchema, ScopeContext, WarningKind, analyze_rule, compile_schema};
use sekisho_crd::{Kind, all, form_of, render, schema};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds")
}

/// Words of CEL that are names of fields only in underscores.
const RESERVED: [&str; 18] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
    "while",
];

/// Writes `crds/` anew: `cargo test -p sekisho-crd -- --ignored bless`.
#[test]
#[ignore = "writes crds/ anew; run it after changing a kind"]
fn bless() {
    fs::create_dir_all(folder()).unwrap();
    for (name, text) in render() {
        fs::write(folder().join(name), text).unwrap();
    }
}

#[test]
fn files_are_fresh() {
    let rendered = render();
    for (name, text) in &rendered {
        let on_disk = fs::read_to_string(folder().join(name)).unwrap_or_default();
        assert!(
            on_disk == *text,
            "crds/{name} is stale: cargo test -p sekisho-crd -- --ignored bless"
        );
    }
    let names: BTreeSet<String> = rendered.into_iter().map(|(name, _)| name).collect();
    let files = fs::read_dir(folder())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(
        files.collect::<BTreeSet<_>>(),
        names,
        "crds/ holds what is generated and nothing else"
    );
}

#[test]
fn definitions_are_small() {
    for (name, text) in render() {
        assert!(text.len() < 256 * 1024, "{name} has {} bytes", text.len());
    }
}

#[test]
fn definitions_are_namespaced_and_of_our_category() {
    for definition in all() {
        let names = &definition.spec.names;
        assert_eq!(definition.spec.scope, "Namespaced");
        assert_eq!(
            names.categories.as_deref(),
            Some(["sekisho".to_owned()].as_slice())
        );
        assert_eq!(
            names.short_names.as_ref().map(Vec::len),
            Some(1),
            "{}",
            names.kind
        );
        let version = &definition.spec.versions[0];
        assert!(
            version
                .subresources
                .as_ref()
                .is_some_and(|s| s.status.is_some()),
            "{} has a status",
            names.kind
        );
    }
}

/// `kubectl get` shows what an operator asks first, and `-o wide` why.
#[test]
fn every_kind_has_its_columns() {
    for definition in all() {
        let kind = &definition.spec.names.kind;
        let columns = definition.spec.versions[0]
            .additional_printer_columns
            .as_deref()
            .unwrap_or_default();
        let named = |wide: bool| {
            columns
                .iter()
                .filter(move |column| (column.priority.unwrap_or(0) > 0) == wide)
                .map(|column| column.name.as_str())
        };
        let narrow: Vec<&str> = named(false).collect();
        let (own, common) = narrow.split_at(narrow.len() - 4);
        assert_eq!(common, ["Accepted", "Programmed", "State", "Age"], "{kind}");
        assert!((1..=2).contains(&own.len()), "{kind} shows {own:?}");
        assert!(named(true).any(|name| name == "Reason"), "{kind}");
        let programmed = columns.iter().find(|column| column.name == "Programmed");
        assert_eq!(
            programmed.map(|column| column.json_path.as_str()),
            Some(".status.programmed")
        );
    }
}

/// Server-side apply merges lists of named things by name.
#[test]
fn lists_of_named_things_are_maps() {
    for_each_node(&mut |path, node| {
        if node["items"]["properties"].get("name").is_some() {
            let keys = &node["x-kubernetes-list-map-keys"];
            let keys = keys.as_array().map(Vec::as_slice).unwrap_or_default();
            assert!(keys.contains(&"name".into()), "{path} merges by {keys:?}");
        }
    });
}

/// What a file says of a list with a default takes the default's place: a set or a map would be merged with it at the next apply.
#[test]
fn lists_with_defaults_are_replaced_as_a_whole() {
    let mut seen = 0;
    for_each_node(&mut |path, node| {
        let default = node.get("default").and_then(Value::as_array);
        if default.is_some_and(|default| !default.is_empty()) {
            seen += 1;
            let merges = &node["x-kubernetes-list-type"];
            assert!(
                merges.is_null() || merges == "atomic",
                "{path} is a {merges}"
            );
        }
    });
    assert!(seen >= 2, "backends and mechanisms have defaults");
}

/// Calls `visit` with the path and the map of every node of a schema.
fn walk(schema: &Value, path: &str, visit: &mut dyn FnMut(&str, &Value)) {
    visit(path, schema);
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, child) in properties {
            walk(child, &format!("{path}.{name}"), visit);
        }
    }
    if let Some(items) = schema.get("items") {
        walk(items, &format!("{path}[]"), visit);
    }
    if let Some(values) = schema.get("additionalProperties") {
        walk(values, &format!("{path}{{}}"), visit);
    }
}

fn for_each_node(visit: &mut dyn FnMut(&str, &Value)) {
    for kind in Kind::ALL {
        walk(&schema(kind), kind.as_str(), visit);
    }
}

#[test]
fn every_node_is_structural() {
    const KNOWN: [&str; 22] = [
        "type",
        "properties",
        "required",
        "items",
        "additionalProperties",
        "description",
        "default",
        "enum",
        "format",
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-validations",
        "nullable",
    ];
    for_each_node(&mut |path, node| {
        let map = node
            .as_object()
            .unwrap_or_else(|| panic!("{path} is no schema"));
        assert!(
            map.get("type").is_some_and(Value::is_string),
            "{path} has no single type"
        );
        for keyword in map.keys() {
            assert!(KNOWN.contains(&keyword.as_str()), "{path} uses {keyword}");
        }
        assert!(!map.contains_key("nullable"), "{path} is nullable");
        assert!(
            !node.to_string().contains("\"default\":null"),
            "{path} defaults to null"
        );
    });
}

#[test]
fn every_field_is_documented_and_bounded() {
    for_each_node(&mut |path, node| {
        let is_field = path.contains(".spec") && !path.ends_with("[]") && !path.ends_with("{}");
        if is_field && path.matches('.').count() > 1 {
            assert!(
                node.get("description").is_some(),
                "{path} has no description"
            );
        }
        let has = |keyword: &str| node.get(keyword).is_some();
        match node["type"].as_str().unwrap() {
            "string" => assert!(has("maxLength") || has("enum"), "{path} is unbounded"),
            "array" => assert!(has("maxItems"), "{path} is unbounded"),
            "integer" if path.contains(".spec") => {
                assert!(has("minimum") && has("maximum"), "{path} is unbounded")
            }
            "number" | "boolean" => panic!("{path}: no floats and no booleans"),
            "object" if has("additionalProperties") => {
                assert!(has("maxProperties"), "{path} is unbounded")
            }
            _ => {}
        }
    });
}

#[test]
fn every_pattern_is_explained() {
    for_each_node(&mut |path, node| {
        if let Some(pattern) = node
            .get("pattern")
            .and_then(Value::as_str)
            .filter(|_| path.contains(".spec"))
        {
            assert!(form_of(pattern).is_some(), "{path}: {pattern}");
        }
    });
}

#[test]
fn numbers_are_integers() {
    for_each_node(&mut |path, node| {
        for keyword in ["minimum", "maximum", "default"] {
            let number = node.get(keyword).and_then(Value::as_number);
            assert!(
                !number.is_some_and(|n| n.is_f64()),
                "{path}: {keyword} is {number:?}"
            );
        }
    });
}

#[test]
fn rules_compile_have_messages_and_are_cheap() {
    let mut rules = 0;
    for_each_node(&mut |path, node| {
        let Some(list) = node
            .get("x-kubernetes-validations")
            .and_then(Value::as_array)
        else {
            return;
        };
        let mut compiled = compile_schema(node);
        assert!(
            !compiled.has_errors(),
            "{path}: {:?}",
            compiled.compilation_errors()
        );
        // The analysis takes the bounds of any one property for all of them: let it take the largest.
        let largest = |bound: fn(&CompiledSchema) -> Option<u64>| {
            compiled.properties.values().filter_map(bound).max()
        };
        let (items, length) = (largest(|p| p.max_items), largest(|p| p.max_length));
        compiled.max_items = compiled.max_items.or(items);
        compiled.max_length = compiled.max_length.or(length);
        for rule in list {
            rules += 1;
            let text = rule["rule"].as_str().unwrap();
            assert!(
                rule["message"]
                    .as_str()
                    .is_some_and(|m| (5..2048).contains(&m.len())),
                "{path}: {text}"
            );
            let names = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_.".contains(c));
            let mut fields = names.flat_map(|name| name.split('.').skip(1));
            // As it stands, such a field is absent to some who read the rule, and the rule holds of everything.
            assert!(
                !fields.any(|field| RESERVED.contains(&field)),
                "{path}: write __for__ for the field `for`: {text}"
            );
            let warnings = analyze_rule(text, &compiled, ScopeContext::CrdValidation);
            // The scope check takes the variables of comprehensions for free ones; compiling found those that are.
            let warnings: Vec<_> = warnings
                .iter()
                .filter(|w| w.kind != WarningKind::WrongScope)
                .collect();
            assert!(warnings.is_empty(), "{path}: {warnings:?}");
        }
    });
    assert!(rules > 40, "only {rules} rules seen");
}
