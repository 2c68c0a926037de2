//! What every database behind settings of accounts must do, as functions over [`AccountStates`]; `suite!` makes tests of them.
#![allow(
    clippy::unwrap_used,
    reason = "these are tests, though the attribute is on what the macro makes of them"
)]

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

async fn begin(
    states: &AccountStates,
    scope: Scope,
    items: &[(Account, SettingsPatch)],
    keep: Keep,
    dry_run: bool,
) -> Job {
    let spec = JobSpec {
        scope,
        keep,
        dry_run,
    };
    let mandate = Mandate {
        at: NOW.plus(Millis(9)),
        who: "jiro".into(),
        why: "all at once".into(),
    };
    let new = NewJob {
        namespace: NS,
        spec: &spec,
        items,
        mandate: &mandate,
    };
    states.settings().begin(new).await.unwrap().unwrap()
}

async fn finish(states: &AccountStates) -> usize {
    let mut batches = 0;
    let now = NOW.plus(Millis(99));
    while states.settings().work(now).await.unwrap() == Worked::More {
        batches += 1;
    }
    batches
}

async fn look(states: &AccountStates, job: &Job) -> Job {
    states.settings().job(NS, job.id).await.unwrap().unwrap()
}

fn listed(count: usize, patch: &SettingsPatch) -> Vec<(Account, SettingsPatch)> {
    let names = (0..count).map(|at| account(&format!("user{at:05}")));
    names.map(|name| (name, patch.clone())).collect()
}

pub(crate) async fn a_dry_run_counts_what_would_change(states: &AccountStates) {
    set(states, "user00000", &allow(), Chooser::Account).await;
    operate(states, "user00001", &refuse()).await;
    operate(states, "user00002", &allow()).await;
    let store = states.settings();
    let before = store.since(NS, 0, Part::First, 10).await.unwrap();
    for (keep, expected) in [(Keep::OwnChoices, 1198), (Keep::Nothing, 1199)] {
        let job = begin(states, Scope::Listed, &listed(1200, &refuse()), keep, true).await;
        assert_eq!(
            (job.total, job.done, job.state),
            (1200, 0, JobState::Running)
        );
        finish(states).await;
        let job = look(states, &job).await;
        assert_eq!(
            (job.done, job.changed, job.state),
            (1200, expected, JobState::Done)
        );
    }
    assert_eq!(
        store.since(NS, 0, Part::First, 10).await.unwrap(),
        before,
        "nothing was changed"
    );
    let job = begin(
        states,
        Scope::Listed,
        &listed(1200, &refuse()),
        Keep::OwnChoices,
        false,
    )
    .await;
    finish(states).await;
    assert_eq!(
        look(states, &job).await.changed,
        1198,
        "as many as the dry run said"
    );
    assert_eq!(
        settings(states, "user00000")
            .await
            .unwrap()
            .logins_from_abroad,
        Some(LoginsFromAbroad::Allow)
    );
    assert_eq!(store.accounts(NS).await.unwrap(), 1200);
}

pub(crate) async fn a_list_is_changed_a_batch_at_a_time(states: &AccountStates) {
    let mut items = listed(1100, &refuse());
    // An account that is named twice gets what it is named with last.
    items.push((account("user00003"), allow()));
    let job = begin(states, Scope::Listed, &items, Keep::OwnChoices, false).await;
    let store = states.settings();
    assert_eq!(
        store.work(NOW.plus(Millis(10))).await.unwrap(),
        Worked::More
    );
    let half = look(states, &job).await;
    assert_eq!(
        (half.done, half.total, half.state),
        (500, 1101, JobState::Running)
    );
    assert_eq!(finish(states).await, 2);
    let done = look(states, &job).await;
    assert_eq!(
        (done.done, done.changed, done.state),
        (1101, 1101, JobState::Done)
    );
    assert!(done.finished_at.is_some());
    assert_eq!(
        settings(states, "user00003")
            .await
            .unwrap()
            .logins_from_abroad,
        Some(LoginsFromAbroad::Allow)
    );
    assert_eq!(settings(states, "user01099").await, Some(refusing()));
    assert_eq!(store.accounts(NS).await.unwrap(), 1100);
    assert_eq!(finish(states).await, 0);
    assert_eq!(store.jobs(NS).await.unwrap(), [done]);
}

pub(crate) async fn all_that_have_settings_are_changed(states: &AccountStates) {
    begin(
        states,
        Scope::Listed,
        &listed(600, &allow()),
        Keep::OwnChoices,
        false,
    )
    .await;
    finish(states).await;
    set(states, "user00007", &allow(), Chooser::Account).await;
    let whole = SettingsPatch::whole(AccountSettings::default());
    operate(states, "user00008", &whole).await;
    let job = begin(
        states,
        Scope::Existing(refuse()),
        &[],
        Keep::OwnChoices,
        false,
    )
    .await;
    assert_eq!(job.total, 599);
    finish(states).await;
    let job = look(states, &job).await;
    assert_eq!(
        (job.done, job.changed, job.state),
        (599, 598, JobState::Done)
    );
    assert_eq!(
        settings(states, "user00008").await,
        None,
        "who has none stays so"
    );
    let job = begin(states, Scope::Existing(whole), &[], Keep::Nothing, false).await;
    finish(states).await;
    assert_eq!(look(states, &job).await.changed, 599);
    assert_eq!(states.settings().accounts(NS).await.unwrap(), 0);
}

pub(crate) async fn a_job_is_cancelled(states: &AccountStates) {
    let job = begin(
        states,
        Scope::Listed,
        &listed(1200, &refuse()),
        Keep::OwnChoices,
        false,
    )
    .await;
    let store = states.settings();
    store.work(NOW.plus(Millis(10))).await.unwrap();
    let cancelled = store
        .cancel(NS, job.id, NOW.plus(Millis(11)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (cancelled.state, cancelled.done),
        (JobState::Cancelled, 500)
    );
    assert_eq!(finish(states).await, 0);
    assert_eq!(
        store.accounts(NS).await.unwrap(),
        500,
        "what it changed stays"
    );
    // It is over, and stays what it was.
    let again = store
        .cancel(NS, job.id, NOW.plus(Millis(12)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(again, cancelled);
}

pub(crate) async fn a_job_that_is_cancelled_as_it_is_written_down_does_nothing(
    states: &AccountStates,
) {
    let beginning = {
        let states = states.clone();
        tokio::spawn(async move {
            let items = listed(20_000, &refuse());
            begin(&states, Scope::Listed, &items, Keep::Nothing, false).await
        })
    };
    let store = states.settings();
    let seen = loop {
        if let [job] = &store.jobs(NS).await.unwrap()[..] {
            break job.clone();
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(seen.state, JobState::Loading);
    let cancelled = store.cancel(NS, seen.id, NOW).await.unwrap().unwrap();
    assert_eq!(cancelled.state, JobState::Cancelled);
    assert_eq!(beginning.await.unwrap(), cancelled);
    assert_eq!(finish(states).await, 0);
    assert_eq!(look(states, &seen).await, cancelled);
    assert_eq!(store.accounts(NS).await.unwrap(), 0);
}

pub(crate) async fn jobs_of_all_namespaces_have_numbers_of_their_own(states: &AccountStates) {
    let beginning = (0..20).map(|at| {
        let states = states.clone();
        tokio::spawn(async move {
            let spec = JobSpec {
                scope: Scope::Existing(refuse()),
                keep: Keep::Nothing,
                dry_run: true,
            };
            let new = NewJob {
                namespace: &format!("place{at}"),
                spec: &spec,
                items: &[],
                mandate: &mandate(0),
            };
            states.settings().begin(new).await.unwrap().unwrap()
        })
    });
    let mut seen = Vec::new();
    for (at, job) in beginning.collect::<Vec<_>>().into_iter().enumerate() {
        let job = job.await.unwrap();
        assert_eq!(job.namespace, format!("place{at}"));
        assert!(!seen.contains(&job.id), "{job:?}");
        seen.push(job.id);
    }
}

pub(crate) async fn much_is_forgotten_little_by_little(states: &AccountStates) {
    let reset = SettingsPatch::whole(AccountSettings::default());
    for patch in [refuse(), reset] {
        let items = listed(4_500, &patch);
        begin(states, Scope::Listed, &items, Keep::Nothing, false).await;
        finish(states).await;
    }
    operate(states, "a", &refuse()).await;
    let store = states.settings();
    let newest = store.since(NS, 0, Part::First, 10).await.unwrap();
    assert_eq!(newest.horizon, 0);
    let later = NOW.plus(Millis::DAY);
    assert_eq!(store.forget(later, later).await.unwrap(), 9_001);
    let after = store.since(NS, newest.revision, Part::First, 10).await;
    let after = after.unwrap();
    assert_eq!((after.onto, after.revision), (Onto::Known, newest.revision));
    assert!(after.horizon > 0 && after.horizon < newest.revision);
    assert_eq!(store.accounts(NS).await.unwrap(), 1);
    assert_eq!(store.jobs(NS).await.unwrap(), []);
}

pub(crate) async fn replicas_work_on_one_job(states: &AccountStates) {
    let job = begin(
        states,
        Scope::Listed,
        &listed(3000, &refuse()),
        Keep::OwnChoices,
        false,
    )
    .await;
    let workers = (0..4).map(|_| {
        let states = states.clone();
        tokio::spawn(async move { finish(&states).await })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    let job = look(states, &job).await;
    assert_eq!(
        (job.done, job.changed, job.state),
        (3000, 3000, JobState::Done)
    );
    let store = states.settings();
    assert_eq!(store.accounts(NS).await.unwrap(), 3000);
    let history = store.history(NS, &account("user02999"), 10).await.unwrap();
    assert_eq!(history.len(), 1, "no batch is made twice");
}

pub(crate) async fn no_more_jobs_wait_than_there_is_room_for(states: &AccountStates) {
    let store = states.settings();
    for _ in 0..100 {
        begin(
            states,
            Scope::Existing(refuse()),
            &[],
            Keep::OwnChoices,
            true,
        )
        .await;
    }
    let spec = JobSpec {
        scope: Scope::Listed,
        keep: Keep::Nothing,
        dry_run: true,
    };
    let new = NewJob {
        namespace: NS,
        spec: &spec,
        items: &[],
        mandate: &mandate(0),
    };
    assert_eq!(store.begin(new).await.unwrap(), None);
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
