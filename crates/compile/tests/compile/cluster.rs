//! Objects as an API server holds them: read one at a time, compiled by namespace.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sekisho_compile::{
    Code, Diagnostic, Messenger, ObjectKey, Objects, Platform, SecretKeys, Severity, cluster,
    compile, compile_all,
};
use sekisho_crd::Kind;
use sekisho_policy::Snapshot;
use serde_json::{Value, json};

use super::load;

fn gateway(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "sekisho.dev/v1alpha1", "kind": "MailGateway",
        "metadata": { "namespace": namespace, "name": name, "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{ "manager": "kubectl" }] },
        "spec": {
            "authentication": { "defaultDomain": "example.jp" },
            "listeners": [{ "name": "submission", "port": 587 }],
            "upstream": { "endpoints": [{ "address": "postfix:25" }] },
        },
        "status": { "conditions": 7 },
    })
}

fn limit(namespace: &str, name: &str, gateway: &str, count: Value) -> Value {
    json!({
        "apiVersion": "sekisho.dev/v1alpha1", "kind": "RateLimit",
        "metadata": { "namespace": namespace, "name": name },
        "spec": {
            "targetRefs": [{ "name": gateway }], "key": ["Account"],
            "limits": [{ "unit": "Recipients", "count": count, "per": "1h" }],
        },
    })
}

fn put(objects: &mut Objects, object: &Value) -> Vec<Diagnostic> {
    let kind = object["kind"].as_str().unwrap().parse().unwrap();
    cluster::read(kind, object).unwrap().put(objects)
}

fn cluster_of(objects: &[Value]) -> Objects {
    let mut all = Objects {
        platform: Platform::Cluster,
        ..Objects::default()
    };
    for object in objects {
        assert_eq!(put(&mut all, object), [], "{object}");
    }
    all
}

fn none() -> BTreeMap<ObjectKey, Snapshot> {
    BTreeMap::new()
}

fn codes(diagnostics: &[Diagnostic]) -> Vec<(Severity, Code, String)> {
    let code = |d: &Diagnostic| {
        let object = d.object.as_ref().map(ToString::to_string);
        (
            d.severity,
            d.code,
            format!("{} {}", object.unwrap_or_default(), d.field),
        )
    };
    diagnostics.iter().map(code).collect()
}

#[test]
fn an_object_reads_as_its_file_does() {
    let text = super::snapshots::OBJECTS;
    let from_files = load(text).objects;
    let mut from_cluster = Objects {
        secrets: from_files.secrets.clone(),
        ..Objects::default()
    };
    let key = ObjectKey::new("default", "outbound");
    for document in text.split("---\n") {
        // JSON of the document, by way of the types that files were read into.
        let kinds = Kind::ALL.into_iter();
        let Some(kind) = kinds
            .into_iter()
            .find(|kind| document.contains(&format!("kind: {kind}\n")))
        else {
            continue;
        };
        let name = document.split("name: ").nth(1).unwrap();
        let name: String = name
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '-')
            .collect();
        let key = ObjectKey::new("default", name.as_str());
        let spec = match kind {
            Kind::MailGateway => json!(from_files.gateways[&key].spec()),
            Kind::SubmissionPolicy => json!(from_files.submission_policies[&key].spec()),
            Kind::CountryRule => json!(from_files.country_rules[&key].spec()),
            Kind::RateLimit => json!(from_files.rate_limits[&key].spec()),
            Kind::LoginGuard => json!(from_files.login_guards[&key].spec()),
            Kind::EgressPool => json!(from_files.egress_pools[&key].spec()),
            Kind::AbuseRule => json!(from_files.abuse_rules[&key].spec()),
            Kind::NotificationChannel => {
                json!(from_files.notification_channels[&key].spec())
            }
        };
        let object = json!({
            "apiVersion": "sekisho.dev/v1alpha1", "kind": kind.as_str(),
            "metadata": { "namespace": "default", "name": name }, "spec": spec,
        });
        assert_eq!(put(&mut from_cluster, &object), [], "{object}");
    }
    let [one, other] = [&from_files, &from_cluster].map(|objects| compile(objects, &key, None));
    assert_eq!(one.snapshot, other.snapshot);
    assert_eq!(from_cluster.gateways.len(), 1);
}

#[test]
fn a_malformed_object_is_there_and_stops_no_other() {
    let mut objects = cluster_of(&[gateway("mail", "a"), limit("mail", "good", "a", json!(10))]);
    let key = ObjectKey::new("mail", "a");
    let before = compile_all(&objects, &none()).gateways;
    assert_eq!(before[&key].as_ref().unwrap().rules.len(), 1);
    for (object, code, field) in [
        (
            limit("mail", "good", "a", json!("many")),
            Code::WrongType,
            "spec.limits[0].count",
        ),
        (
            limit("mail", "good", "a", json!(0)),
            Code::OutOfBounds,
            "spec.limits[0].count",
        ),
        (
            json!({ "metadata": { "namespace": "mail", "name": "good" } }),
            Code::Required,
            "spec",
        ),
        (
            json!({ "metadata": { "namespace": "mail", "name": "good" }, "spec": "x" }),
            Code::WrongType,
            "spec",
        ),
    ] {
        let found = cluster::read(Kind::RateLimit, &object)
            .unwrap()
            .put(&mut objects);
        assert_eq!(
            codes(&found),
            [(
                Severity::Error,
                code,
                format!("RateLimit/mail/good {field}")
            )]
        );
        put(&mut objects, &limit("mail", "other", "a", json!(5)));
        let previous: BTreeMap<_, _> = before
            .iter()
            .filter_map(|(key, snapshot)| Some((key.clone(), snapshot.as_ref()?)))
            .collect();
        let after = compile_all(&objects, &previous);
        let rules = &after.gateways[&key].as_ref().unwrap().rules;
        assert_eq!(rules[0], before[&key].as_ref().unwrap().rules[0]);
        assert_eq!(rules.len(), 2);
        assert_eq!(
            codes(&after.diagnostics),
            [(
                Severity::Warning,
                Code::KeptPrevious,
                "RateLimit/mail/good ".to_owned()
            ),]
        );
    }
    assert!(objects.remove(Kind::RateLimit, &ObjectKey::new("mail", "good")));
    assert!(!objects.remove(Kind::RateLimit, &ObjectKey::new("mail", "good")));
    let after = compile_all(&objects, &before_of(&before));
    assert_eq!(after.gateways[&key].as_ref().unwrap().rules.len(), 1);
    assert_eq!(after.diagnostics, []);
}

fn before_of(before: &BTreeMap<ObjectKey, Option<Snapshot>>) -> BTreeMap<ObjectKey, &Snapshot> {
    let known = before.iter();
    known
        .filter_map(|(key, snapshot)| Some((key.clone(), snapshot.as_ref()?)))
        .collect()
}

#[test]
fn what_no_api_server_holds_is_refused() {
    for object in [
        json!(null),
        json!({}),
        json!({ "metadata": { "name": "a" } }),
        json!({ "metadata": 1 }),
    ] {
        let refused = cluster::read(Kind::EgressPool, &object).unwrap_err();
        assert_eq!(refused.code, Code::Required, "{object}");
    }
}

#[test]
fn a_namespace_alone_gives_what_all_together_give() {
    let of = |namespace: &str| {
        vec![
            gateway(namespace, "a"),
            gateway(namespace, "b"),
            limit(namespace, "both", "a", json!(10)),
            limit(namespace, "b-only", "b", json!(20)),
            limit(namespace, "lost", "c", json!(20)),
        ]
    };
    let all = compile_all(&cluster_of(&[of("x"), of("y")].concat()), &none());
    let mut apart = compile_all(&cluster_of(&of("x")), &none());
    let y = compile_all(&cluster_of(&of("y")), &none());
    apart.gateways.extend(y.gateways);
    apart.diagnostics.extend(y.diagnostics);
    assert_eq!(all, apart);
    assert_eq!(all.gateways.len(), 4);
    for (key, snapshot) in &all.gateways {
        let alone = compile(&cluster_of(&[of("x"), of("y")].concat()), key, None);
        assert_eq!(alone.snapshot, *snapshot, "{key:?}");
        assert_eq!(alone.diagnostics, all.diagnostics);
    }
}

/// The bodies of rules by name, at each gateway.
fn counts(of: &BTreeMap<ObjectKey, Option<Snapshot>>, gateway: &str) -> Vec<(String, String)> {
    let snapshot = of[&ObjectKey::new("mail", gateway)].as_ref().unwrap();
    let rules = snapshot.rules.iter();
    rules
        .map(|rule| (rule.object.name.clone(), json!(rule.spec).to_string()))
        .collect()
}

fn aimed(name: &str, gateways: &[&str], count: u32) -> Value {
    let mut limit = limit("mail", name, "", json!(count));
    limit["spec"]["targetRefs"] = gateways
        .iter()
        .map(|name| json!({ "name": name }))
        .collect();
    limit
}

#[test]
fn a_rule_leaves_a_gateway_for_one_that_exists_alone() {
    let gateways = [
        gateway("mail", "a"),
        gateway("mail", "b"),
        gateway("mail", "c"),
    ];
    let with = |limit: Value| cluster_of(&[&gateways[..], &[limit]].concat());
    let before = compile_all(&with(aimed("limit", &["a", "b"], 10)), &none()).gateways;
    let was = counts(&before, "a");
    for (what, targets, at) in [
        ("one is mistyped", &["a", "bb"][..], ["new", "old", ""]),
        ("both are", &["aa", "bb"], ["old", "old", ""]),
        ("led elsewhere", &["c"], ["", "", "new"]),
        (
            "led elsewhere and nowhere",
            &["c", "d"],
            ["old", "old", "new"],
        ),
        ("no longer at one", &["a"], ["new", "", ""]),
    ] {
        let objects = with(aimed("limit", targets, 20));
        let after = compile_all(&objects, &before_of(&before));
        let mut kept = Vec::new();
        for (name, expected) in ["a", "b", "c"].into_iter().zip(at) {
            let found = counts(&after.gateways, name);
            match expected {
                "old" => assert_eq!(found, was, "{what}: {name}"),
                "new" => assert!(found.len() == 1 && found != was, "{what}: {name}"),
                _ => assert_eq!(found, [], "{what}: {name}"),
            }
            if expected == "old" {
                kept.push(name);
            }
        }
        let noted = after
            .diagnostics
            .iter()
            .filter(|d| d.code == Code::KeptPrevious);
        assert_eq!(noted.count(), kept.len(), "{what}");
        // It stays so from then on, until it is mended or deleted.
        let again = compile_all(&objects, &before_of(&after.gateways));
        assert_eq!(again, after, "{what}");
        let gone = compile_all(&cluster_of(&gateways), &before_of(&after.gateways));
        assert!(
            ["a", "b", "c"]
                .iter()
                .all(|name| counts(&gone.gateways, name).is_empty())
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// All gateways at once get what each alone gets, whatever rules were aimed at and are aimed at now.
    #[test]
    fn all_at_once_is_each_alone(
        then in proptest::collection::vec(proptest::sample::subsequence(vec!["a", "b", "c", "d", "e"], 1..4), 4),
        now in proptest::collection::vec(proptest::sample::subsequence(vec!["a", "b", "c", "d", "e"], 1..4), 4),
    ) {
        let with = |targets: &[Vec<&str>], count| {
            let gateways = ["a", "b", "c"].map(|name| gateway("mail", name));
            let limits = targets.iter().enumerate();
            let limits = limits.map(|(n, to)| aimed(&format!("limit-{n}"), to, count));
            cluster_of(&gateways.into_iter().chain(limits).collect::<Vec<_>>())
        };
        let before = compile_all(&with(&then, 10), &none()).gateways;
        let objects = with(&now, 20);
        let all = compile_all(&objects, &before_of(&before));
        for (key, snapshot) in &all.gateways {
            let alone = compile(&objects, key, before[key].as_ref());
            prop_assert_eq!(&alone.snapshot, snapshot);
            for diagnostic in &alone.diagnostics {
                prop_assert!(all.diagnostics.contains(diagnostic), "{}", diagnostic);
            }
            for (n, (then, now)) in then.iter().zip(&now).enumerate() {
                let is_adrift = now.iter().any(|to| ["d", "e"].contains(to));
                let [was, is] = [then, now].map(|to| to.contains(&key.name.as_str()));
                let name = format!("limit-{n}");
                let has = snapshot.as_ref().unwrap().rules.iter().any(|rule| rule.object.name == name);
                prop_assert_eq!(has, is || (was && is_adrift), "{} at {}", name, key.name);
            }
        }
    }
}

#[test]
fn a_secret_may_come_later() {
    let mut with_certificate = gateway("mail", "a");
    with_certificate["spec"]["listeners"][0]["certificateRefs"] = json!([{ "name": "mail-tls" }]);
    let mut objects = cluster_of(&[with_certificate]);
    let key = ObjectKey::new("mail", "a");
    let field = "MailGateway/mail/a spec.listeners[0].certificateRefs[0].name".to_owned();
    let compiled = compile_all(&objects, &none());
    assert_eq!(
        codes(&compiled.diagnostics),
        [(Severity::Warning, Code::SecretNotFound, field.clone())]
    );
    let first = compiled.gateways[&key].clone().unwrap();
    assert_eq!(first.gateway.listeners[0].certificates, ["mail-tls"]);

    let secret = ObjectKey::new("mail", "mail-tls");
    let keys = |keys: &[&str]| SecretKeys::These(keys.iter().map(|k| (*k).to_owned()).collect());
    objects.secrets.insert(secret.clone(), keys(&["tls.crt"]));
    assert_eq!(
        codes(&compile_all(&objects, &none()).diagnostics),
        [(Severity::Warning, Code::SecretIncomplete, field)]
    );
    objects
        .secrets
        .insert(secret, keys(&["tls.crt", "tls.key"]));
    let compiled = compile_all(&objects, &none());
    assert_eq!(compiled.diagnostics, []);
    assert_eq!(compiled.gateways[&key].as_ref(), Some(&first));
}

#[test]
fn platforms_differ_in_what_they_can_do() {
    let mut sidecar = gateway("mail", "a");
    sidecar["spec"]["mode"] = json!("Sidecar");
    sidecar["spec"]["geo"] = json!({ "countryDatabase": { "path": "geo/country.mmdb" } });
    let mut objects = cluster_of(&[sidecar, gateway("mail", "b")]);
    let key = ObjectKey::new("mail", "a");
    for (platform, found) in [
        (Platform::Any, vec![]),
        (
            Platform::Cluster,
            vec![(
                Code::InvalidValue,
                "MailGateway/mail/a spec.geo.countryDatabase.path",
            )],
        ),
        (
            Platform::Standalone,
            vec![
                (Code::NotAvailable, "MailGateway/mail/a spec.mode"),
                (
                    Code::Conflicted,
                    "MailGateway/mail/b spec.listeners[0].port",
                ),
            ],
        ),
    ] {
        objects.platform = platform;
        let compiled = compile_all(&objects, &none());
        let expected: Vec<_> = found
            .iter()
            .map(|(code, at)| (Severity::Error, *code, (*at).to_owned()))
            .collect();
        assert_eq!(codes(&compiled.diagnostics), expected, "{platform:?}");
        let refused = platform != Platform::Any;
        assert_eq!(compiled.gateways[&key].is_none(), refused, "{platform:?}");
    }
}

#[test]
fn where_pods_run_is_of_no_effect_without_a_cluster() {
    let mut placed = gateway("mail", "a");
    placed["spec"]["service"] = json!({ "type": "NodePort" });
    placed["spec"]["pods"] = json!({ "labels": { "team": "mail" } });
    placed["spec"]["blockBypass"] = json!({});
    let mut objects = cluster_of(&[placed]);
    let warned: Vec<_> = ["service", "pods", "blockBypass"]
        .map(|field| {
            let at = format!("MailGateway/mail/a spec.{field}");
            (Severity::Warning, Code::NotAvailable, at)
        })
        .into();
    for (platform, expected) in [
        (Platform::Any, vec![]),
        (Platform::Cluster, vec![]),
        (Platform::Standalone, warned),
    ] {
        objects.platform = platform;
        let compiled = compile_all(&objects, &none());
        let mut found = codes(&compiled.diagnostics);
        let mut expected = expected;
        found.sort_by(|a, b| a.2.cmp(&b.2));
        expected.sort_by(|a, b| a.2.cmp(&b.2));
        assert_eq!(found, expected, "{platform:?}");
        let key = ObjectKey::new("mail", "a");
        assert!(compiled.gateways[&key].is_some(), "{platform:?}");
    }
}

/// Messages wait in a store: without one the rule restricts all the same, and says that nobody hears of it.
#[test]
fn a_rule_says_that_nobody_is_told_where_there_is_no_store() {
    let channel = json!({
        "apiVersion": "sekisho.dev/v1alpha1", "kind": "NotificationChannel",
        "metadata": { "namespace": "mail", "name": "desk" },
        "spec": { "type": "Webhook", "url": "https://desk.example/", "secretRef": { "name": "desk" } },
    });
    let rule = json!({
        "apiVersion": "sekisho.dev/v1alpha1", "kind": "AbuseRule",
        "metadata": { "namespace": "mail", "name": "stolen" },
        "spec": {
            "targetRefs": [{ "name": "a" }],
            "signals": [{ "signal": "UnknownRecipients", "count": 3, "per": "1h", "points": 60 }],
            "ladder": [
                { "at": 40, "restrict": { "level": "Watch" } },
                { "at": 60, "restrict": { "level": "Suspend" }, "notify": [{ "name": "desk" }] },
            ],
        },
    });
    let mut objects = cluster_of(&[gateway("mail", "a"), channel, rule]);
    let (key, secret) = (ObjectKey::new("mail", "a"), ObjectKey::new("mail", "desk"));
    objects.secrets.insert(secret, SecretKeys::Unread);
    let told = compile_all(&objects, &none());
    assert_eq!(told.diagnostics, []);
    objects.messenger = Messenger::NoStore;
    let untold = compile_all(&objects, &none());
    let at = "AbuseRule/mail/stolen spec.ladder[1].notify".to_owned();
    assert_eq!(
        codes(&untold.diagnostics),
        [(Severity::Warning, Code::NotAvailable, at)]
    );
    let said = untold.diagnostics[0].to_string();
    assert!(said.contains("nobody is told"), "{said}");
    assert_eq!(told.gateways[&key], untold.gateways[&key]);
    assert_eq!(told.gateways[&key].as_ref().unwrap().rules.len(), 1);
}

#[test]
fn the_networks_of_the_cluster_reach_the_wire() {
    let mut objects = cluster_of(&[gateway("mail", "a")]);
    let key = ObjectKey::new("mail", "a");
    let compiled = |objects: &Objects| compile_all(objects, &none()).gateways[&key].clone();
    let text = |snapshot: &Snapshot| String::from_utf8(snapshot.canonical()).unwrap();
    let without = compiled(&objects).unwrap();
    assert!(!text(&without).contains("clusterNetworks"));
    objects.cluster_networks = ["fd00::1/8", "10.1.2.3/8", "10.0.0.0/8"]
        .map(|network| network.parse().unwrap())
        .to_vec();
    let with = compiled(&objects).unwrap();
    assert!(text(&with).contains(r#""clusterNetworks":["10.0.0.0/8","fd00::/8"]"#));
}
