//! Changes of many accounts at once.
use super::*;

pub(super) async fn begin(
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

pub(super) async fn finish(states: &AccountStates) -> usize {
    let mut batches = 0;
    let now = NOW.plus(Millis(99));
    while states.settings().work(now).await.unwrap() == Worked::More {
        batches += 1;
    }
    batches
}

pub(super) async fn look(states: &AccountStates, job: &Job) -> Job {
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
