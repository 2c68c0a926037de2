//! The kinds on the API server: established, explained, enforced with the words of `sekisho lint`, and replaced by newer ones with
//! objects in place.

use std::fs;
use std::sync::Arc;

use sekisho_testkit::{ControlPlane, Controllers};

use crate::files::{definitions, lint, repository};

/// The shared control plane with our kinds on it, and a namespace of the test's own.
fn plane(namespace: &str) -> Option<Arc<ControlPlane>> {
    let plane = ControlPlane::shared()?;
    apply_definitions(&plane, |_, text| text);
    plane.create_namespace(namespace);
    Some(plane)
}

fn apply_definitions(plane: &ControlPlane, edit: impl Fn(&str, String) -> String) {
    let texts: Vec<String> = definitions()
        .into_iter()
        .map(|(name, text)| edit(&name, text))
        .collect();
    let applied = plane.try_apply(&texts.join("---\n"));
    assert_eq!(
        applied.stderr, "",
        "definitions are applied without a warning"
    );
    applied.ok();
    let wait = ["wait", "--for=condition=Established", "--timeout=30s"];
    let names = definitions()
        .into_iter()
        .map(|(name, _)| format!("crd/{}s.sekisho.dev", name.trim_end_matches(".yaml")))
        .map(|name| name.replace("policys.", "policies."));
    plane
        .kubectl(wait.map(str::to_owned).into_iter().chain(names))
        .ok();
}

/// The objects of the quickstart that a cluster knows.
fn quickstart() -> String {
    let files = ["gateway", "guard", "limits", "policy", "pools", "country"];
    let texts = files.map(|name| {
        fs::read_to_string(repository(&format!("deploy/quickstart/{name}.yaml"))).unwrap()
    });
    texts.join("\n---\n")
}

fn apply_to(plane: &ControlPlane, namespace: &str, objects: &str) -> sekisho_testkit::Ran {
    let arguments = ["apply", "--namespace", namespace, "--filename=-"];
    plane.kubectl_as(&plane.admin_kubeconfig(), arguments, objects)
}

#[test]
fn the_kinds_are_explained_and_listed() {
    let Some(plane) = plane("explained") else {
        return;
    };
    let kinds = plane
        .kubectl([
            "api-resources",
            "--api-group=sekisho.dev",
            "--no-headers",
            "--output=wide",
        ])
        .ok();
    assert_eq!(kinds.lines().count(), definitions().len(), "{kinds}");
    assert!(
        kinds.lines().all(|line| line.ends_with("sekisho")),
        "each is of the category sekisho: {kinds}"
    );
    let explained = plane
        .kubectl(["explain", "mgw.spec.listeners.proxyProtocol"])
        .ok();
    assert!(explained.contains("PROXY header"), "{explained}");
    assert!(!explained.contains("<no description>"), "{explained}");

    apply_to(&plane, "explained", &quickstart()).ok();
    let listed = plane.kubectl(["get", "sekisho", "-n", "explained"]).ok();
    for object in [
        "mailgateway.sekisho.dev/outbound",
        "egresspool.sekisho.dev/clean-pool",
        "ratelimit.sekisho.dev/",
    ] {
        assert!(listed.contains(object), "{object} is missing: {listed}");
    }
    let gateways = plane.kubectl(["get", "mgw", "-n", "explained"]).ok();
    let columns: Vec<&str> = gateways
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    for column in ["ACCEPTED", "PROGRAMMED", "AGE"] {
        assert!(columns.contains(&column), "{gateways}");
    }
}

#[test]
fn every_field_has_a_description() {
    let Some(plane) = plane("described") else {
        return;
    };
    for kind in [
        "countryrules",
        "egresspools",
        "loginguards",
        "mailgateways",
        "ratelimits",
        "submissionpolicies",
    ] {
        let tree = plane.kubectl(["explain", kind, "--recursive"]).ok();
        assert!(!tree.contains("<no description>"), "{kind}: {tree}");
        for part in ["spec", "status.conditions"] {
            let part = plane.kubectl(["explain", &format!("{kind}.{part}")]).ok();
            assert!(part.contains("DESCRIPTION:"), "{kind}: {part}");
        }
    }
}

/// What must not be accepted, and the words that both say of it.
const REFUSED: &[(&str, &str)] = &[
    (
        "MailGateway\nspec: { listeners: [{ name: a, port: 587 }, { name: b, port: 587 }], upstream: { endpoints: [{ address: 'mta:25' }] } }",
        "two listeners have the same port",
    ),
    (
        "MailGateway\nspec: { listeners: [{ name: a, port: 587, proxyProtocol: { mode: Required } }], upstream: { endpoints: [{ address: 'mta:25' }] } }",
        "from belongs to mode Required, which needs it",
    ),
    (
        "MailGateway\nspec: { listeners: [{ name: a-name-of-many-letters, port: 587 }], upstream: { endpoints: [{ address: 'mta:25' }] } }",
        "must be at most 15 characters",
    ),
    (
        "MailGateway\nspec: { listeners: [{ name: a, port: 587, xclientFrom: [192.0.2.1/24] }], upstream: { endpoints: [{ address: 'mta:25' }] } }",
        "has bits set after its prefix",
    ),
    (
        "MailGateway\nspec: { listeners: [{ name: a, port: 587 }], upstream: { endpoints: [{ address: 'mta:70000' }] } }",
        "the port must be at most 65535",
    ),
    (
        "MailGateway\nspec: { listeners: [{ name: a, port: 587 }], upstream: { endpoints: [{ address: 'mta:25' }] }, counters: { type: Redis } }",
        "secretRef belongs to type Redis",
    ),
    (
        "MailGateway\nspec: { listeners: [{ name: a, port: 587 }], upstream: { endpoints: [{ address: 'mta:25' }] }, counters: { topology: Cluster } }",
        "topology belongs to type Redis",
    ),
    (
        "MailGateway\nspec: { listeners: [{ name: a, port: 587 }], upstream: { endpoints: [{ address: 'mta:25' }] }, counters: { leases: Enabled } }",
        "leases belong to type Redis",
    ),
    (
        "MailGateway\nspec: { listeners: [{ name: a, port: 587 }], upstream: { endpoints: [{ address: 'mta:25' }] }, deadlines: { afterData: 1h } }",
        "must be at least 5s and at most 10m",
    ),
    (
        "RateLimit\nspec: { targetRefs: [TARGET], key: [Account], limits: [{ unit: Connections, count: 5, per: 1m }] }",
        "Connections are counted before there is an account",
    ),
    (
        "RateLimit\nspec: { targetRefs: [TARGET], match: {}, key: [Account], limits: [{ unit: Recipients, count: 5, per: 1m }] }",
        "names nothing: give at least one of accounts",
    ),
    (
        "CountryRule\nspec: { targetRefs: [TARGET], from: { abroad: {}, countries: [JP] }, then: { login: Refuse } }",
        "needs exactly one of abroad, countries, notCountries and unknown",
    ),
    (
        "CountryRule\nspec: { targetRefs: [TARGET], from: { abroad: {} }, then: { login: Allow } }",
        "changes nothing: give at least one of",
    ),
    (
        "LoginGuard\nspec: { targetRefs: [TARGET] }",
        "guards nothing: give at least one of",
    ),
    (
        "EgressPool\nspec: { members: [{ name: a }] }",
        "is no way out of its own: give sourceAddress, relay or both",
    ),
    (
        "EgressPool\nspec: { members: [{ name: a, sourceAddress: out.example.jp }] }",
        "must be an IPv4 or IPv6 address",
    ),
    (
        "SubmissionPolicy\nspec: { targetRefs: [TARGET], classify: { suspectAt: 5 } }",
        "classifies by nothing: give engines or rules",
    ),
    (
        "SubmissionPolicy\nspec: { targetRefs: [TARGET], route: { clean: { pool: a, action: Reject } } }",
        "needs exactly one of pool and action",
    ),
];

#[test]
fn what_lint_refuses_the_api_server_refuses_in_the_same_words() {
    let Some(plane) = plane("refused") else {
        return;
    };
    for (object, words) in REFUSED {
        let object = object.replace(
            "TARGET",
            "{ group: sekisho.dev, kind: MailGateway, name: outbound }",
        );
        let (kind, spec) = object.split_once('\n').unwrap();
        let object = format!(
            "apiVersion: sekisho.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: bad }}\n{spec}\n"
        );
        let said = apply_to(&plane, "refused", &object).refused();
        assert!(said.contains(words), "the API server on\n{object}\n{said}");
        let (accepted, linted) = lint(&object);
        assert!(!accepted, "lint accepts\n{object}");
        assert!(linted.contains(words), "lint on\n{object}\n{linted}");
    }
}

#[test]
fn newer_definitions_leave_objects_as_they_are() {
    // Its own: others must not see the newer ones.
    let Some(plane) = ControlPlane::start(Controllers::None) else {
        return;
    };
    apply_definitions(&plane, |_, text| text);
    plane.create_namespace("upgraded");
    apply_to(&plane, "upgraded", &quickstart()).ok();
    let specs = || {
        let path = "jsonpath={range .items[*]}{.kind}/{.metadata.name}/{.metadata.uid}/{.metadata.generation}: {.spec}{'\\n'}{end}";
        plane
            .kubectl(["get", "sekisho", "-n", "upgraded", "--output", path])
            .ok()
    };
    let before = specs();
    assert!(before.lines().count() > 10, "{before}");
    // A newer one: every gateway gets a field that this one does not know, with a default.
    apply_definitions(&plane, |name, text| {
        if name != "mailgateway.yaml" {
            return text;
        }
        let newer = text.replacen(
            "            properties:\n              authentication:\n",
            "            properties:\n              newer: { type: string, description: A field of a newer version. }\n              authentication:\n",
            1,
        );
        assert_ne!(newer, text);
        newer
    });
    assert_eq!(specs(), before);
    let newer = [
        "patch",
        "mgw",
        "outbound",
        "-n",
        "upgraded",
        "--type=merge",
        "--patch",
        r#"{"spec":{"newer":"x"}}"#,
    ];
    plane.kubectl(newer).ok();
    assert!(specs().contains(r#""newer":"x""#), "{}", specs());
    // And back again: the object stays, and is served without what is unknown now.
    apply_definitions(&plane, |_, text| text);
    let back = specs();
    assert_eq!(back.lines().count(), before.lines().count());
    assert!(!back.contains("newer"), "{back}");
}
