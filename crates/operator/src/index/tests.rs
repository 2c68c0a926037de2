use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use super::*;

fn label(of: Watched) -> Label {
    Label {
        of,
        namespace: None,
    }
}

fn limit(name: &str, generation: i64, count: i64) -> Item {
    Item {
        metadata: ObjectMeta {
            namespace: Some("mail".to_owned()),
            name: Some(name.to_owned()),
            uid: Some(format!("uid-{name}")),
            generation: Some(generation),
            ..ObjectMeta::default()
        },
        data: json!({ "spec": {
            "targetRefs": [{ "name": "outbound" }], "key": ["Account"],
            "limits": [{ "unit": "Recipients", "count": count, "per": "1h" }],
        } }),
    }
}

fn index() -> Index {
    Index::new(Vec::new(), Messenger::There, [label(LIMITS)].into())
}

const LIMITS: Watched = Watched::Kind(Kind::RateLimit);

fn known(index: &Index) -> Vec<String> {
    let mail = index.namespaces.get("mail").into_iter();
    mail.flat_map(|held| held.objects.rate_limits.keys().map(|key| key.name.clone()))
        .collect()
}

#[test]
fn nothing_is_complete_before_every_watch_has_said_what_there_is() {
    let mut index = index();
    index.take(
        &label(LIMITS),
        Change::Applied(Box::new(limit("a", 1, 5))),
        0,
    );
    assert!(!index.is_complete());
    index.take(&label(LIMITS), Change::All(Vec::new()), 0);
    assert!(index.is_complete());
    assert_eq!(known(&index), [""; 0], "what is not in the list is gone");
}

#[test]
fn a_new_list_deletes_what_it_does_not_name() {
    let mut index = index();
    index.take(
        &label(LIMITS),
        Change::All(vec![limit("a", 1, 5), limit("b", 1, 5)]),
        0,
    );
    let touched = index.take(
        &label(LIMITS),
        Change::All(vec![limit("b", 1, 5), limit("c", 1, 5)]),
        0,
    );
    assert_eq!(known(&index), ["b", "c"]);
    assert_eq!(touched.namespaces, ["mail".to_owned()].into());
}

#[test]
fn an_object_that_no_type_fits_is_there_with_what_is_wrong() {
    let mut index = index();
    let mut broken = limit("a", 1, 5);
    broken.data["spec"]["limits"] = json!("many");
    index.take(
        &label(LIMITS),
        Change::All(vec![broken, limit("b", 1, 5)]),
        0,
    );
    let held = &index.namespaces["mail"];
    assert!(held.known[&(Kind::RateLimit, "a".to_owned())].findings[0].is_error());
    assert_eq!(held.known[&(Kind::RateLimit, "b".to_owned())].findings, []);
    assert_eq!(known(&index), ["a", "b"]);
}

#[test]
fn a_status_alone_does_not_make_an_object_new() {
    let mut index = index();
    index.take(&label(LIMITS), Change::All(vec![limit("a", 1, 5)]), 0);
    let same = index.take(
        &label(LIMITS),
        Change::Applied(Box::new(limit("a", 1, 5))),
        0,
    );
    assert_eq!(same, Touched::default());
    let newer = index.take(
        &label(LIMITS),
        Change::Applied(Box::new(limit("a", 2, 6))),
        0,
    );
    assert_eq!(newer.namespaces.len(), 1);
}
