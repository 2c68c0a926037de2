//! `docs/metrics.md`, made from what is registered.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::family::{Description, LabelName};

const INTRODUCTION: &str = "\
# Metrics

Every metric that the processes of Sekisho export at `/metrics`, in Prometheus' text format. Labels are names of
objects or values of closed lists, never an account, an address or free text. This page is generated from the registry.

| name | type | labels | meaning |
|---|---|---|---|
";

const CLOSED_LABELS: &str = "
## Values of labels

Gateways, pools and secrets are named `namespace/name`, rules `Kind/namespace/name`. The other labels have these values:

| label | of | values |
|---|---|---|
";

pub(super) fn markdown(descriptions: &[Description]) -> String {
    let mut page = String::from(INTRODUCTION);
    for d in descriptions {
        let labels = quoted(d.labels.iter().map(|label| label.name));
        row(
            &mut page,
            [&format!("`{}`", d.name), d.kind, &labels, &d.help],
        );
    }
    page.push_str(CLOSED_LABELS);
    for ((label, values), families) in closed_labels(descriptions) {
        row(
            &mut page,
            [&format!("`{label}`"), &quoted(families), &quoted(values)],
        );
    }
    page
}

/// Which families have a label with these values.
fn closed_labels(descriptions: &[Description]) -> BTreeMap<(&str, Vec<&str>), Vec<&str>> {
    let mut found: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for description in descriptions {
        for LabelName { name, values } in &description.labels {
            if let Some(values) = values {
                found
                    .entry((*name, values.clone()))
                    .or_default()
                    .push(&description.name);
            }
        }
    }
    found
}

fn quoted<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    texts
        .into_iter()
        .map(|text| format!("`{text}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn row<const N: usize>(page: &mut String, cells: [&str; N]) {
    // Writing to a String cannot fail.
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}
