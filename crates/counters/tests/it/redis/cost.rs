//! What each kind of key costs in Redis, against the table of docs/limits.md.

use std::fmt::Write as _;
use std::ops::Range;

use sekisho_policy::Signal;
use sekisho_testkit::{RedisServer, documentation};

use super::stored::keys;
use super::*;

/// As the page names what this test and the one of a Cluster measure.
const KINDS: [&str; 9] = [
    "a limit, all use in one part of the window",
    "a limit, used in all 64 parts",
    "a lock",
    "a set of 1, 10, 100, 1,024 members",
    "points: 1, 10, 64 awards",
    "correspondents: 1, 100, 1,024",
    "what is disowned: 1, 8 spans",
    "who holds slices of a limit, while there are any: one, eight proxies",
    GIVEN_BACK,
];
pub(super) const GIVEN_BACK: &str = "that something was given back, for 10 s, in a Cluster";

/// Of this century: a time takes as many octets as it does in earnest.
const NOW: u64 = 1_800_000_000_000;
const DAY: u64 = 24 * HOUR;

/// What is asked, each so long after [`NOW`].
type Step = Vec<(u64, Op)>;

/// The rows of the page's table.
fn stated() -> Vec<(String, Vec<u64>)> {
    let page = documentation("limits.md");
    let rows = page
        .lines()
        .skip_while(|line| !line.starts_with("| key | octets"));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let (Some(what), Some(figures), None) = (cells.next(), cells.next(), cells.next()) else {
            panic!("a row of two cells: {line}");
        };
        let figure = |text: &str| text.replace(',', "").parse().expect("octets");
        (what.to_owned(), figures.split(", ").map(figure).collect())
    };
    rows.map(row).collect()
}

/// What one key costs.
pub(super) fn of(server: &RedisServer, key: &str) -> u64 {
    let said = server.cli(&["memory", "usage", key, "samples", "0"]);
    said.parse().expect("octets")
}

/// What is measured is what the page says: of the version that it names within 2 %, as large sets are built by chance; others have other
/// overheads.
pub(super) fn check(server: &RedisServer, measured: &[(&str, Vec<u64>)]) {
    let about = server.cli(&["info", "server"]) + &server.cli(&["info", "memory"]);
    let is_named = about.contains("redis_version:7.0.") && about.contains("mem_allocator:jemalloc");
    let percent = if is_named { 2 } else { 30 };
    let stated = stated();
    let mut wrong = String::new();
    for (what, figures) in measured {
        let row = stated.iter().find(|(row, _)| row == what);
        let (_, said) = row.unwrap_or_else(|| panic!("docs/limits.md says nothing of {what}"));
        let is_near = |(figure, said): (&u64, &u64)| figure.abs_diff(*said) * 100 <= said * percent;
        if figures.len() != said.len() || !figures.iter().zip(said).all(is_near) {
            let _ = writeln!(
                wrong,
                "{what}: {figures:?}, and docs/limits.md says {said:?}"
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What a key costs after each of some steps, one after the other.
async fn grown(server: &RedisServer, sort: &str, steps: Vec<Step>) -> Vec<u64> {
    server.cli(&["flushall"]);
    let counters = travelling(Setup::single(&server.url(), fresh_key()));
    let mut octets = Vec::new();
    for step in steps {
        for (after, op) in step {
            apply(&counters, NOW + after, &[op]).await.unwrap();
        }
        octets.push(only(server, sort));
    }
    octets
}

fn only(server: &RedisServer, sort: &str) -> u64 {
    let [key] = &keys(server, &format!("*}}{sort}*"))[..] else {
        panic!("one key for {sort}");
    };
    of(server, key)
}

/// Who holds slices of one limit.
async fn holders(server: &RedisServer) -> Vec<u64> {
    server.cli(&["flushall"]);
    let (key, mut octets) = (fresh_key(), Vec::new());
    for many in [1, 7] {
        for _ in 0..many {
            let counters = leases::eager(&server.url(), &key);
            let ops = [gate("k", 1, 1_000_000, HOUR)];
            apply(&counters, NOW, &ops).await.unwrap();
        }
        octets.push(only(server, "h"));
    }
    octets
}

#[test]
fn a_key_costs_what_the_documentation_says() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let part = |number: u64| (number * HOUR / 64, meter("k", 1, HOUR));
    let members = |range: Range<u32>| -> Step {
        let member = |item: u32| (u64::from(item), distinct("k", item, HOUR));
        range.map(member).collect()
    };
    let awarded = |range: Range<u64>| -> Step {
        let award = |at: u64| (2 * at, award("k", Signal::SpamVerdicts, 40, 1, DAY));
        range.map(award).collect()
    };
    let written_to = |range: Range<u32>| -> Step {
        let all: Vec<_> = range.collect();
        vec![(0, correspond("k", &all, (DAY, 0, 180 * DAY)))]
    };
    let disowned = |range: Range<u64>| -> Step {
        let mark = key("k");
        let span = |at: u64| (4 * at, disown(&mark, NOW + 4 * at, NOW + 4 * at, DAY));
        range.map(span).collect()
    };
    run(async {
        let parts = vec![vec![part(0)], (1..=70).map(part).collect()];
        let [sparse, busy] = grown(&server, "t", parts).await[..] else {
            panic!("two figures");
        };
        let sets = [0..1, 1..10, 10..100, 100..2_000].map(members).to_vec();
        let points = [0..1, 1..10, 10..64].map(awarded).to_vec();
        let circles = [0..1, 1..100, 100..1_024].map(written_to).to_vec();
        let spans = [0..1, 1..8].map(disowned).to_vec();
        let figures = [
            vec![sparse],
            vec![busy],
            grown(&server, "l", vec![vec![(0, lock("k", HOUR, 2, DAY))]]).await,
            grown(&server, "s", sets).await,
            grown(&server, "p", points).await,
            grown(&server, "c", circles).await,
            grown(&server, "d", spans).await,
            holders(&server).await,
        ];
        let measured: Vec<_> = KINDS.into_iter().zip(figures).collect();
        eprintln!("octets of a key in Redis: {measured:?}");
        check(&server, &measured);
    });
    let stated = stated();
    let kinds: Vec<_> = stated.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(
        kinds, KINDS,
        "the page has what is measured, and nothing else"
    );
}
