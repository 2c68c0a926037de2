//! `docs/metrics.md`, made from what is registered.

use std::fmt::Write as _;

use super::family::Description;

const INTRODUCTION: &str = "\
# Metrics

Every metric that the processes of Sekisho export at `/metrics`, in Prometheus' text format. Labels are names of
objects or values of closed lists, never an account, an address or free text. This page is generated from the registry.

| name | type | labels | meaning |
|---|---|---|---|
";

pub(super) fn markdown(descriptions: &[Description]) -> String {
    let mut page = String::from(INTRODUCTION);
    for d in descriptions {
        let labels: Vec<String> = d.labels.iter().map(|l| format!("`{l}`")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            d.name,
            d.kind,
            labels.join(", "),
            d.help
        );
    }
    page
}
