//! What every database behind settings of accounts must do, as functions over [`AccountStates`]; `suite!` makes tests of them.
#![allow(
    clippy::unwrap_used,
    reason = "these are tests, though the attribute is on what the macro makes of them"
)]

mod jobs;

use sekisho_policy::settings::{Filtering, LoginsFromAbroad, OwnLimit, SettingsChange};
use sekisho_policy::snapshot::Unit;
use sekisho_policy::states::{Onto, Part, Rest};
use sekisho_policy::{Account, AccountSettings, Millis, Timestamp};
use sekisho_store::{
    AccountStates, Changed, Chooser, Job, JobSpec, JobState, Keep, Mandate, NewJob, Scope,
    SettingsPatch, Worked,
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const NS: &str = "mail";

pub(crate) use jobs::*;

/// Makes a test of each function of the contract: `suite!(name, an async function to empty states and what keeps them)`.
macro_rules! suite {
    ($name:ident, $open:path) => {
        mod $name {
            crate::settings::suite!(@tests $open;
                what_is_set_is_told_to_those_who_ask,
                what_is_unchanged_is_no_news,
                own_choices_are_remembered,
                who_and_why_are_kept,
                namespaces_know_nothing_of_one_another,
                the_whole_comes_in_parts,
                who_is_too_far_behind_gets_the_whole,
                revisions_grow_with_the_time,
                a_dry_run_counts_what_would_change,
                a_list_is_changed_a_batch_at_a_time,
                all_that_have_settings_are_changed,
                a_job_is_cancelled,
                a_job_that_is_cancelled_as_it_is_written_down_does_nothing,
                jobs_of_all_namespaces_have_numbers_of_their_own,
                much_is_forgotten_little_by_little,
                replicas_work_on_one_job,
                no_more_jobs_wait_than_there_is_room_for,
                strange_names_are_kept_as_they_are,
            );
        }
    };
    (@tests $open:path; $($test:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let Some((states, _keeper)) = $open().await else { return };
                crate::settings::$test(&states).await;
            }
        )*
    };
}
pub(crate) use suite;

fn account(name: &str) -> Account {
    Account::canonical(name, Some("example.jp"))
}

fn mandate(at: u64) -> Mandate {
    Mandate {
        at: NOW.plus(Millis(at)),
        who: "hanako".into(),
        why: "ticket 4711".into(),
    }
}

fn refusing() -> AccountSettings {
    AccountSettings {
        logins_from_abroad: Some(LoginsFromAbroad::Refuse),
        ..AccountSettings::default()
    }
}

fn refuse() -> SettingsPatch {
    SettingsPatch {
        logins_from_abroad: Some(Some(LoginsFromAbroad::Refuse)),
        ..SettingsPatch::default()
    }
}

fn allow() -> SettingsPatch {
    SettingsPatch {
        logins_from_abroad: Some(Some(LoginsFromAbroad::Allow)),
        ..SettingsPatch::default()
    }
}

async fn set(states: &AccountStates, name: &str, patch: &SettingsPatch, by: Chooser) -> Changed {
    let (store, account, mandate) = (states.settings(), account(name), mandate(0));
    let changing = store.change(NS, &account, patch, by, &mandate);
    changing.await.unwrap()
}

async fn operate(states: &AccountStates, name: &str, patch: &SettingsPatch) -> Changed {
    set(states, name, patch, Chooser::Operator).await
}

async fn settings(states: &AccountStates, name: &str) -> Option<AccountSettings> {
    let stored = states
        .settings()
        .settings(NS, &account(name))
        .await
        .unwrap();
    stored.map(|stored| stored.settings)
}

fn change(name: &str, settings: Option<AccountSettings>) -> SettingsChange {
    SettingsChange {
        account: account(name),
        settings,
    }
}

pub(crate) async fn what_is_set_is_told_to_those_who_ask(states: &AccountStates) {
    let store = states.settings();
    let empty = store.since(NS, 0, Part::First, 10).await.unwrap();
    assert_eq!(
        (empty.onto, empty.rest, empty.changes.len()),
        (Onto::Nothing, Rest::Nothing, 0)
    );
    assert!(
        empty.revision > 0,
        "whoever asks again asks for what came after"
    );
    let again = store.since(NS, empty.revision, Part::First, 10);
    let again = again.await.unwrap();
    assert_eq!((again.onto, again.revision), (Onto::Known, empty.revision));
    let mut news = store.changes(NS);
    news.mark_unchanged();
    assert!(matches!(
        operate(states, "a", &refuse()).await,
        Changed::Now(_)
    ));
    assert!(news.has_changed().unwrap());
    assert_eq!(settings(states, "a").await, Some(refusing()));
    let first = store
        .since(NS, empty.revision, Part::First, 10)
        .await
        .unwrap();
    assert_eq!(
        (first.onto, &first.changes[..]),
        (Onto::Known, &[change("a", Some(refusing()))][..])
    );
    let whole = SettingsPatch::whole(AccountSettings::default());
    assert_eq!(operate(states, "a", &whole).await, Changed::Reset);
    assert_eq!(settings(states, "a").await, None);
    let then = store
        .since(NS, first.revision, Part::First, 10)
        .await
        .unwrap();
    assert_eq!(then.changes, [change("a", None)]);
    let all = store.since(NS, 0, Part::First, 10).await.unwrap();
    assert_eq!(
        (all.onto, all.changes.len(), all.revision),
        (Onto::Nothing, 0, then.revision)
    );
    assert_eq!(store.accounts(NS).await.unwrap(), 0);
}

pub(crate) async fn what_is_unchanged_is_no_news(states: &AccountStates) {
    let store = states.settings();
    assert_eq!(
        operate(
            states,
            "a",
            &SettingsPatch::whole(AccountSettings::default())
        )
        .await,
        Changed::Nothing
    );
    operate(states, "a", &refuse()).await;
    let before = store.since(NS, 0, Part::First, 10).await.unwrap().revision;
    assert!(matches!(
        operate(states, "a", &refuse()).await,
        Changed::Unchanged(_)
    ));
    let after = store.since(NS, before, Part::First, 10).await.unwrap();
    assert_eq!((after.changes.len(), after.revision), (0, before));
    assert_eq!(store.history(NS, &account("a"), 10).await.unwrap().len(), 1);
}

pub(crate) async fn own_choices_are_remembered(states: &AccountStates) {
    set(states, "a", &allow(), Chooser::Account).await;
    let wanted = SettingsPatch {
        classification: Some(Some(Filtering::Wanted)),
        ..SettingsPatch::default()
    };
    operate(states, "a", &wanted).await;
    let stored = states
        .settings()
        .settings(NS, &account("a"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.own.names(), ["loginsFromAbroad"]);
    // What people at the desk set by name is theirs.
    operate(states, "a", &refuse()).await;
    let stored = states
        .settings()
        .settings(NS, &account("a"))
        .await
        .unwrap()
        .unwrap();
    assert!(stored.own.names().is_empty());
}

pub(crate) async fn who_and_why_are_kept(states: &AccountStates) {
    operate(states, "a", &refuse()).await;
    let job = begin(states, Scope::Existing(allow()), &[], Keep::Nothing, false).await;
    finish(states).await;
    let history = states
        .settings()
        .history(NS, &account("a"), 10)
        .await
        .unwrap();
    let told: Vec<_> = history
        .iter()
        .map(|entry| {
            (
                entry.mandate.who.as_str(),
                entry.mandate.why.as_str(),
                entry.job,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("jiro", "all at once", Some(job.id.0)),
            ("hanako", "ticket 4711", None)
        ]
    );
    assert_eq!(history[1].settings, refusing());
    let store = states.settings();
    let later = NOW.plus(Millis::DAY);
    assert_eq!(store.forget(later, NOW).await.unwrap(), 2);
    assert!(
        store
            .history(NS, &account("a"), 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(settings(states, "a").await.is_some());
}

pub(crate) async fn namespaces_know_nothing_of_one_another(states: &AccountStates) {
    operate(states, "a", &refuse()).await;
    let store = states.settings();
    assert!(
        store
            .settings("other", &account("a"))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        store
            .since("other", 0, Part::First, 10)
            .await
            .unwrap()
            .changes
            .is_empty()
    );
    assert!(
        store
            .history("other", &account("a"), 10)
            .await
            .unwrap()
            .is_empty()
    );
    let job = begin(states, Scope::Existing(allow()), &[], Keep::Nothing, false).await;
    assert!(store.job("other", job.id).await.unwrap().is_none());
    assert!(store.cancel("other", job.id, NOW).await.unwrap().is_none());
    assert!(store.jobs("other").await.unwrap().is_empty());
}

pub(crate) async fn the_whole_comes_in_parts(states: &AccountStates) {
    for name in ["a", "b", "c", "d", "e"] {
        operate(states, name, &refuse()).await;
    }
    let store = states.settings();
    let first = store.since(NS, 0, Part::First, 2).await.unwrap();
    assert_eq!(
        (first.onto, first.rest, first.changes.len()),
        (Onto::Nothing, Rest::More, 2)
    );
    // What changes meanwhile is heard of behind the rest.
    operate(states, "a", &allow()).await;
    let mut names = Vec::new();
    let mut asked = first.revision;
    loop {
        let part = store.since(NS, asked, Part::Next, 2).await.unwrap();
        assert_eq!(part.onto, Onto::Known);
        names.extend(part.changes.iter().map(|change| change.account.to_string()));
        asked = part.revision;
        if part.rest == Rest::Nothing {
            break;
        }
    }
    assert_eq!(
        names,
        ["c", "d", "e", "a"].map(|name| account(name).to_string())
    );
}

pub(crate) async fn who_is_too_far_behind_gets_the_whole(states: &AccountStates) {
    operate(states, "a", &refuse()).await;
    let store = states.settings();
    let behind = store.since(NS, 0, Part::First, 10).await.unwrap().revision;
    operate(states, "b", &refuse()).await;
    operate(
        states,
        "b",
        &SettingsPatch::whole(AccountSettings::default()),
    )
    .await;
    let before = store.since(NS, 0, Part::First, 10).await.unwrap().revision;
    store.forget(NOW, NOW.plus(Millis::DAY)).await.unwrap();
    let whole = store.since(NS, behind, Part::First, 10).await.unwrap();
    assert_eq!((whole.onto, whole.changes.len()), (Onto::Nothing, 1));
    let known = store.since(NS, before, Part::First, 10).await.unwrap();
    assert_eq!((known.onto, known.changes.len()), (Onto::Known, 0));
    assert!(behind < whole.horizon && whole.horizon <= before);
    assert!(whole.store.is_some() && whole.store == known.store);
    // Parts go on though the horizon lies ahead, and who is ahead of the store begins anew.
    assert_eq!(
        store.since(NS, behind, Part::Next, 10).await.unwrap().onto,
        Onto::Known
    );
    let ahead = store
        .since(NS, before + 1_000_000, Part::First, 10)
        .await
        .unwrap();
    assert_eq!(ahead.onto, Onto::Nothing);
}

pub(crate) async fn revisions_grow_with_the_time(states: &AccountStates) {
    operate(states, "a", &refuse()).await;
    let store = states.settings();
    let first = store.since(NS, 0, Part::First, 10).await.unwrap().revision;
    assert!(first >= NOW.0, "it grows even after a restore");
    operate(states, "b", &refuse()).await;
    let second = store.since(NS, 0, Part::First, 10).await.unwrap().revision;
    assert_eq!(second, first + 1);
}

pub(crate) async fn strange_names_are_kept_as_they_are(states: &AccountStates) {
    let limit = OwnLimit {
        rule: "per-account".into(),
        unit: Unit::Recipients,
        per: Millis::HOUR,
        count: 7,
    };
    let patch = SettingsPatch {
        limits: Some(Some([limit].into())),
        ..SettingsPatch::default()
    };
    for name in ["'; DROP TABLE x; --", "%", "日本@例え.jp", "a\"b\\c"] {
        let Changed::Now(stored) = operate(states, name, &patch).await else {
            panic!("{name}")
        };
        assert_eq!(settings(states, name).await, Some(stored.settings));
    }
    let all = states
        .settings()
        .since(NS, 0, Part::First, 10)
        .await
        .unwrap();
    assert_eq!(all.changes.len(), 4);
}

/// Rows that somebody else wrote, or a disk spoilt.
pub(crate) const SPOIL: &str = r#"
    UPDATE account_settings SET json = '{"loginsFromAbroad":' WHERE account = 'a@example.jp';
    UPDATE settings_history SET json = 'x' WHERE account = 'a@example.jp';
"#;

pub(crate) async fn two_are_set(states: &AccountStates) {
    operate(states, "a", &refuse()).await;
    operate(states, "b", &refuse()).await;
}

pub(crate) async fn what_is_spoilt_hides_no_other(states: &AccountStates) {
    let store = states.settings();
    let whole = store.since(NS, 0, Part::First, 10).await.unwrap();
    assert_eq!(whole.changes, [change("b", Some(refusing()))]);
    let spoilt = account("a");
    assert!(store.history(NS, &spoilt, 10).await.unwrap().is_empty());
    let (by, why) = (Chooser::Operator, mandate(0));
    // What would have to be read says so, and a change of many goes on without it.
    let patch = SettingsPatch {
        limits: Some(None),
        ..SettingsPatch::default()
    };
    let error = store.change(NS, &spoilt, &patch, by, &why).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("the settings of a@example.jp"), "{error}");
    let job = begin(states, Scope::Existing(allow()), &[], Keep::Nothing, false).await;
    finish(states).await;
    let job = look(states, &job).await;
    assert_eq!((job.state, job.changed), (JobState::Done, 1));
    assert!(
        job.trouble.contains("1 accounts or more"),
        "{}",
        job.trouble
    );
    // Whoever resets it is rid of it.
    let nothing = SettingsPatch::whole(AccountSettings::default());
    let reset = store.change(NS, &spoilt, &nothing, by, &why);
    assert_eq!(reset.await.unwrap(), Changed::Reset);
    assert_eq!(settings(states, "a").await, None);
    assert_eq!(store.history(NS, &spoilt, 10).await.unwrap().len(), 1);
}
