//! What is kept: the name of the store, its history, tables of an earlier version, and rows that cannot be read.
use super::*;

/// What version 1 of the tables may hold.
pub(crate) const LEFT_BEHIND: &str = r#"
    UPDATE account_revision SET revision = 1800000000007, horizon = 3;
    INSERT INTO restrictions VALUES ('mail', 'a@example.jp', 'Desk', 1800000000007, NULL, NULL,
        '{"level":"Suspend","since":1800000000000,"origin":"Desk","why":"a test"}');
    INSERT INTO account_history VALUES (1800000000007, 'mail', 'a@example.jp', 1800000000000, 'Restricted', 'hanako', 'a test',
        '{"level":"Suspend","since":1800000000000,"origin":"Desk","why":"a test"}');
"#;

pub(crate) async fn what_was_left_behind_is_there(states: &AccountStates) {
    let told = states
        .since(NS, 1_800_000_000_006, Part::First, 10)
        .await
        .unwrap();
    assert_eq!((told.onto, told.revision), (Onto::Known, 1_800_000_000_007));
    assert_eq!(told.changes.len(), 1);
    assert!(told.store.is_some());
    assert_eq!(history(states, "a", 0).await.len(), 1);
    let far_behind = states.since(NS, 2, Part::First, 10).await.unwrap();
    assert_eq!(far_behind.onto, Onto::Nothing);
    impose(states, "b", suspended(0)).await;
    assert_eq!(release(states, "a", None, 100).await, 1);
}

/// Rows that somebody else wrote, or a disk spoilt.
pub(crate) const SPOIL: &str = r#"
    UPDATE restrictions SET json = '{"level":' WHERE account = 'a@example.jp';
    UPDATE account_trail SET json = 'x' WHERE account = 'a@example.jp';
"#;

pub(crate) async fn two_stand(states: &AccountStates) {
    for name in ["a", "b"] {
        impose(states, name, suspended(0)).await;
        let desk = restriction(Level::Watch, Origin::Desk, 0);
        let restricted = states
            .restrict(NS, &account(name), &desk, &mandate(0))
            .await;
        restricted.unwrap();
    }
}

pub(crate) async fn what_is_spoilt_gives_way(states: &AccountStates) {
    assert_eq!(whole(states).await.changes.len(), 2, "the others are told");
    assert_eq!(levels(states, "a", 10).await, []);
    assert_eq!(levels(states, "b", 10).await.len(), 2);
    assert_eq!(history(states, "a", 0).await, []);
    // What a proxy tells takes its place, and people are rid of the rest.
    assert_eq!(impose(states, "a", suspended(5)).await, Some(suspended(5)));
    assert_eq!(levels(states, "a", 10).await, [Level::Suspend]);
    release(states, "a", None, 60_000).await;
    assert_eq!(levels(states, "a", 10).await, []);
    states
        .tend(NOW.plus(Millis(60_000)), Tending::default())
        .await
        .unwrap();
}

pub(crate) async fn what_rules_impose_does_not_fill_the_history(states: &AccountStates) {
    let desk = restriction(Level::Watch, Origin::Desk, 0);
    let by_desk = states.restrict(NS, &account("a"), &desk, &mandate(0)).await;
    by_desk.unwrap();
    for n in 0..150 {
        impose(states, "a", suspended(n)).await;
    }
    impose(states, "b", suspended(0)).await;
    let found = history(states, "a", 0).await;
    let imposed: Vec<_> = found
        .iter()
        .filter(|entry| entry.action == AccountAction::Imposed)
        .collect();
    assert_eq!(imposed.len(), 100);
    assert!(
        imposed
            .iter()
            .any(|entry| entry.restriction == Some(suspended(149)))
    );
    assert_eq!(found.len(), 101, "what people did stays");
    assert_eq!(history(states, "b", 0).await.len(), 1);
}

pub(crate) async fn a_store_has_a_name(states: &AccountStates) {
    let name = whole(states).await.store.unwrap();
    assert_eq!(name.len(), 32, "{name}");
    impose(states, "a", suspended(0)).await;
    let again = states.since("other", 5, Part::First, 10).await.unwrap();
    assert_eq!(again.store, Some(name));
}

pub(crate) async fn one_that_cannot_be_read_hides_no_other(states: &AccountStates) {
    let odd = restriction(Level::Suspend, rule("a/b"), 0);
    impose(states, "a", odd.clone()).await;
    impose(states, "b", suspended(0)).await;
    let whole = states.since(NS, 0, Part::First, 10).await.unwrap();
    assert_eq!(whole.changes, [change("b", suspended(0))]);
    impose(states, "c", odd).await;
    let asked = whole.revision;
    let next = states.since(NS, asked, Part::First, 10).await.unwrap();
    assert_eq!((next.onto, next.changes), (Onto::Known, vec![]));
    assert!(next.revision > asked);
    let released = states
        .release(NS, &account("a"), ReleaseFrom::default(), &mandate(60_000))
        .await
        .unwrap();
    assert_eq!(released.restrictions.len(), 1);
}

/// Whoever speaks for rules that he makes up fills no more than this of an account, and keeps nobody else from restricting it.
pub(crate) async fn so_many_rules_restrict_an_account_and_people_besides(states: &AccountStates) {
    for n in 0..32 {
        let one = restriction(Level::Watch, rule(&format!("r{n}")), 0);
        assert_eq!(impose(states, "a", one.clone()).await, Some(one));
    }
    let told = [imposition("a", suspended(0))];
    let said = tell(states, NS, &told, NOW.plus(Millis(50_000))).await;
    assert_eq!(said.changes[0].restriction, None);
    assert_eq!(said.changes[0].absence, Absence::Untaken);
    let worse = restriction(Level::Suspend, rule("r1"), 10);
    assert_eq!(
        impose(states, "a", worse.clone()).await,
        Some(worse),
        "known"
    );
    let desk = restriction(Level::Suspend, Origin::Desk, 0);
    let name = account("a");
    states
        .restrict(NS, &name, &desk, &mandate(0))
        .await
        .unwrap();
    assert_eq!(impose(states, "b", suspended(0)).await, Some(suspended(0)));
    let held = states.restrictions(NS, &name, NOW.plus(Millis(100)));
    assert_eq!(held.await.unwrap().len(), 33);
}
