//! What accounts have set: whom `appliesTo` is about, counts of their own, and that a record says which setting it was.

use std::sync::Arc;

use sekisho_policy::decision::{Class, Decision, Reason, Said};
use sekisho_policy::event::*;
use sekisho_policy::explain::{Applicability, Skip};
use sekisho_policy::settings::{AccountSettings, Filtering, LoginsFromAbroad, OwnLimit};
use sekisho_policy::snapshot::*;
use sekisho_policy::{Event, Millis};

use crate::support::*;

fn own(settings: AccountSettings) -> Settings {
    Settings::Own(Arc::new(settings))
}

fn logins(wanted: LoginsFromAbroad) -> Settings {
    own(AccountSettings {
        logins_from_abroad: Some(wanted),
        ..AccountSettings::default()
    })
}

fn filtering(wanted: Filtering) -> Settings {
    own(AccountSettings {
        classification: Some(wanted),
        ..AccountSettings::default()
    })
}

fn counting(count: u64) -> Settings {
    let limit = OwnLimit {
        rule: "per-account".into(),
        unit: Unit::Recipients,
        per: Millis::HOUR,
        count,
    };
    own(AccountSettings {
        limits: [limit].into(),
        ..AccountSettings::default()
    })
}

fn with(at: At, settings: &Settings) -> Event {
    Event {
        settings: settings.clone(),
        ..at.0
    }
}

fn refusing(applies_to: AppliesTo) -> World {
    let spec = CountryRule {
        login: LoginFrom::Refuse,
        applies_to,
        ..abroad()
    };
    World::new(vec![rule("abroad", RuleSpec::CountryRule(spec))])
}

const REFUSED: &str = "535 5.7.8";

#[test]
fn a_country_rule_goes_by_what_the_account_has_set() {
    let (refuse, allow) = (
        logins(LoginsFromAbroad::Refuse),
        logins(LoginsFromAbroad::Allow),
    );
    let other = filtering(Filtering::Wanted);
    for (applies_to, expected) in [
        (AppliesTo::Everyone, [REFUSED; 5]),
        (AppliesTo::OptedIn, [REFUSED, "ok", "ok", "ok", "ok"]),
        (
            AppliesTo::NotOptedOut,
            [REFUSED, "ok", REFUSED, REFUSED, REFUSED],
        ),
    ] {
        let world = refusing(applies_to);
        let all = [&refuse, &allow, &Settings::None, &other, &Settings::Unheard];
        for (settings, expected) in all.into_iter().zip(expected) {
            let login = || login("a@example.jp");
            let abroad = world.judge(&with(login().from("BR"), settings));
            assert_eq!(code(&abroad), expected, "{applies_to:?} {settings:?}");
            let home = world.judge(&with(login().from("JP"), settings));
            assert_eq!(code(&home), "ok", "{applies_to:?} {settings:?} at home");
        }
    }
}

/// What the account has set is told to nobody: the words are those of a wrong password.
#[test]
fn a_refusal_by_a_setting_looks_like_a_wrong_password() {
    let world = refusing(AppliesTo::OptedIn);
    let refuse = logins(LoginsFromAbroad::Refuse);
    let refused = world.judge(&with(login("a@example.jp").from("BR"), &refuse));
    let wrong = world.judge(&failed("a@example.jp", Some(1)).from("BR").0);
    let of = |decision: &Decision| {
        let refusal = decision.verdict.refusal().unwrap().clone();
        (refusal.code, refusal.enhanced, refusal.text)
    };
    assert_eq!(of(&refused), of(&wrong));
    assert_eq!(
        refused.verdict.refusal().unwrap().reason,
        Reason::AbroadRefused
    );
    let saw = &finding(&refused, "spec.then.login").saw;
    assert_eq!(saw, "from BR, and its settings say Refuse");
    let world = refusing(AppliesTo::NotOptedOut);
    for (settings, words) in [
        (Settings::None, "from BR, and it has no setting of its own"),
        (
            Settings::Unheard,
            "from BR, and settings of accounts were not heard of yet",
        ),
    ] {
        let refused = world.judge(&with(login("a@example.jp").from("BR"), &settings));
        assert_eq!(finding(&refused, "spec.then.login").saw, words);
    }
}

/// A lock is what anybody is told of first, whatever the account has set.
#[test]
fn a_lock_comes_before_a_setting() {
    let spec = CountryRule {
        login: LoginFrom::Refuse,
        applies_to: AppliesTo::OptedIn,
        ..abroad()
    };
    let attempts = rate(
        &[KeyPart::Account],
        &[limit(Unit::Attempts, 1, Millis::HOUR)],
    );
    let world = World::new(vec![
        rule("abroad", RuleSpec::CountryRule(spec)),
        rule("attempts", RuleSpec::RateLimit(attempts)),
    ]);
    for settings in [logins(LoginsFromAbroad::Refuse), Settings::None] {
        let name = format!("{}@example.jp", settings.is_none());
        let again = || code(&world.judge(&with(login(&name).from("BR"), &settings)));
        again();
        assert_eq!(again(), "450 4.7.1", "{settings:?}");
    }
}

/// Before anybody says who it is nobody's setting is known, and the login is judged again once it is.
#[test]
fn nobody_is_judged_by_settings_before_he_says_who_he_is() {
    for applies_to in [AppliesTo::OptedIn, AppliesTo::NotOptedOut] {
        let world = refusing(applies_to);
        let event = nameless_login().from("BR").0;
        assert_eq!(code(&world.judge(&event)), "ok");
        let why = world.rules.explain(&event)[0].1;
        assert_eq!(why, Applicability::Skipped(Skip::Nobody));
    }
    assert_eq!(
        code(&refusing(AppliesTo::Everyone).judge(&nameless_login().from("BR").0)),
        REFUSED
    );
    let world = refusing(AppliesTo::OptedIn);
    let event = with(
        login("a@example.jp").from("BR"),
        &logins(LoginsFromAbroad::Allow),
    );
    assert_eq!(
        world.rules.explain(&event)[0].1,
        Applicability::Skipped(Skip::NotOptedIn)
    );
}

/// A session that is open when its account's setting changes is told at its next message.
#[test]
fn open_sessions_are_told_at_mail() {
    let refuse = logins(LoginsFromAbroad::Refuse);
    let mail = || at(Stage::Mail).from("BR");
    let told = refusing(AppliesTo::OptedIn).judge(&with(mail(), &refuse));
    assert_eq!(code(&told), "550 5.7.1");
    let spared = refusing(AppliesTo::OptedIn).judge(&mail().0);
    assert_eq!(code(&spared), "ok");
    // What is said to everybody ends no session.
    let everyone = refusing(AppliesTo::Everyone).judge(&with(mail(), &refuse));
    assert_eq!(code(&everyone), "ok");
    let silent = refusing(AppliesTo::NotOptedOut).judge(&mail().0);
    assert_eq!(code(&silent), "550 5.7.1");
    // Who needs no login has no account that the reply could speak of.
    let nobody = mail().anonymous().0;
    for applies_to in [AppliesTo::NotOptedOut, AppliesTo::OptedIn] {
        assert_eq!(code(&refusing(applies_to).judge(&nobody)), "ok");
    }
}

#[test]
fn the_rest_of_a_country_rule_goes_by_it_too() {
    let spec = CountryRule {
        applies_to: AppliesTo::OptedIn,
        recipients_per_message: Some(1),
        limits: vec![limit(Unit::Recipients, 1, Millis::HOUR)],
        ..abroad()
    };
    let world = World::new(vec![rule("abroad", RuleSpec::CountryRule(spec))]);
    let second = || {
        let event = rcpt("x@example.com").from("BR");
        event.transaction(|transaction| transaction.recipients = 1)
    };
    assert_eq!(code(&world.judge(&second().0)), "ok");
    let refuse = logins(LoginsFromAbroad::Refuse);
    assert_eq!(code(&world.judge(&with(second(), &refuse))), "452 4.5.3");
}

fn classifying(applies_to: AppliesTo) -> World {
    let mut spec = policy();
    spec.classify = Some(Classify {
        applies_to,
        engines: Vec::new(),
        rules: vec![ContentRule {
            name: "casino".into(),
            header: Some("Subject".into()),
            matches: "casino".into(),
            score: 20_000,
        }],
        suspect_at: 5_000,
        spam_at: 10_000,
    });
    World::new(vec![rule("submission", RuleSpec::SubmissionPolicy(spec))])
}

#[test]
fn classification_goes_by_what_the_account_has_set() {
    let (wanted, unwanted) = (filtering(Filtering::Wanted), filtering(Filtering::Unwanted));
    let (spam, none) = (Class::Spam, Class::Unclassified);
    for (applies_to, expected) in [
        (AppliesTo::Everyone, [spam, spam, spam]),
        (AppliesTo::OptedIn, [spam, none, none]),
        (AppliesTo::NotOptedOut, [spam, none, spam]),
    ] {
        let world = classifying(applies_to);
        let all = [&wanted, &unwanted, &Settings::None];
        for (settings, expected) in all.into_iter().zip(expected) {
            let judged = world.judge(&with(matched(&["casino"]), settings));
            assert_eq!(judged.class, expected, "{applies_to:?} {settings:?}");
            let mail = world.judge(&with(at(Stage::Mail), settings));
            let begins = if expected == none { none } else { Class::Clean };
            assert_eq!(mail.class, begins, "{applies_to:?} {settings:?} at MAIL");
            let looks = world.rules.content(&with(at(Stage::Mail), settings));
            assert!(looks.headers || expected == none);
        }
    }
    let spared = classifying(AppliesTo::OptedIn).judge(&at(Stage::Mail).0);
    let why = finding(&spared, "spec.classify.appliesTo");
    assert_eq!(why.said, Said::Exempt);
}

fn limiting(own_limits: OwnLimits, key: &[KeyPart]) -> World {
    let spec = RateLimit {
        own_limits,
        ..rate(
            key,
            &[
                limit(Unit::Recipients, 3, Millis::HOUR),
                limit(Unit::Messages, 1, Millis::HOUR),
            ],
        )
    };
    World::new(vec![rule("per-account", RuleSpec::RateLimit(spec))])
}

fn admitted(world: &World, settings: &Settings) -> usize {
    let recipients = (0..10).map(|_| with(rcpt("x@example.com"), settings));
    recipients
        .filter(|event| code(&world.judge(event)) == "ok")
        .count()
}

#[test]
fn an_account_has_a_count_of_its_own_as_far_as_the_rule_lets_it() {
    let by_account = &[KeyPart::Account][..];
    for (own_limits, lower, higher) in [
        (OwnLimits::Lower, 2, 3),
        (OwnLimits::Replace, 2, 5),
        (OwnLimits::Ignore, 3, 3),
    ] {
        for (count, expected) in [(2, lower), (5, higher)] {
            let world = limiting(own_limits, by_account);
            assert_eq!(
                admitted(&world, &counting(count)),
                expected,
                "{own_limits:?} {count}"
            );
        }
        let by_source = limiting(own_limits, &[KeyPart::Source]);
        assert_eq!(
            admitted(&by_source, &counting(2)),
            3,
            "sources have no settings"
        );
    }
}

/// A count that changes forgives nobody: the tally is the same.
#[test]
fn the_tally_stays_whose_count_it_is() {
    let world = limiting(OwnLimits::Replace, &[KeyPart::Account]);
    assert_eq!(admitted(&world, &counting(2)), 2);
    assert_eq!(admitted(&world, &Settings::None), 1);
    assert_eq!(admitted(&world, &counting(5)), 2);
    assert_eq!(admitted(&world, &counting(1)), 0);
    let judged = world.judge(&with(rcpt("x@example.com"), &counting(6)));
    let saw = &finding(&judged, "spec.limits[Recipients per 1h]").saw;
    assert_eq!(saw, "6 of 6 in 1h, its own limit");
    let world = limiting(OwnLimits::Lower, &[KeyPart::Account]);
    let judged = world.judge(&with(rcpt("x@example.com"), &counting(6)));
    let saw = &finding(&judged, "spec.limits[Recipients per 1h]").saw;
    assert_eq!(saw, "1 of 3 in 1h, its own 6 is more and does not count");
}

#[test]
fn another_rule_of_that_name_is_not_meant() {
    let spec = rate(
        &[KeyPart::Account],
        &[limit(Unit::Recipients, 3, Millis::HOUR)],
    );
    let world = World::new(vec![rule("other", RuleSpec::RateLimit(spec))]);
    assert_eq!(admitted(&world, &counting(1)), 3);
}

/// A snapshot of a version before settings means what it meant, and one that says nothing new is written as before.
#[test]
fn older_snapshots_mean_what_they_meant() {
    let written = serde_json::to_value(abroad()).unwrap();
    assert!(written.get("appliesTo").is_none());
    let read: CountryRule = serde_json::from_value(written).unwrap();
    assert_eq!(read.applies_to, AppliesTo::Everyone);
    let written = serde_json::to_value(rate(&[KeyPart::Account], &[])).unwrap();
    assert!(written.get("ownLimits").is_none());
    let event = serde_json::to_value(login("a").0).unwrap();
    assert!(event.get("settings").is_none());
    let refuse = with(login("a"), &logins(LoginsFromAbroad::Refuse));
    let again: Event = serde_json::from_value(serde_json::to_value(&refuse).unwrap()).unwrap();
    assert_eq!(again, refuse);
}
