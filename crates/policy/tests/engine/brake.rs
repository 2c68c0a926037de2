//! The brake: a bad rule must not refuse a nation, and an infected machine must not switch a good rule off.

use std::sync::Arc;

use sekisho_policy::brake::{Brake, MIN_REFUSED};
use sekisho_policy::event::*;
use sekisho_policy::snapshot::{self, *};
use sekisho_policy::{Account, Millis};

use crate::support::*;

struct Test {
    world: World,
    brake: Brake,
}

impl Test {
    fn new(brake: snapshot::Brake) -> Self {
        let mut strict = policy();
        strict.envelope_sender = SenderCheck::MustMatchAccount;
        let mut rule = rule("policy", RuleSpec::SubmissionPolicy(strict));
        rule.brake = brake;
        Self {
            world: World::new(vec![rule]),
            brake: Brake::default(),
        }
    }

    /// MAIL of one account, known good or not, refused or not; whether the rule trips by it.
    fn mail(&mut self, account: u64, network: Network, refused: bool, at_millis: u64) -> bool {
        let sender = if refused {
            "forged@example.org".to_owned()
        } else {
            format!("u{account}@example.jp")
        };
        let mut event = at(Stage::Mail).sender(&sender).after(Millis(at_millis)).0;
        let name = Account::canonical(&format!("u{account}@example.jp"), None);
        event.account = Some(Arc::new(AccountFacts::new(name, network)));
        event.tripped = self
            .brake
            .tripped()
            .iter()
            .map(|trip| (*trip.object).clone())
            .collect();
        let decision = self.world.judge(&event);
        !self
            .brake
            .observe(&self.world.rules, &event, &decision)
            .is_empty()
    }
}

#[test]
fn trips_over_one_percent_and_at_least_twenty() {
    let mut test = Test::new(snapshot::Brake::Default);
    for account in 0..MIN_REFUSED - 1 {
        assert!(
            !test.mail(account, Network::KnownGood, true, 0),
            "19 are too few, whatever their share"
        );
    }
    assert!(test.mail(MIN_REFUSED - 1, Network::KnownGood, true, 0));
    let trip = test.brake.tripped()[0].clone();
    assert_eq!(
        (trip.object.name.as_str(), trip.refused, trip.seen),
        ("policy", 20, 20)
    );
    // It only observes now, and does not trip again.
    assert!(!test.mail(100, Network::KnownGood, true, 1));
    assert!(!test.brake.reset(&object(Kind::RateLimit, "policy")));
    assert!(test.brake.reset(&object(Kind::SubmissionPolicy, "policy")));
    assert!(test.brake.tripped().is_empty());
    assert!(
        !test.mail(101, Network::KnownGood, true, 2),
        "it starts anew"
    );
}

#[test]
fn a_share_of_one_percent_is_tolerated() {
    let mut test = Test::new(snapshot::Brake::Default);
    (0..2970).for_each(|account| assert!(!test.mail(account, Network::KnownGood, false, 0)));
    for account in 3000..3030 {
        assert!(
            !test.mail(account, Network::KnownGood, true, 0),
            "{account}"
        );
    }
    // 30 of 3000 so far: the next is 31 of 3001, over one in a hundred.
    assert!(test.mail(3030, Network::KnownGood, true, 0));
}

#[test]
fn only_accounts_in_known_good_networks_count_each_once() {
    let mut test = Test::new(snapshot::Brake::Default);
    assert!(
        (0..100).all(|account| !test.mail(account, Network::New, true, 0)),
        "strangers do not count"
    );
    assert!(
        (0..1000).all(|at| !test.mail(1, Network::KnownGood, true, at)),
        "one infected machine is one"
    );
}

#[test]
fn refusals_leave_the_window() {
    let mut test = Test::new(snapshot::Brake::Default);
    (0..19).for_each(|account| assert!(!test.mail(account, Network::KnownGood, true, 0)));
    assert!(
        !test.mail(19, Network::KnownGood, true, 5 * Millis::MINUTE.0 + 10_000),
        "the others are over"
    );
    let mut test = Test::new(snapshot::Brake::Default);
    (0..19).for_each(|account| assert!(!test.mail(account, Network::KnownGood, true, 60_000)));
    assert!(
        test.mail(19, Network::KnownGood, true, 0),
        "a clock that steps back forgets nothing"
    );
}

#[test]
fn brake_off_never_trips() {
    let mut test = Test::new(snapshot::Brake::Off);
    assert!((0..100).all(|account| !test.mail(account, Network::KnownGood, true, 0)));
}

#[test]
fn rules_that_are_gone_are_forgotten() {
    let mut test = Test::new(snapshot::Brake::Default);
    (0..20).for_each(|account| {
        assert_eq!(
            test.mail(account, Network::KnownGood, true, 0),
            account == 19
        )
    });
    test.brake.retain(&test.world.rules);
    assert_eq!(test.brake.tripped().len(), 1);
    test.brake.retain(&World::new(Vec::new()).rules);
    assert!(test.brake.tripped().is_empty());
}

/// Whoever has one password and many networks must not switch a rule off for all.
#[test]
fn one_account_in_many_networks_is_one() {
    let mut test = Test::new(snapshot::Brake::Default);
    for network in 0..100 {
        let mut event = at(Stage::Mail)
            .sender("forged@example.org")
            .source(&format!("2001:db8:{network}::1"))
            .0;
        let name = Account::canonical("u1@example.jp", None);
        event.account = Some(Arc::new(AccountFacts::new(name, Network::KnownGood)));
        let decision = test.world.judge(&event);
        assert!(
            test.brake
                .observe(&test.world.rules, &event, &decision)
                .is_empty()
        );
    }
}

/// Before somebody is logged in an account is only claimed. What claims and guesses bring about trips nothing; where a client comes
/// from is nobody's claim.
#[test]
fn claims_trip_only_what_goes_by_where_clients_come_from() {
    let mut guard = rule(
        "all",
        RuleSpec::RateLimit(rate(
            &[KeyPart::Account],
            &[limit(Unit::Attempts, 0, Millis::HOUR)],
        )),
    );
    guard.brake = snapshot::Brake::Default;
    let mut country = rule(
        "all",
        RuleSpec::CountryRule(CountryRule {
            login: LoginFrom::Refuse,
            ..abroad()
        }),
    );
    country.brake = snapshot::Brake::Default;
    let mut limits = rule(
        "all",
        RuleSpec::CountryRule(CountryRule {
            limits: vec![limit(Unit::Attempts, 0, Millis::HOUR)],
            ..abroad()
        }),
    );
    limits.brake = snapshot::Brake::Default;
    for (rule, trips) in [(guard, false), (limits, false), (country, true)] {
        let (world, mut brake) = (World::new(vec![rule]), Brake::default());
        let tripped = (0..100).any(|account| {
            let event = login(&format!("u{account}@example.jp")).from("BR").0;
            let mut decision = world.judge(&event);
            assert!(decision.verdict.refusal().is_some());
            decision.network = Network::KnownGood;
            !brake.observe(&world.rules, &event, &decision).is_empty()
        });
        assert_eq!(tripped, trips);
    }
}
