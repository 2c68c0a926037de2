//! Where a class goes, as the policy that is enforced says.

use sekisho_policy::decision::Class;
use sekisho_policy::event::*;
use sekisho_policy::snapshot::*;
use sekisho_policy::{Event, Route};

use crate::support::*;

fn routed() -> Rule {
    let mut spec = policy();
    spec.route = [
        (Class::Unclassified, RouteTo::Pool("clean".into())),
        (Class::Spam, RouteTo::Reject),
    ]
    .into();
    spec.max_size = Some(10);
    spec.bare_newlines = BareNewlines::Reject;
    rule("policy", RuleSpec::SubmissionPolicy(spec))
}

fn name(route: Route<'_>) -> &str {
    match route {
        Route::Upstream => "upstream",
        Route::Pool { name, pool } => {
            assert_eq!(pool.object.name, **name);
            name
        }
        Route::Reject => "reject",
    }
}

#[test]
fn classes_go_where_the_policy_says() {
    let world = World::new(vec![routed()]);
    let event = own_headers().0;
    for (class, expected) in [
        (Class::Unclassified, "clean"),
        (Class::Clean, "upstream"),
        (Class::Suspect, "upstream"),
        (Class::Spam, "reject"),
    ] {
        assert_eq!(name(world.rules.route(&event, class)), expected);
    }
}

#[test]
fn a_policy_that_does_not_act_routes_nothing() {
    type Change = fn(&mut Rule, &mut Event);
    let changes: [Change; 4] = [
        |rule, _| rule.enforcement = Enforcement::Off,
        |rule, _| rule.enforcement = Enforcement::Shadow,
        |rule, _| rule.applies.accounts = vec!["b@example.jp".into()],
        |rule, event| event.tripped = vec![rule.object.clone()],
    ];
    for change in changes {
        let (mut rule, mut event) = (routed(), own_headers().0);
        change(&mut rule, &mut event);
        let world = World::new(vec![rule]);
        assert_eq!(
            world.rules.route(&event, Class::Unclassified),
            Route::Upstream
        );
        assert_eq!(world.rules.message_limits(&event), Default::default());
    }
    let world = World::new(vec![routed()]);
    assert_eq!(
        world.rules.message_limits(&at(Stage::Mail).0).bare_newlines,
        BareNewlines::Reject
    );
}
