//! Writes JSON values as block-style YAML, the same bytes for the same value.

use serde_json::Value;

/// The value as one YAML document. Mappings keep the order of the value, which is sorted.
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    write_block(&mut out, value, 0);
    out
}

fn write_block(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) => {
            for (key, child) in map {
                out.push_str(&" ".repeat(indent));
                write_entry(out, key, child, indent);
            }
        }
        Value::Array(items) => {
            for item in items {
                out.push_str(&" ".repeat(indent));
                out.push_str("- ");
                write_item(out, item, indent + 2);
            }
        }
        scalar => out.push_str(&format!("{}\n", inline(scalar))),
    }
}

/// `key: value`, with a nested value on the lines below.
fn write_entry(out: &mut String, key: &str, value: &Value, indent: usize) {
    out.push_str(&text(key));
    out.push(':');
    if is_nested(value) {
        out.push('\n');
        let deeper = if value.is_array() { indent } else { indent + 2 };
        write_block(out, value, deeper);
    } else {
        out.push_str(&format!(" {}\n", inline(value)));
    }
}

/// What follows `- `: the first entry of a mapping stays on that line.
fn write_item(out: &mut String, item: &Value, indent: usize) {
    match item {
        Value::Object(map) if !map.is_empty() => {
            for (index, (key, child)) in map.iter().enumerate() {
                if index > 0 {
                    out.push_str(&" ".repeat(indent));
                }
                write_entry(out, key, child, indent);
            }
        }
        other => out.push_str(&format!("{}\n", inline(other))),
    }
}

fn is_nested(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

/// A value on one line: JSON is YAML, and plain words need no quotes.
fn inline(value: &Value) -> String {
    match value {
        Value::String(string) => text(string),
        other => other.to_string(),
    }
}

fn text(string: &str) -> String {
    const RESERVED: [&str; 10] = [
        "true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan",
    ];
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./ ".contains(c);
    let is_plain = string.starts_with(|c: char| c.is_ascii_alphabetic())
        && !string.ends_with(' ')
        && string.chars().all(plain)
        && !RESERVED.contains(&string.to_ascii_lowercase().as_str());
    if is_plain {
        string.to_owned()
    } else {
        Value::String(string.to_owned()).to_string()
    }
}
