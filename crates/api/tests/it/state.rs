//! The state channel: what proxies impose, and what they hear of.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use sekisho_policy::snapshot::Kind;
use sekisho_policy::states::{Imposition, Onto, Rest, States};
use sekisho_policy::{Account, Level, Millis, ObjectRef, Origin, Restriction, Timestamp};
use sekisho_store::{Mandate, ReleaseFrom, Store};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::harness::{Client, Control, NOW};

const ONE: (&str, &str) = ("authorization", "Bearer proxy~one~mail/out");
const TWO: (&str, &str) = ("authorization", "Bearer proxy~two~mail/in");
const ELSEWHERE: (&str, &str) = ("authorization", "Bearer proxy~three~other/out");

async fn control() -> (Control, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("ledger.sqlite")).await;
    (Control::start_with(Some(store.unwrap())).await, folder)
}

fn account(name: &str) -> Account {
    Account::canonical(name, Some("example.jp"))
}

/// The same of another object.
fn of_rule(kind: Kind, rule: &str) -> Imposition {
    let mut imposition = imposition("a", "mail");
    imposition.restriction.origin = Origin::Rule(ObjectRef {
        kind,
        namespace: "mail".into(),
        name: rule.into(),
    });
    imposition
}

fn imposition(name: &str, namespace: &str) -> Imposition {
    let since = Timestamp(NOW - 1_000);
    Imposition {
        account: account(name),
        restriction: Restriction {
            level: Level::Suspend,
            since,
            until: Some(since.plus(Millis::HOUR)),
            origin: Origin::Rule(ObjectRef {
                kind: Kind::AbuseRule,
                namespace: namespace.into(),
                name: "stolen".into(),
            }),
            why: "120 points".into(),
            decision: None,
            recipients_per_hour: None,
            then: None,
        },
    }
}

async fn tell(
    client: &mut Client,
    who: (&str, &str),
    gateway: &str,
    impositions: &[Imposition],
) -> (StatusCode, Option<States>) {
    let body = serde_json::to_vec(&json!({ "impositions": impositions })).unwrap();
    let path = format!("/v1/state?gateway={gateway}");
    let answer = client.ask(Method::POST, &path, &[who], body).await;
    (answer.status, serde_json::from_slice(&answer.body).ok())
}

async fn hear(
    client: &mut Client,
    who: (&str, &str),
    gateway: &str,
    since: u64,
    wait: &str,
) -> States {
    let path = format!("/v1/state?gateway={gateway}&since={since}");
    let headers = [who, ("prefer", wait)];
    let answer = client.ask(Method::GET, &path, &headers, "").await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn what_one_proxy_imposes_the_others_of_its_namespace_hear_at_once() {
    let (control, _folder) = control().await;
    let (mut one, mut two) = (control.connect().await, control.connect().await);
    let mut three = control.connect().await;
    let begun = hear(&mut two, TWO, "mail/in", 0, "wait=0").await;
    assert_eq!((begun.onto, begun.changes.len()), (Onto::Nothing, 0));
    let (status, _) = tell(&mut one, ONE, "mail/out", &[imposition("z", "mail")]).await;
    assert_eq!(status, StatusCode::OK);
    let first = hear(&mut two, TWO, "mail/in", begun.revision, "wait=50").await;
    let since = first.revision;
    let waiting =
        tokio::spawn(async move { hear(&mut two, TWO, "mail/in", since, "wait=50").await });
    let elsewhere = hear(&mut three, ELSEWHERE, "other/out", 0, "wait=0").await;
    let aside = tokio::spawn(async move {
        let since = elsewhere.revision;
        hear(&mut three, ELSEWHERE, "other/out", since, "wait=50").await
    });
    let began = Instant::now();
    let imposed = imposition("a", "mail");
    // Twice, as after an answer that was lost.
    for _ in 0..2 {
        let (status, states) =
            tell(&mut one, ONE, "mail/out", std::slice::from_ref(&imposed)).await;
        assert_eq!(status, StatusCode::OK);
        let verdict = &states.unwrap().changes[0];
        assert_eq!(verdict.restriction.as_ref(), Some(&imposed.restriction));
    }
    let heard = timeout(Duration::from_secs(5), waiting)
        .await
        .unwrap()
        .unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(
        (heard.onto, heard.rest, heard.changes.len()),
        (Onto::Known, Rest::Nothing, 1)
    );
    assert_eq!(heard.changes[0].account, account("a"));
    assert!(
        !aside.is_finished(),
        "another namespace hears nothing of it"
    );
    aside.abort();
}

#[tokio::test]
async fn limits_restrict_as_abuse_rules_do() {
    let (control, _folder) = control().await;
    let mut one = control.connect().await;
    let of_limit = of_rule(Kind::RateLimit, "hourly");
    let (status, states) = tell(&mut one, ONE, "mail/out", std::slice::from_ref(&of_limit)).await;
    assert_eq!(status, StatusCode::OK);
    let verdict = &states.unwrap().changes[0];
    assert_eq!(verdict.restriction.as_ref(), Some(&of_limit.restriction));
    let accounts = control.accounts.as_ref().unwrap();
    let mandate = Mandate {
        at: Timestamp(NOW),
        who: "hanako".into(),
        why: "it was her own newsletter".into(),
    };
    let origin = &of_limit.restriction.origin;
    let account = account("a");
    let released = accounts.release("mail", &account, ReleaseFrom::Origin(origin), &mandate);
    let released = released.await.unwrap();
    assert_eq!(
        released.restrictions,
        std::slice::from_ref(&of_limit.restriction)
    );
}

#[tokio::test]
async fn what_people_do_is_heard_too() {
    let (control, _folder) = control().await;
    let mut one = control.connect().await;
    let (_, states) = tell(&mut one, ONE, "mail/out", &[imposition("a", "mail")]).await;
    let since = states.unwrap().revision;
    let waiting =
        tokio::spawn(async move { hear(&mut one, ONE, "mail/out", since, "wait=50").await });
    let mandate = Mandate {
        at: Timestamp(NOW),
        who: "hanako".into(),
        why: "it was her own newsletter".into(),
    };
    let states = control.accounts.as_ref().unwrap();
    states
        .release("mail", &account("a"), ReleaseFrom::default(), &mandate)
        .await
        .unwrap();
    let heard = timeout(Duration::from_secs(5), waiting)
        .await
        .unwrap()
        .unwrap();
    let [ended, released] = &heard.changes[..] else {
        panic!("{heard:?}")
    };
    assert_eq!((&ended.restriction, &ended.release), (&None, &None));
    let release = released.release.as_ref().unwrap();
    assert_eq!((release.at, release.revision), (mandate.at, heard.revision));
}

#[tokio::test]
async fn a_question_ends_after_the_time_that_it_has() {
    let (control, _folder) = control().await;
    let mut one = control.connect().await;
    let (_, states) = tell(&mut one, ONE, "mail/out", &[imposition("a", "mail")]).await;
    let since = states.unwrap().revision;
    let began = Instant::now();
    let heard = hear(&mut one, ONE, "mail/out", since, "wait=1").await;
    assert!(began.elapsed() >= Duration::from_millis(700));
    assert_eq!(
        (heard.revision, heard.onto, heard.changes),
        (since, Onto::Known, vec![])
    );
}

#[tokio::test]
async fn the_whole_comes_in_parts_of_a_bounded_size() {
    let (control, _folder) = control().await;
    let mut one = control.connect().await;
    for batch in 0..3 {
        let some: Vec<_> = (0..400)
            .map(|n| imposition(&format!("{batch}-{n}"), "mail"))
            .collect();
        assert_eq!(
            tell(&mut one, ONE, "mail/out", &some).await.0,
            StatusCode::OK
        );
    }
    let first = hear(&mut one, ONE, "mail/out", 0, "wait=50").await;
    assert_eq!(
        (first.onto, first.rest, first.changes.len()),
        (Onto::Nothing, Rest::More, 1_000)
    );
    let next = format!(
        "/v1/state?gateway=mail/out&since={}&part=next",
        first.revision
    );
    let answer = one.ask(Method::GET, &next, &[ONE], "").await;
    let next: States = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (next.onto, next.rest, next.changes.len()),
        (Onto::Known, Rest::Nothing, 200)
    );
}

#[tokio::test]
async fn a_proxy_speaks_for_its_own_namespace_and_within_bounds() {
    let (control, _folder) = control().await;
    let mut one = control.connect().await;
    let mut desk = imposition("a", "mail");
    desk.restriction.origin = Origin::Desk;
    let mut nameless = imposition("a", "mail");
    nameless.account = account(&"a".repeat(600));
    let mut nothing = imposition("a", "mail");
    nothing.restriction.recipients_per_hour = Some(0);
    let followed_by = |then: &Imposition| {
        let mut one = imposition("a", "mail");
        one.restriction.then = Some(Box::new(then.restriction.clone()));
        one
    };
    let nothing_later = followed_by(&followed_by(&nothing));
    let of_another = followed_by(&of_rule(Kind::AbuseRule, "another"));
    let deep = (0..8).fold(imposition("a", "mail"), |deep, _| followed_by(&deep));
    let many = vec![imposition("a", "mail"); 501];
    let refusals = [
        (vec![imposition("a", "other")], StatusCode::FORBIDDEN),
        (vec![desk], StatusCode::FORBIDDEN),
        (vec![of_rule(Kind::CountryRule, "a")], StatusCode::FORBIDDEN),
        (vec![of_rule(Kind::RateLimit, "a/b")], StatusCode::FORBIDDEN),
        (vec![of_rule(Kind::AbuseRule, "")], StatusCode::FORBIDDEN),
        (vec![of_rule(Kind::AbuseRule, "a/b")], StatusCode::FORBIDDEN),
        (
            vec![of_rule(Kind::AbuseRule, "a\u{1b}[2J")],
            StatusCode::FORBIDDEN,
        ),
        (
            vec![of_rule(Kind::AbuseRule, &"a".repeat(254))],
            StatusCode::FORBIDDEN,
        ),
        (vec![nameless], StatusCode::BAD_REQUEST),
        (vec![nothing], StatusCode::BAD_REQUEST),
        (vec![nothing_later], StatusCode::BAD_REQUEST),
        (vec![of_another], StatusCode::BAD_REQUEST),
        (vec![deep], StatusCode::BAD_REQUEST),
        (many, StatusCode::PAYLOAD_TOO_LARGE),
    ];
    for (impositions, expected) in refusals {
        let (status, _) = tell(&mut one, ONE, "mail/out", &impositions).await;
        assert_eq!(status, expected);
    }
    for (who, gateway, expected) in [
        (TWO, "mail/out", StatusCode::FORBIDDEN),
        (
            ("authorization", "Bearer nobody"),
            "mail/out",
            StatusCode::UNAUTHORIZED,
        ),
        (
            ("authorization", "Bearer down"),
            "mail/out",
            StatusCode::SERVICE_UNAVAILABLE,
        ),
    ] {
        let (status, _) = tell(&mut one, who, gateway, &[imposition("a", "mail")]).await;
        assert_eq!(status, expected);
        let path = format!("/v1/state?gateway={gateway}");
        assert_eq!(
            one.ask(Method::GET, &path, &[who], "").await.status,
            expected
        );
    }
    for body in [
        "",
        "[]",
        "{}",
        r#"{"impositions":[{}]}"#,
        r#"{"impositions":[],"more":1}"#,
    ] {
        let path = "/v1/state?gateway=mail/out";
        let answer = one.ask(Method::POST, path, &[ONE], body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
    }
    for query in [
        "",
        "?gateway=mail",
        "?gateway=mail/out&since=x",
        "?gateway=mail/out&part=all",
    ] {
        let path = format!("/v1/state{query}");
        let answer = one.ask(Method::GET, &path, &[ONE], "").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
    }
    let all = hear(&mut one, ONE, "mail/out", 0, "wait=0").await;
    assert_eq!(all.changes, []);
}

/// One that asks on every connection that it can open is told to wait, and keeps no other waiting.
#[tokio::test]
async fn a_proxy_has_so_many_questions_under_way() {
    let (control, _folder) = control().await;
    let mut two = control.connect().await;
    let (_, told) = tell(&mut two, TWO, "mail/in", &[imposition("a", "mail")]).await;
    let since = told.unwrap().revision;
    let path = format!("/v1/state?gateway=mail/out&since={since}");
    let mut asking = JoinSet::new();
    for _ in 0..11 {
        let (mut one, path) = (control.connect().await, path.clone());
        asking.spawn(async move {
            let headers = [ONE, ("prefer", "wait=50")];
            let answer = one.ask(Method::GET, &path, &headers, "").await;
            (answer.status, answer.headers.contains_key("retry-after"))
        });
    }
    let next = async |asking: &mut JoinSet<_>| {
        let ended = timeout(Duration::from_secs(5), asking.join_next()).await;
        ended.unwrap().unwrap().unwrap()
    };
    // Eight wait for news, whichever of them came first.
    for _ in 0..3 {
        let refused = (StatusCode::TOO_MANY_REQUESTS, true);
        assert_eq!(next(&mut asking).await, refused);
    }
    let (status, _) = tell(&mut two, TWO, "mail/in", &[imposition("b", "mail")]).await;
    assert_eq!(status, StatusCode::OK);
    for _ in 0..8 {
        assert_eq!(next(&mut asking).await, (StatusCode::OK, false));
    }
    let mut one = control.connect().await;
    let again = hear(&mut one, ONE, "mail/out", since, "wait=0").await;
    assert_eq!(again.changes.len(), 1);
}

#[tokio::test]
async fn without_a_store_there_is_nothing_to_be_followed() {
    let control = Control::start().await;
    let mut one = control.connect().await;
    let path = "/v1/state?gateway=mail/out";
    let answer = one.ask(Method::GET, path, &[ONE], "").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}
