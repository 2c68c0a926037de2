//! What a decision costs under 100 rules, with and without memory counters: `cargo bench -p sekisho-policy`.
//!
//! One policy that asks everything, one guard, and 98 limits and country rules of which five apply to the client.
#![expect(clippy::unwrap_used, reason = "as in tests")]
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

#[path = "../tests/engine/support.rs"]
#[expect(dead_code, reason = "the builders of the tests")]
mod support;

use std::hint::black_box;
use std::time::Instant;

use sekisho_policy::Millis;
use sekisho_policy::decision::{Class, Verdict};
use sekisho_policy::event::*;
use sekisho_policy::expr::{Comparison, Expr, Field, Value};
use sekisho_policy::snapshot::*;

use support::*;

fn main() {
    // Under `cargo test` a bench only has to run.
    let quick = std::env::args().any(|argument| argument == "--test");
    let (samples, batch) = if quick { (3, 2) } else { (5_001, 20) };
    println!(
        "{:<22} {:>14} {:>22}",
        "event, 100 rules", "plan + decide", "with memory counters"
    );
    let world = World::new(rules());
    for (name, event) in events() {
        let plan = world.rules.plan(&event.0);
        let (results, _) = now(world.counters.apply(event.0.at, plan.ops())).unwrap();
        assert_eq!(plan.decide(Ok(&results)).verdict, Verdict::Allow, "{name}");
        let alone = median(samples, batch, || {
            let plan = world.rules.plan(black_box(&event.0));
            black_box(plan.decide(Ok(&results)));
        });
        let counted = median(samples, batch, || {
            let plan = world.rules.plan(black_box(&event.0));
            let (results, receipt) = now(world.counters.apply(event.0.at, plan.ops())).unwrap();
            black_box((plan.decide(Ok(&results)), receipt));
        });
        println!("{name:<22} {alone:>11} ns {counted:>19} ns");
    }
}

/// Nanoseconds of one call: the median over samples of the mean over a batch, short enough to be interrupted seldom.
fn median(samples: usize, batch: u32, mut call: impl FnMut()) -> u128 {
    let mut times: Vec<u128> = (0..samples)
        .map(|_| {
            let start = Instant::now();
            (0..batch).for_each(|_| call());
            start.elapsed().as_nanos() / u128::from(batch)
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn events() -> Vec<(&'static str, At)> {
    let own = |event: At| event.transaction(|transaction| transaction.class = Class::Clean);
    vec![
        ("connect", at(Stage::Connect)),
        ("login", login("a@example.jp")),
        ("mail", at(Stage::Mail)),
        ("rcpt", own(rcpt("x@example.org"))),
        ("headers", own(own_headers())),
        ("end of message", own(end(4096))),
    ]
}

fn rules() -> Vec<Rule> {
    let plenty = u64::MAX / 2;
    let by = |name: &str, key: &[KeyPart], units: &[Unit]| {
        let limits: Vec<_> = units
            .iter()
            .map(|&unit| limit(unit, plenty, Millis::HOUR))
            .collect();
        rule(name, RuleSpec::RateLimit(rate(key, &limits)))
    };
    let mut rules = vec![
        rule("strict", RuleSpec::SubmissionPolicy(strict())),
        rule("guard", RuleSpec::LoginGuard(guard())),
        by(
            "account",
            &[KeyPart::Account],
            &[Unit::Recipients, Unit::Messages, Unit::Bytes],
        ),
        by(
            "source",
            &[KeyPart::Source],
            &[Unit::Recipients, Unit::Connections, Unit::Attempts],
        ),
        by("prefix", &[KeyPart::SourcePrefix], &[Unit::Connections]),
        by("gateway", &[KeyPart::Gateway], &[Unit::Messages]),
    ];
    for at in 0..84 {
        let mut other = by(
            &format!("other{at}"),
            &[KeyPart::Account],
            &[Unit::Recipients, Unit::Messages],
        );
        other.applies = match at % 4 {
            0 => Match {
                accounts: vec![format!("customer{at}@example.jp")],
                ..Match::default()
            },
            1 => Match {
                accounts: vec![format!("*@tenant{at}.example.jp")],
                ..Match::default()
            },
            2 => Match {
                networks: vec![format!("10.{at}.0.0/16").parse().unwrap()],
                ..Match::default()
            },
            _ => Match {
                when: Some(Expr::Compare(
                    Field::AccountDomain,
                    Comparison::Eq,
                    Value::Text(format!("t{at}.example")),
                )),
                ..Match::default()
            },
        };
        rules.push(other);
    }
    for (at, code) in ["KR", "CN", "US", "BR", "VN", "IN", "RU", "TR", "ID", "TH"]
        .into_iter()
        .enumerate()
    {
        let limits = vec![limit(Unit::Recipients, 33, Millis::DAY)];
        let foreign = CountryRule {
            from: From::Countries(vec![country(code)]),
            limits,
            sender: SenderCheck::MustMatchAccount,
            ..abroad()
        };
        rules.push(rule(
            &format!("country{at}"),
            RuleSpec::CountryRule(foreign),
        ));
    }
    assert_eq!(rules.len(), 100);
    rules
}

fn strict() -> SubmissionPolicy {
    let pattern = |at: usize| ContentRule {
        name: format!("p{at}"),
        header: Some("Subject".into()),
        matches: "casino".into(),
        score: 1000,
    };
    SubmissionPolicy {
        max_size: Some(26_214_400),
        max_recipients: Some(100),
        max_visible_recipients: Some(30),
        bare_newlines: BareNewlines::Reject,
        missing_headers: MissingHeaders::Keep,
        envelope_sender: SenderCheck::MustMatchAccount,
        header_sender: SenderCheck::MustMatchAccount,
        recipient_domains: RecipientDomains::MustResolve,
        blocked_extensions: vec!["exe".into(), "scr".into()],
        classify: Some(Classify {
            applies_to: AppliesTo::Everyone,
            engines: Vec::new(),
            rules: (0..10).map(pattern).collect(),
            suspect_at: 5_000,
            spam_at: 10_000,
        }),
        route: [
            (Class::Clean, RouteTo::Pool("clean".into())),
            (Class::Spam, RouteTo::Pool("spam".into())),
        ]
        .into(),
        ..policy()
    }
}

fn guard() -> LoginGuard {
    let lock = Millis(30 * Millis::MINUTE.0);
    LoginGuard {
        per_account: Some(PerAccount {
            distinct_passwords: 10,
            per: Millis::HOUR,
            lock,
        }),
        per_source: Some(PerSource {
            distinct_accounts: Some(5),
            failed_pairs: Some(50),
            per: Millis::HOUR,
            lock,
            ipv4_prefix: 32,
            ipv6_prefix: 64,
        }),
        per_account_and_source: Some(PerPair {
            failures: 10,
            per: Millis::HOUR,
            lock,
        }),
        lock_growth: 2,
        max_lock: Millis::DAY,
        known_good: KnownGood::default(),
        decoys: None,
    }
}
