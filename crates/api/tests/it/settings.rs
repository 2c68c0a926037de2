//! What accounts have set, as proxies hear of it: those of their own namespace, at once, and nothing to be changed.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use sekisho_policy::settings::{LoginsFromAbroad, SettingsChanges};
use sekisho_policy::states::{Onto, Rest};
use sekisho_policy::{Account, Timestamp};
use sekisho_store::{Chooser, Mandate, SettingsPatch, Store};
use tempfile::TempDir;
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

async fn refuse(control: &Control, name: &str) {
    let patch = SettingsPatch {
        logins_from_abroad: Some(Some(LoginsFromAbroad::Refuse)),
        ..SettingsPatch::default()
    };
    let mandate = Mandate {
        at: Timestamp(NOW),
        who: "hanako".into(),
        why: "a test".into(),
    };
    let account = Account::canonical(name, Some("example.jp"));
    let store = control.accounts.as_ref().unwrap().settings();
    let changing = store.change("mail", &account, &patch, Chooser::Account, &mandate);
    changing.await.unwrap();
}

async fn hear(
    client: &mut Client,
    who: (&str, &str),
    gateway: &str,
    since: u64,
    wait: &str,
) -> SettingsChanges {
    let path = format!("/v1/settings?gateway={gateway}&since={since}");
    let headers = [who, ("prefer", wait)];
    let answer = client.ask(Method::GET, &path, &headers, "").await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn what_is_set_is_heard_by_the_namespace_at_once_and_by_nobody_else() {
    let (control, _folder) = control().await;
    let (mut one, two) = (control.connect().await, control.connect().await);
    let mut three = control.connect().await;
    let begun = hear(&mut one, ONE, "mail/out", 0, "wait=50").await;
    assert_eq!(
        (begun.onto, begun.rest, begun.changes.len()),
        (Onto::Nothing, Rest::Nothing, 0)
    );
    let since = begun.revision;
    let elsewhere = hear(&mut three, ELSEWHERE, "other/out", 0, "wait=0")
        .await
        .revision;
    let waiting = [(one, ONE, "mail/out"), (two, TWO, "mail/in")];
    let waiting = waiting.map(|(mut client, who, gateway)| {
        tokio::spawn(async move { hear(&mut client, who, gateway, since, "wait=50").await })
    });
    let aside = tokio::spawn(async move {
        hear(&mut three, ELSEWHERE, "other/out", elsewhere, "wait=50").await
    });
    let began = Instant::now();
    refuse(&control, "a").await;
    for heard in waiting {
        let heard = timeout(Duration::from_secs(5), heard)
            .await
            .unwrap()
            .unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{:?}",
            began.elapsed()
        );
        assert_eq!((heard.onto, heard.changes.len()), (Onto::Known, 1));
        assert_eq!(heard.changes[0].account.as_str(), "a@example.jp");
    }
    assert!(
        !aside.is_finished(),
        "another namespace hears nothing of it"
    );
}

#[tokio::test]
async fn a_proxy_reads_its_own_namespace_and_changes_nothing() {
    let (control, _folder) = control().await;
    refuse(&control, "a").await;
    let mut one = control.connect().await;
    for (who, gateway, expected) in [
        (ONE, "mail/out", StatusCode::OK),
        (ONE, "other/out", StatusCode::FORBIDDEN),
        (ELSEWHERE, "mail/out", StatusCode::FORBIDDEN),
        (
            ("authorization", "Bearer nobody"),
            "mail/out",
            StatusCode::UNAUTHORIZED,
        ),
    ] {
        let path = format!("/v1/settings?gateway={gateway}");
        let answer = one.ask(Method::GET, &path, &[who], "").await;
        assert_eq!(answer.status, expected, "{who:?} {gateway}");
    }
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let path = "/v1/settings?gateway=mail/out";
        let answer = one.ask(method.clone(), path, &[ONE], "{}").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        let path = "/v1/accounts/a@example.jp/settings?namespace=mail";
        let answer = one.ask(method.clone(), path, &[ONE], "{}").await;
        assert_eq!(
            answer.status,
            StatusCode::NOT_FOUND,
            "people's requests are served elsewhere"
        );
    }
    for query in [
        "",
        "?gateway=mail",
        "?gateway=mail/out&since=x",
        "?gateway=mail/out&part=all",
    ] {
        let path = format!("/v1/settings{query}");
        let answer = one.ask(Method::GET, &path, &[ONE], "").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn without_a_store_there_are_none() {
    let control = Control::start().await;
    let mut one = control.connect().await;
    let answer = one
        .ask(Method::GET, "/v1/settings?gateway=mail/out", &[ONE], "")
        .await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}
