//! What holds of every rule and every event.

use std::sync::Arc;

use proptest::prelude::*;
use sekisho_policy::decision::{Class, Decision, Verdict};
use sekisho_policy::event::*;
use sekisho_policy::op::{Op, Outcome};
use sekisho_policy::record::{Step, redact};
use sekisho_policy::snapshot::*;
use sekisho_policy::{Address, Event, Millis, Results, Timestamp, Unavailable};

use crate::support::*;

/// Every kind of rule, each part of it at work.
pub(crate) fn busy_snapshot() -> Snapshot {
    let mut strict = policy();
    strict.max_size = Some(1000);
    strict.max_recipients = Some(3);
    strict.max_visible_recipients = Some(3);
    strict.bare_newlines = BareNewlines::Reject;
    strict.envelope_sender = SenderCheck::MustMatchAccount;
    strict.header_sender = SenderCheck::MustMatchAccount;
    strict.aliases = vec![Alias {
        account: "a@*".into(),
        addresses: vec!["*@shop.example.jp".into()],
    }];
    strict.recipient_domains = RecipientDomains::MustResolve;
    strict.blocked_extensions = vec!["exe".into()];
    let pattern = ContentRule {
        name: "casino".into(),
        header: Some("Subject".into()),
        matches: "casino".into(),
        score: 6000,
    };
    strict.classify = Some(Classify {
        applies_to: AppliesTo::Everyone,
        engines: Vec::new(),
        rules: vec![pattern],
        suspect_at: 5000,
        spam_at: 10_000,
    });
    strict.route = [
        (Class::Clean, RouteTo::Pool("clean".into())),
        (Class::Spam, RouteTo::Reject),
    ]
    .into();
    let foreign = CountryRule {
        applies_to: AppliesTo::Everyone,
        from: From::Except(vec![country("JP")]),
        exempt: Exempt {
            reverse_names: vec![".google.com".into()],
            accounts: vec!["c@*".into()],
            ..Exempt::default()
        },
        login: LoginFrom::Refuse,
        sender: SenderCheck::MustMatchAccount,
        recipients_per_message: Some(2),
        limits: vec![
            limit(Unit::Recipients, 2, Millis::DAY),
            limit(Unit::Attempts, 2, Millis::DAY),
        ],
        class_at_least: Some(Class::Suspect),
    };
    let all = [
        Unit::Messages,
        Unit::Recipients,
        Unit::Bytes,
        Unit::Connections,
        Unit::Attempts,
    ];
    let limits: Vec<_> = all.map(|unit| limit(unit, 2, Millis::HOUR)).into();
    let mut gate = rate(&[KeyPart::Source], &limits);
    gate.on_unavailable = OnCountersUnavailable::Defer;
    let mut reroute = rate(&[KeyPart::Account, KeyPart::Country], &limits);
    reroute.on_exceed = OnExceed::RouteSpam;
    let lock = Millis(60_000);
    let guard = LoginGuard {
        per_account: Some(PerAccount {
            distinct_passwords: 1,
            per: Millis::HOUR,
            lock,
        }),
        per_source: Some(PerSource {
            distinct_accounts: Some(1),
            failed_pairs: Some(1),
            per: Millis::HOUR,
            lock,
            ipv4_prefix: 32,
            ipv6_prefix: 64,
        }),
        per_account_and_source: Some(PerPair {
            failures: 1,
            per: Millis::HOUR,
            lock,
        }),
        lock_growth: 2,
        max_lock: Millis::DAY,
        known_good: KnownGood::default(),
        decoys: Some(Decoys {
            accounts: vec!["admin@example.jp".into()],
            action: DecoyAction::LockSource,
        }),
    };
    let mut snapshot = snapshot(vec![
        rule("gate", RuleSpec::RateLimit(gate)),
        rule("reroute", RuleSpec::RateLimit(reroute)),
        rule("policy", RuleSpec::SubmissionPolicy(strict)),
        rule("abroad", RuleSpec::CountryRule(foreign)),
        rule("guard", RuleSpec::LoginGuard(guard)),
    ]);
    snapshot.pools.get_mut("clean").unwrap().rate = Some(limit(Unit::Messages, 2, Millis::HOUR));
    snapshot
}

fn pick<T: Clone + std::fmt::Debug + 'static>(values: &[T]) -> impl Strategy<Value = T> + use<T> {
    proptest::sample::select(values.to_vec())
}

fn stage() -> impl Strategy<Value = At> {
    let account = || pick(&["a@example.jp", "c@example.jp", "admin@example.jp"]);
    let from = pick(&[
        FromHeader::One(address("a@example.jp")),
        FromHeader::One(address("b@example.jp")),
        FromHeader::Missing,
        FromHeader::Several,
    ]);
    let scan = || pick(&[Scan::Complete, Scan::OverLimits]);
    let standing = pick(&[
        Fact::Known(DomainStanding::Resolves),
        Fact::Known(DomainStanding::NullMx),
        Fact::Unavailable,
        Fact::Unasked,
    ]);
    prop_oneof![
        Just(at(Stage::Connect)),
        account().prop_map(login),
        (account(), any::<Option<u8>>()).prop_map(|(account, password)| failed(account, password)),
        Just(at(Stage::LoginSucceeded)),
        Just(at(Stage::Mail)),
        standing.prop_map(|domain| at(Stage::Rcpt {
            recipient: address("x@example.org"),
            domain
        })),
        (from, 0u32..6, any::<bool>(), scan()).prop_map(
            |(from, visible_recipients, matched, scan)| {
                let matched = if matched {
                    vec!["casino".into()]
                } else {
                    Vec::new()
                };
                at(Stage::Headers(HeaderFacts {
                    from,
                    visible_recipients,
                    matched,
                    scan,
                }))
            }
        ),
        (
            0u64..2000,
            any::<bool>(),
            scan(),
            pick(&[Newlines::Clean, Newlines::Bare])
        )
            .prop_map(|(bytes, exe, scan, newlines)| {
                let extensions = if exe { vec!["exe".into()] } else { Vec::new() };
                at(Stage::End(EndFacts {
                    bytes,
                    extensions,
                    scan,
                    newlines,
                    ..EndFacts::default()
                }))
            }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let classes = pick(&[
        Class::Unclassified,
        Class::Clean,
        Class::Suspect,
        Class::Spam,
    ]);
    let names = pick(&[
        Fact::Unasked,
        Fact::Unavailable,
        Fact::Known(vec!["a.google.com".into()]),
    ]);
    let sender = pick(&["a@example.jp", "b@example.jp", ""]);
    let session = (
        pick(&["JP", "BR", ""]),
        names,
        pick(&["203.0.113.9", "2001:db8::9"]),
    );
    let transaction = (sender, 0u32..5, classes, proptest::option::of(0u64..2000));
    (
        stage(),
        session,
        transaction,
        any::<bool>(),
        0u64..10 * Millis::DAY.0,
    )
        .prop_map(|(event, session, transaction, anonymous, at)| {
            let mut event = event
                .from(session.0)
                .source(session.2)
                .session(|facts| facts.source.reverse_names = session.1);
            if event.0.transaction.is_some() {
                event = event.sender(transaction.0).transaction(|facts| {
                    (facts.recipients, facts.class, facts.declared_size) =
                        (transaction.1, transaction.2, transaction.3);
                });
            }
            let event = if anonymous { event.anonymous() } else { event };
            event.after(Millis(at)).0
        })
}

/// Answers that fit the operations, full or not, locked or not.
fn answers(ops: &[Op], seed: u64) -> Results {
    let answer = |(at, op): (usize, &Op)| {
        let bits = seed.rotate_left(at as u32 * 7);
        match op {
            Op::Gate { cost, limit, .. } if bits & 1 == 0 && cost <= limit => {
                Outcome::Passed { total: *cost }
            }
            Op::Gate { limit, .. } => Outcome::Full {
                total: *limit,
                retry_at: (bits & 2 == 0).then_some(Timestamp(u64::MAX / 2)),
            },
            Op::Meter { .. }
            | Op::Read { .. }
            | Op::Distinct { .. }
            | Op::Admit { .. }
            | Op::Count { .. }
            | Op::Correspond { .. } => Outcome::Total(bits & 7),
            Op::Award { .. } | Op::Points { .. } => Outcome::Awards(Box::default()),
            Op::Locked { .. } => Outcome::Until((bits & 1 == 0).then_some(Timestamp(u64::MAX / 2))),
            Op::Lock { .. } => Outcome::Until(None),
            Op::Forgive { .. }
            | Op::Disown { .. }
            | Op::Heed { .. }
            | Op::Forget { .. }
            | Op::Clear { .. } => Outcome::Done,
        }
    };
    Results(ops.iter().enumerate().map(answer).collect())
}

fn verdict_class(decision: &Decision) -> (Verdict, Class) {
    (decision.verdict.clone(), decision.class)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_class_only_worsens(event in event(), seed: u64) {
        let world = World::of(busy_snapshot());
        let plan = world.rules.plan(&event);
        let before = event.transaction.as_ref().map(|transaction| transaction.class).unwrap_or_default();
        prop_assert!(plan.decide(Ok(&answers(plan.ops(), seed))).class >= before);
    }

    /// A shadow rule decides and records, and everything else goes as if it were off. (Known-good days are learnt by either.)
    #[test]
    fn shadow_never_changes_the_verdict(event in event(), which in 0usize..5, seed: u64, mut counts in any::<[bool; 4]>()) {
        let with = |enforcement| {
            let mut snapshot = busy_snapshot();
            snapshot.rules[which].enforcement = enforcement;
            World::of(snapshot)
        };
        let (shadow, off) = (with(Enforcement::Shadow), with(Enforcement::Off));
        // Use the counters up as both worlds would, then compare.
        for world in [&shadow, &off] {
            for _ in counts.iter().filter(|&&again| again) {
                world.judge(&event);
            }
        }
        counts.reverse();
        let (observed, without) = (shadow.judge(&event), off.judge(&event));
        prop_assert_eq!(verdict_class(&observed), verdict_class(&without));
        // Whatever counters answer, a shadow rule asks for nothing that could refuse another's cost.
        let object = shadow.rules.objects().nth(which).unwrap();
        let plan = shadow.rules.plan(&event);
        for op in plan.ops() {
            if let Op::Gate { key, .. } = op {
                let parts = sekisho_policy::key::read(key).unwrap();
                prop_assert!(parts.object != **object);
            }
        }
        prop_assert_eq!(shadow.rules.route(&event, Class::Clean), off.rules.route(&event, Class::Clean));
        let _ = seed;
    }

    /// A tripped rule is judged exactly as a shadow rule.
    #[test]
    fn tripped_is_shadow(event in event(), which in 0usize..5, seed: u64) {
        let mut snapshot = busy_snapshot();
        let mut tripped = event.clone();
        tripped.tripped = vec![snapshot.rules[which].object.clone()];
        let enforced = World::of(snapshot.clone());
        snapshot.rules[which].enforcement = Enforcement::Shadow;
        let shadow = World::of(snapshot);
        let (a, b) = (enforced.rules.plan(&tripped), shadow.rules.plan(&event));
        prop_assert_eq!(a.ops(), b.ops());
        let results = answers(a.ops(), seed);
        prop_assert_eq!(a.decide(Ok(&results)), b.decide(Ok(&results)));
    }

    /// The same rules and the same event, read back from the ledger, give the same operations and the same decision.
    #[test]
    fn a_replay_decides_alike(event in event(), seed: u64, up: bool) {
        let world = World::of(busy_snapshot());
        let plan = world.rules.plan(&event);
        let alone = seed.is_multiple_of(2).then(|| answers(&plan.ops_alone(), seed));
        let out = Unavailable { dependency: "counters".into(), why: "test".into(), alone, ..Unavailable::default() };
        let results = if up { Ok(answers(plan.ops(), seed)) } else { Err(out) };
        let decision = plan.decide(results.as_ref());
        let step = Step { event: event.clone(), ops: plan.ops().to_vec(), answers: results.map(|results| results.0), decision };
        let read: Step = serde_json::from_str(&serde_json::to_string(&step).unwrap()).unwrap();
        prop_assert_eq!(&read, &step);
        let tomorrow = World::of(busy_snapshot());
        let again = tomorrow.rules.plan(&read.event);
        prop_assert_eq!(again.ops(), &read.ops[..]);
        let answers = read.answers.map(Results);
        prop_assert_eq!(again.decide(answers.as_ref()), read.decision);
    }

    /// What is refused without counters charges nothing but login attempts, and a refusal is never an `Allow` in the findings.
    #[test]
    fn refusals_and_findings_agree(event in event(), seed: u64) {
        use sekisho_policy::decision::Said;
        let world = World::of(busy_snapshot());
        let plan = world.rules.plan(&event);
        let decision = plan.decide(Ok(&answers(plan.ops(), seed)));
        let refusals = decision.findings.iter().filter(|finding| matches!(finding.said, Said::Defer(_) | Said::Reject(_)));
        let reasons: Vec<_> = refusals.map(|finding| finding.said).collect();
        match decision.verdict {
            Verdict::Allow | Verdict::Delay(_) => prop_assert!(reasons.is_empty(), "{:?}", reasons),
            Verdict::Defer(refusal) => prop_assert!(reasons.contains(&Said::Defer(refusal.reason)) && refusal.code < 500),
            Verdict::Reject(refusal) => prop_assert!(reasons.contains(&Said::Reject(refusal.reason)) && refusal.code >= 500),
        }
    }

    /// Hashing recipients for the ledger changes the recipient's local part, and no decision.
    #[test]
    fn redaction_hides_recipients(event in event(), seed: u64) {
        let hidden = redact(&event, &|address: &Address| Address::new("3f2a", address.domain()));
        prop_assert!(!serde_json::to_string(&hidden).unwrap().contains("\"local\":\"x\""));
        let world = World::of(busy_snapshot());
        let (plan, again) = (world.rules.plan(&event), world.rules.plan(&hidden));
        prop_assert_eq!(plan.ops(), again.ops());
        let results = answers(plan.ops(), seed);
        prop_assert_eq!(plan.decide(Ok(&results)), again.decide(Ok(&results)));
    }
}

#[test]
fn rulesets_and_plans_cross_threads() {
    fn check<T: Send + Sync>(_: &T) {}
    let world = World::of(busy_snapshot());
    let event = Arc::new(at(Stage::Mail).0);
    check(&world.rules);
    check(&world.rules.plan(&event));
}
