//! What content engines and patterns over the text say of a message at its end.

use sekisho_policy::decision::{Class, Reason, Said};
use sekisho_policy::event::{EndFacts, Fact, Scan, Stage, TextScan};
use sekisho_policy::opinion::{EngineFault, EngineVerdict, Opinion, Score, Symbol};
use sekisho_policy::snapshot::*;
use sekisho_policy::{Millis, Need, Ruleset};

use crate::support::*;

const PART: &str = "spec.classify.engines[0]";

fn engine(protocol: EngineProtocol) -> Engine {
    Engine {
        protocol,
        address: HostPort {
            host: "rspamd".into(),
            port: 11333,
        },
        timeout: Millis(2000),
        concurrency: 20,
        suspect_at: 6_000,
        spam_at: Some(12_000),
        reject_at: Some(30_000),
    }
}

fn classify(engines: Vec<Engine>, rules: Vec<ContentRule>) -> SubmissionPolicy {
    let mut spec = policy();
    spec.classify = Some(Classify {
        applies_to: AppliesTo::Everyone,
        engines,
        rules,
        suspect_at: 5_000,
        spam_at: 10_000,
    });
    spec
}

fn world_of(spec: SubmissionPolicy) -> World {
    World::new(vec![rule("strict", RuleSpec::SubmissionPolicy(spec))])
}

fn asked() -> World {
    world_of(classify(vec![engine(EngineProtocol::Rspamd)], Vec::new()))
}

fn ended(opinions: Fact<Vec<Opinion>>) -> At {
    at(Stage::End(EndFacts {
        bytes: 10,
        opinions,
        ..EndFacts::default()
    }))
    .transaction(|transaction| transaction.class = Class::Clean)
}

fn scored(points: i64, verdict: EngineVerdict) -> Opinion {
    Opinion::Scored(Score {
        points,
        verdict,
        symbols: Vec::new(),
    })
}

#[test]
fn scores_are_held_to_the_engines_own_marks() {
    use EngineVerdict::{Pass, Reject};
    let world = asked();
    for (points, verdict, class, expected) in [
        (-5_000, Pass, Class::Clean, "ok"),
        (5_999, Pass, Class::Clean, "ok"),
        (6_000, Pass, Class::Suspect, "ok"),
        (11_999, Pass, Class::Suspect, "ok"),
        (12_000, Pass, Class::Spam, "ok"),
        (29_999, Pass, Class::Spam, "ok"),
        (30_000, Pass, Class::Clean, "550 5.7.1"),
        // The engine's own refusal is a word on spam, not on malware.
        (0, Reject, Class::Spam, "ok"),
        (30_000, Reject, Class::Clean, "550 5.7.1"),
    ] {
        let event = ended(Fact::Known(vec![scored(points, verdict)])).0;
        let decision = world.judge(&event);
        assert_eq!(
            (decision.class, code(&decision).as_str()),
            (class, expected),
            "{points} {verdict:?}"
        );
    }
    let event = ended(Fact::Known(vec![scored(30_000, Pass)])).0;
    let reason = world.judge(&event).verdict.refusal().unwrap().reason;
    assert_eq!(reason, Reason::ContentRefused);
}

#[test]
fn without_marks_of_spam_and_refusal_there_is_only_suspicion() {
    let mut one = engine(EngineProtocol::Spamd);
    (one.spam_at, one.reject_at) = (None, None);
    let world = world_of(classify(vec![one], Vec::new()));
    let event = ended(Fact::Known(vec![scored(1_000_000, EngineVerdict::Pass)])).0;
    let decision = world.judge(&event);
    assert_eq!(
        (decision.class, code(&decision).as_str()),
        (Class::Suspect, "ok")
    );
}

#[test]
fn symbols_are_told_with_their_part_in_the_score() {
    let symbol = |name: &str, points| Symbol {
        name: name.into(),
        points,
    };
    let score = Score {
        points: 7_250,
        verdict: EngineVerdict::Pass,
        symbols: vec![symbol("BAYES_SPAM", Some(5_100)), symbol("HTML_ONLY", None)],
    };
    let decision = asked().judge(&ended(Fact::Known(vec![Opinion::Scored(score)])).0);
    assert_eq!(
        finding(&decision, PART).saw,
        "rspamd 7.25 of 6: BAYES_SPAM 5.1, HTML_ONLY"
    );
}

#[test]
fn the_worst_of_all_opinions_counts() {
    let engines = vec![
        engine(EngineProtocol::Rspamd),
        engine(EngineProtocol::Spamd),
    ];
    let world = world_of(classify(engines, Vec::new()));
    let pass = |points| scored(points, EngineVerdict::Pass);
    for (opinions, class) in [
        (vec![pass(0), pass(0)], Class::Clean),
        (vec![pass(12_000), pass(0)], Class::Spam),
        (vec![pass(6_000), pass(12_000)], Class::Spam),
        (vec![pass(0), Opinion::Out], Class::Clean),
        (
            vec![Opinion::Failed(EngineFault::Timeout), pass(0)],
            Class::Suspect,
        ),
    ] {
        let decision = world.judge(&ended(Fact::Known(opinions.clone())).0);
        assert_eq!(decision.class, class, "{opinions:?}");
    }
}

#[test]
fn failure_on_one_message_and_failure_altogether_are_two_things() {
    for (message, classifier, opinion, class, expected) in [
        (
            OnMessageUnexamined::RouteSuspect,
            OnMessageUnexamined::RouteClean,
            Opinion::Failed(EngineFault::Timeout),
            Class::Suspect,
            "ok",
        ),
        (
            OnMessageUnexamined::RouteSuspect,
            OnMessageUnexamined::RouteClean,
            Opinion::Out,
            Class::Clean,
            "ok",
        ),
        (
            OnMessageUnexamined::Defer,
            OnMessageUnexamined::RouteSpam,
            Opinion::Failed(EngineFault::BadAnswer),
            Class::Clean,
            "451 4.3.0",
        ),
        (
            OnMessageUnexamined::Defer,
            OnMessageUnexamined::RouteSpam,
            Opinion::Out,
            Class::Spam,
            "ok",
        ),
        (
            OnMessageUnexamined::RouteClean,
            OnMessageUnexamined::Defer,
            Opinion::Out,
            Class::Clean,
            "451 4.3.0",
        ),
    ] {
        let spec = classify(vec![engine(EngineProtocol::Rspamd)], Vec::new());
        let mut snapshot = snapshot(vec![rule("strict", RuleSpec::SubmissionPolicy(spec))]);
        snapshot.gateway.on_unavailable.message = message;
        snapshot.gateway.on_unavailable.classifier = classifier;
        let decision = World::of(snapshot).judge(&ended(Fact::Known(vec![opinion.clone()])).0);
        assert_eq!(
            (decision.class, code(&decision).as_str()),
            (class, expected),
            "{message:?} {classifier:?} {opinion:?}"
        );
    }
}

#[test]
fn engines_are_asked_of_nothing_that_is_refused_anyway() {
    let mut spec = classify(vec![engine(EngineProtocol::Rspamd)], Vec::new());
    spec.max_size = Some(100);
    spec.blocked_extensions = vec!["exe".into()];
    let mut shadow = rule("strict", RuleSpec::SubmissionPolicy(spec.clone()));
    shadow.enforcement = Enforcement::Shadow;
    let (enforced, shadow) = (world_of(spec), World::new(vec![shadow]));
    let asks = |world: &World, facts: EndFacts| {
        let event = at(Stage::End(facts)).0;
        world.rules.needs(&event).contains(Need::Opinions)
    };
    let facts = |bytes, extension: &str| EndFacts {
        bytes,
        extensions: vec![extension.into()],
        ..EndFacts::default()
    };
    assert!(asks(&enforced, facts(100, "txt")));
    assert!(!asks(&enforced, facts(101, "txt")));
    assert!(!asks(&enforced, facts(100, "exe")));
    assert!(asks(&shadow, facts(101, "exe")), "it only observes");
    let known = EndFacts {
        opinions: Fact::Known(Vec::new()),
        ..EndFacts::default()
    };
    assert!(!asks(&enforced, known), "once is enough");
    let decision = enforced.judge(&ended(Fact::Unasked).0);
    assert_eq!(said(&decision, PART), Said::Unjudged);
}

fn pattern(name: &str, header: Option<&str>, matches: &str, score: i64) -> ContentRule {
    ContentRule {
        name: name.into(),
        header: header.map(Into::into),
        matches: matches.into(),
        score,
    }
}

fn weighed() -> World {
    world_of(classify(
        Vec::new(),
        vec![
            pattern("casino", Some("Subject"), "(?i)casino", 6_000),
            pattern("pills", None, "(?i)pills", 4_000),
            pattern("signed", None, "Kind regards", -2_000),
        ],
    ))
}

#[test]
fn patterns_over_the_text_are_weighed_with_those_over_fields() {
    let world = weighed();
    let at_end = |names: &[&str]| {
        let facts = EndFacts {
            matched: names.iter().map(|&name| name.into()).collect(),
            ..EndFacts::default()
        };
        world.judge(
            &at(Stage::End(facts))
                .transaction(|t| t.class = Class::Clean)
                .0,
        )
    };
    for (names, class) in [
        (&[][..], Class::Clean),
        (&["casino"], Class::Suspect),
        (&["pills"], Class::Clean),
        (&["casino", "pills"], Class::Spam),
        (&["casino", "signed"], Class::Clean),
    ] {
        assert_eq!(at_end(names).class, class, "{names:?}");
    }
    // What waits for the text is not judged before it is there: what speaks for a message could no longer help it.
    let early = world.judge(&matched(&["casino"]).0);
    assert_eq!(early.class, Class::Clean);
}

#[test]
fn patterns_look_where_they_belong() {
    let world = weighed();
    let mut found = Vec::new();
    world.rules.scan_header("Subject", "pills", &mut found);
    world.rules.scan_text("casino", &mut found);
    assert!(found.is_empty());
    world
        .rules
        .scan_text("cheap PILLS. Kind regards", &mut found);
    world.rules.scan_text("more pills", &mut found);
    assert_eq!(found, ["pills".into(), "signed".into()] as [Box<str>; 2]);
    let needs = world.rules.content(&at(Stage::Mail).0);
    assert!(needs.text && needs.hold() && !needs.engines);
    let needs = asked().rules.content(&at(Stage::Mail).0);
    assert!(needs.engines && needs.hold() && !needs.text);
}

#[test]
fn parts_that_could_not_be_walked_are_not_called_clean() {
    let facts = EndFacts {
        scan: Scan::OverLimits,
        ..EndFacts::default()
    };
    let event = at(Stage::End(facts))
        .transaction(|t| t.class = Class::Clean)
        .0;
    assert_eq!(weighed().judge(&event).class, Class::Suspect);
    // Who asks only engines is not concerned: they have parsers of their own.
    assert_eq!(
        asked().judge(&event).class,
        Class::Clean,
        "nobody looked at the parts"
    );
}

#[test]
fn a_long_text_is_not_deferred() {
    for (policy, class) in [
        (OnMessageUnexamined::RouteClean, Class::Clean),
        (OnMessageUnexamined::RouteSuspect, Class::Suspect),
        (OnMessageUnexamined::RouteSpam, Class::Spam),
        (OnMessageUnexamined::Defer, Class::Clean),
    ] {
        let pattern = ContentRule {
            name: "pills".into(),
            header: None,
            matches: "pills".into(),
            score: 1_000,
        };
        let mut spec = classify(Vec::new(), vec![pattern]);
        spec.blocked_extensions = vec!["exe".into()];
        let mut snapshot = snapshot(vec![rule("strict", RuleSpec::SubmissionPolicy(spec))]);
        snapshot.gateway.on_unavailable.message = policy;
        let facts = EndFacts {
            text: TextScan::Cut,
            ..EndFacts::default()
        };
        let event = at(Stage::End(facts))
            .transaction(|transaction| transaction.class = Class::Clean)
            .0;
        let decision = World::of(snapshot).judge(&event);
        assert_eq!(
            (code(&decision).as_str(), decision.class),
            ("ok", class),
            "{policy:?}"
        );
        let saw = |part: &str, words: &str| {
            decision
                .findings
                .iter()
                .any(|finding| finding.part == part && finding.saw.contains(words))
        };
        assert!(
            saw("spec.onUnavailable.message", "longer than"),
            "{decision:?}"
        );
        assert!(
            saw("spec.attachments.blockedExtensions", "none of"),
            "{decision:?}"
        );
    }
}

#[test]
fn engines_that_can_never_be_asked_are_refused_at_load() {
    type Change = fn(&mut Vec<Engine>);
    let changes: [Change; 3] = [
        |engines| engines[0].concurrency = 0,
        |engines| engines[0].timeout = Millis(0),
        |engines| {
            let one = engines[0].clone();
            engines.resize(5, one);
        },
    ];
    for change in changes {
        let mut engines = vec![engine(EngineProtocol::Rspamd)];
        change(&mut engines);
        let spec = classify(engines, Vec::new());
        let snapshot = snapshot(vec![rule("strict", RuleSpec::SubmissionPolicy(spec))]);
        assert!(Ruleset::load(&Envelope::seal(1, snapshot)).is_err());
    }
}
