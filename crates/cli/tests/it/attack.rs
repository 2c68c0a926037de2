//! `sekisho attack` against the quickstart: honest mail passes, the attacker is held back, and the table says so.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::running::{Running, edit, sekisho};

/// The numbers of the row that begins with `name`.
fn row(table: &str, name: &str) -> Vec<u64> {
    let row = table
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_else(|| panic!("no row {name:?} in\n{table}"));
    row.split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// The quickstart, without what has the gateway ask DNS for the names of the addresses that are played.
fn started(arguments: &[&str]) -> Running {
    Running::start_changed(arguments, without_reverse_names)
}

fn without_reverse_names(objects: &Path) {
    let names = "  exempt: { reverseNames: [.google.com, .outlook.com] }\n";
    // Two rules have it.
    edit(objects, "country.yaml", names, "");
    edit(objects, "country.yaml", names, "");
}

/// Plays for three seconds, the same each time. No corpus: the made-up messages are there on every machine.
fn attack(running: &Running, arguments: &[&str]) -> Output {
    let (objects, url) = (running.objects(), format!("http://{}", running.http));
    let same = ["--seed", "7", "--for", "3s", "--corpus", "/nonexistent"];
    let objects = objects.to_str().unwrap();
    sekisho(&[&["attack", objects, "--url", &url], &same[..], arguments].concat())
}

#[test]
fn the_attacker_is_held_back_and_nobody_else() {
    let running = started(&[]);
    let output = attack(&running, &[]);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{table}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let [sent, clean, spam, deferred, refused, reached, recipients] = row(&table, "honest ")[..]
    else {
        panic!("{table}")
    };
    assert!(sent > 0, "{table}");
    assert_eq!((clean, spam, deferred, refused), (sent, 0, 0, 0), "{table}");
    assert_eq!(reached, recipients, "{table}");
    let [sent, clean, spam, deferred, refused, reached, recipients] =
        row(&table, "stolen account")[..]
    else {
        panic!("{table}")
    };
    assert_eq!(clean, 0, "nothing of the attacker's leaves clean: {table}");
    assert_eq!(sent, spam + deferred + refused, "{table}");
    assert!(spam > 0 && deferred > 0, "{table}");
    assert!(
        reached <= 33 && recipients > 33,
        "33 recipients from abroad in a day: {table}"
    );
    for said in [
        "CountryRule/abroad spec.then.limits[Recipients per 24h] deferred",
        "CountryRule/abroad spec.then.classAtLeast worsened the class of",
        "MailGateway/outbound restriction refused",
        "were held up with the attacker's",
        "The first refusal came ",
        "False positives: 0 of ",
        " honest messages refused or deferred, 0 left as suspect or spam.",
        "Content was judged by the policy's own rules; rspamd at 127.0.0.1:",
        " does not answer.",
    ] {
        assert!(table.contains(said), "no {said:?} in\n{table}");
    }
    for unsaid in ["since its start", "DNS"] {
        assert!(!table.contains(unsaid), "{unsaid:?} in\n{table}");
    }
    // The start page shows the same.
    let page = running.get("/").body;
    for said in [
        "<td>spam-pool</td><td>Suspect</td>",
        "<td>spec.then.limits[Recipients per 24h]</td>",
    ] {
        assert!(page.contains(said), "no {said:?} in\n{page}");
    }
    let overview = running.get("/v1/overview").json();
    let transactions = &overview["transactions"];
    let counted = |list: &str, what: &[(&str, &str)], number: &str| {
        let entries = transactions[list].as_array().unwrap().iter();
        let mut fitting = entries.filter(|entry| what.iter().all(|(key, is)| entry[key] == *is));
        fitting.next().and_then(|entry| entry[number].as_u64())
    };
    let by_spam_pool = [("pool", "spam-pool"), ("class", "Suspect")];
    let by_abroad = [
        ("rule", "CountryRule/default/abroad"),
        ("part", "spec.then.classAtLeast"),
    ];
    let left = counted("byPoolAndClass", &by_spam_pool, "messages").unwrap_or_default();
    assert!(left > 0 && left <= spam, "{transactions}");
    assert!(
        counted("byRule", &by_abroad, "worsened") >= Some(spam),
        "{transactions}"
    );

    // What was counted still counts, and the next run says so.
    let again = String::from_utf8(attack(&running, &[]).stdout).unwrap();
    assert!(again.contains("transactions since its start"), "{again}");
}

/// A limit of one message a day for one account.
fn one_a_day(objects: &Path, name: &str, account: &str, on_exceed: &str) {
    let rule = format!(
        "apiVersion: sekisho.dev/v1alpha1
kind: RateLimit
metadata: {{ name: {name} }}
spec:
  targetRefs: [{{ group: sekisho.dev, kind: MailGateway, name: outbound }}]
  match: {{ accounts: [{account}@example.jp] }}
  key: [Account]
  limits: [{{ unit: Messages, count: 1, per: 24h }}]
  onExceed: {on_exceed}
"
    );
    fs::write(objects.join(format!("{name}.yaml")), rule).unwrap();
}

#[test]
fn false_positives_are_delivered_messages_whichever_rule_made_them_worse() {
    let running = Running::start_changed(&[], |objects| {
        without_reverse_names(objects);
        one_a_day(objects, "alice", "alice", "RouteSuspect");
        one_a_day(objects, "bob", "bob", "RouteSpam");
        // What is worse and refused as well is not left as anything.
        one_a_day(objects, "carol", "carol", "RouteSuspect");
        one_a_day(objects, "no-carol", "carol", "Defer");
    });
    let table = String::from_utf8(attack(&running, &[]).stdout).unwrap();
    let [sent, clean, spam, deferred, refused, ..] = row(&table, "honest ")[..] else {
        panic!("{table}")
    };
    assert_eq!(sent, clean + spam + deferred, "{table}");
    assert!(spam > 0 && deferred > 0 && refused == 0, "{table}");
    let (_, line) = table.split_once("False positives: ").unwrap();
    let said = format!(
        "{deferred} of {sent} honest messages refused or deferred, {spam} left as suspect or spam."
    );
    assert!(line.starts_with(&said), "no {said:?} in\n{table}");
    // The rules' own counts are messages too, and no single one of them is the sum.
    let worsened = |name: &str| {
        let row = format!("RateLimit/{name} spec.limits[Messages per 24h] worsened the class of ");
        let count = line
            .split_once(&row)
            .and_then(|(_, rest)| rest.lines().next()?.parse().ok());
        count.unwrap_or_else(|| panic!("no {row:?} in\n{table}"))
    };
    let (alice, bob, carol): (u64, u64, u64) =
        (worsened("alice"), worsened("bob"), worsened("carol"));
    assert_eq!((alice + bob, carol), (spam, deferred), "{table}");
    assert!(alice > 0 && bob > 0, "{table}");
}

#[test]
fn a_token_is_shown_where_one_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "correct-horse-battery\n").unwrap();
    let token = token.to_str().unwrap();
    let running = started(&["--http-token-file", token]);
    let without = attack(&running, &[]);
    let said = String::from_utf8_lossy(&without.stderr).into_owned();
    assert!(!without.status.success(), "{said}");
    assert!(
        said.contains("/v1/overview answers 401") && !said.contains("nothing of Sekisho"),
        "{said}"
    );
    let with = attack(&running, &["--token-file", token]);
    assert!(
        with.status.success(),
        "{}",
        String::from_utf8_lossy(&with.stderr)
    );
}

#[test]
fn it_is_played_on_this_machine_alone_and_only_where_it_can_be() {
    let quickstart = crate::running::quickstart();
    let folder = quickstart.to_str().unwrap();
    for (arguments, why) in [
        (
            &["attack", folder, "--connect", "192.0.2.1"][..],
            "an attack is played on this machine alone",
        ),
        (
            &["attack", folder, "--connect", "127.0.0.9"],
            "no gateway has a listener with",
        ),
        (
            &["attack", folder, "--url", "http://127.0.0.1:1"],
            "nothing of Sekisho answers at http://127.0.0.1:1",
        ),
        (
            &["attack", "/no/such/folder"],
            "/no/such/folder:1:1: error: cannot be read: No such file or directory",
        ),
    ] {
        let output = sekisho(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{said}");
    }
}
