//! `sekisho attack` against the quickstart: honest mail passes, the thief is held back, and the table says so.

use crate::running::{Running, sekisho};

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

#[test]
fn the_thief_is_held_back_and_nobody_else() {
    let running = Running::start();
    let objects = running.objects();
    let url = format!("http://{}", running.http);
    // No corpus: the made-up messages are there on every machine.
    let output = sekisho(&[
        "attack",
        objects.to_str().unwrap(),
        "--url",
        &url,
        "--for",
        "3s",
        "--corpus",
        "/nonexistent",
    ]);
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
    assert_eq!(clean, 0, "nothing of the thief's leaves clean: {table}");
    assert_eq!(sent, spam + deferred + refused, "{table}");
    assert!(spam > 0 && deferred > 0, "{table}");
    assert!(
        reached <= 33 && recipients > 33,
        "33 recipients from abroad in a day: {table}"
    );
    for said in [
        "CountryRule/abroad spec.then.limits[Recipients per 24h] deferred",
        "CountryRule/abroad spec.then.classAtLeast worsened the class of",
        "The first refusal came ",
        "False positives: 0 of ",
        "the policy's own rules alone: its content engine is not there",
    ] {
        assert!(table.contains(said), "no {said:?} in\n{table}");
    }
    // The start page shows the same.
    let page = running.get("/").body;
    for said in [
        "<td>spam-pool</td><td>Suspect</td>",
        "<td>spec.then.limits[Recipients per 24h]</td>",
    ] {
        assert!(page.contains(said), "no {said:?} in\n{page}");
    }
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
    ] {
        let output = sekisho(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{said}");
    }
}
