//! Errands: from the desk to one proxy and back, over one replica of the control plane or two.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use sekisho_api::fleet::{Errands, Holder, Replicas};
use sekisho_api::{Points, Running as _, Unanswered};
use sekisho_policy::errand::{Errand, Offer, Work};
use sekisho_policy::snapshot::{Envelope, Snapshot};
use sekisho_policy::{Account, Report};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::harness::{Client, Control, Known, SERVICE, envelope};

const OUT: &str = "mail/out";
const ONE: (&str, &str) = ("authorization", "Bearer proxy~one~mail/out");
const TWO: (&str, &str) = ("authorization", "Bearer proxy~two~mail/out");

/// Publishes a gateway with a rule that counts.
fn publish(control: &Control) {
    let mut snapshot: Snapshot = envelope("out", 1, 25).snapshot.clone();
    let rule = json!({
        "object": { "kind": "AbuseRule", "namespace": "mail", "name": "stolen" },
        "enforcement": "Enforce", "brake": "Off", "rule": "AbuseRule",
        "spec": {
            "signals": [{ "signal": "UnknownRecipients", "count": 3, "per": 3_600_000, "points": 60 }],
            "decay": 86_400_000, "growth": 2, "maxFor": 86_400_000, "ladder": []
        }
    });
    snapshot.rules.push(serde_json::from_value(rule).unwrap());
    let sealed = Envelope::seal(7, snapshot);
    control.configs.publish(Arc::new(sealed));
}

fn taro() -> Account {
    Account::canonical("taro", None)
}

fn scores(counts: &str) -> Value {
    let rule = json!({ "kind": "AbuseRule", "namespace": "mail", "name": "stolen" });
    let award = json!({ "signal": "UnknownRecipients", "points": 60, "at": 5 });
    json!({ "Scores": { "counts": counts, "scores": [
        { "rule": rule, "score": 58, "decay": 86_400_000, "awards": [award] },
    ] } })
}

/// A proxy that waits for something to do.
fn wait(mut client: Client, who: (&'static str, &'static str)) -> JoinHandle<(Client, Offer)> {
    tokio::spawn(async move {
        let headers = [who, ("prefer", "wait=50")];
        let path = format!("/v1/errands?gateway={OUT}");
        let answer = client.ask(Method::GET, &path, &headers, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        (client, serde_json::from_slice(&answer.body).unwrap())
    })
}

async fn taken(waiting: JoinHandle<(Client, Offer)>) -> (Client, Errand) {
    let waited = timeout(Duration::from_secs(20), waiting).await;
    let (client, offer) = waited.expect("in time").unwrap();
    (client, offer.errand.expect("an errand"))
}

async fn answer(
    client: &mut Client,
    who: (&str, &str),
    errand: &Errand,
    done: &Value,
) -> StatusCode {
    let path = format!("/v1/errands/{}?gateway={OUT}", errand.id);
    let body = done.to_string();
    client.ask(Method::POST, &path, &[who], body).await.status
}

/// The desk asks for points.
fn points(control: &Control) -> JoinHandle<Points> {
    let running = control.running();
    tokio::spawn(async move { running.scores("mail", &taro()).await })
}

/// The desk tells of bounces.
fn bounced(control: &Control, count: u64) -> JoinHandle<Result<Option<u64>, Unanswered>> {
    let running = control.running();
    tokio::spawn(async move { running.bounced(OUT, &taro(), count, None).await })
}

async fn heard<T>(asked: JoinHandle<T>) -> T {
    let heard = timeout(Duration::from_secs(20), asked).await;
    heard.expect("in time").unwrap()
}

#[tokio::test]
async fn an_errand_goes_to_one_proxy_and_its_answer_back() {
    let control = Control::start().await;
    publish(&control);
    control.reports.note(OUT, "one", Report::default());
    control.connected(OUT, 1).await;
    let asked = bounced(&control, 5);
    let (mut one, errand) = taken(wait(control.connect().await, ONE)).await;
    let (account, count, message) = (taro(), 5, None);
    let work = Work::Bounced {
        account,
        count,
        message,
    };
    assert_eq!(errand.work, work);
    let mut two = control.connect().await;
    let counted = json!({ "Bounced": { "counted": 4 } });
    let elsewhere = ("authorization", "Bearer proxy~one~mail/in");
    let replica = ("authorization", "Bearer replica~control-1");
    for (who, status) in [
        (TWO, StatusCode::GONE),
        (elsewhere, StatusCode::FORBIDDEN),
        (replica, StatusCode::FORBIDDEN),
    ] {
        assert_eq!(answer(&mut two, who, &errand, &counted).await, status);
    }
    for (done, status) in [
        (json!({}), StatusCode::BAD_REQUEST),
        (
            json!({ "Bounced": { "counted": 6 } }),
            StatusCode::BAD_REQUEST,
        ),
        (scores("Together"), StatusCode::BAD_REQUEST),
        (json!("a".repeat(1 << 20)), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let mut client = control.connect().await;
        assert_eq!(answer(&mut client, ONE, &errand, &done).await, status);
    }
    let taken = answer(&mut one, ONE, &errand, &counted).await;
    assert_eq!(taken, StatusCode::NO_CONTENT);
    assert_eq!(heard(asked).await, Ok(Some(4)));
    let again = answer(&mut one, ONE, &errand, &counted).await;
    assert_eq!(again, StatusCode::GONE);
    let path = format!("/v1/errands/1?gateway={OUT}");
    let misnamed = one.ask(Method::POST, &path, &[ONE], "{}").await;
    assert_eq!(misnamed.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn points_are_those_of_a_gateway_and_of_no_one_proxy_of_several() {
    let control = Control::start().await;
    publish(&control);
    let none = heard(points(&control)).await;
    assert_eq!(
        none.unknown.as_deref(),
        Some("no proxy of mail/out is connected")
    );
    control.reports.note(OUT, "one", Report::default());
    control.connected(OUT, 1).await;
    let mut client = control.connect().await;
    for (counts, connected, known) in [
        ("Alone", 1, true),
        ("Together", 2, true),
        ("Alone", 2, false),
    ] {
        if connected == 2 {
            control.reports.note(OUT, "two", Report::default());
            control.connected(OUT, 2).await;
        }
        let asked = points(&control);
        let (back, errand) = taken(wait(client, ONE)).await;
        client = back;
        answer(&mut client, ONE, &errand, &scores(counts)).await;
        let Points {
            known: found,
            unknown,
        } = heard(asked).await;
        assert_eq!(found.len(), usize::from(known), "{counts} of {connected}");
        for tallied in &found {
            assert_eq!(tallied.gateway.as_deref(), Some(OUT));
            assert_eq!(tallied.score.score, 58);
        }
        let words = unknown.unwrap_or_default();
        let says = words.contains("each of the 2 proxies of mail/out counts for itself");
        assert_eq!(says, !known, "{words}");
    }
    // Of a gateway where no rule counts, or of a namespace without any, everything is known.
    let running = control.running();
    let elsewhere = running.scores("other", &taro()).await;
    assert_eq!(elsewhere, Points::default());
    let strange = running.bounced("mail/nowhere", &taro(), 1, None).await;
    assert_eq!(strange, Ok(None));
}

#[tokio::test]
async fn proxies_that_know_no_errands_are_waited_for_and_said_to_be_silent() {
    let control = Control::start().await;
    publish(&control);
    control.reports.note(OUT, "old", Report::default());
    control.connected(OUT, 1).await;
    let (points, told) = (points(&control), bounced(&control, 1));
    let words = heard(points).await.unknown.unwrap_or_default();
    assert!(words.contains("no proxy of mail/out answered"), "{words}");
    let told = heard(told).await.unwrap_err();
    assert!(!told.may_be_done, "{told:?}");
}

/// A replica that holds the lease, and one that does not; and who holds it, as the second one knows it.
async fn replicas() -> (Control, Control, watch::Sender<Option<Holder>>) {
    let first = Control::start().await;
    let known = Known {
        name: "control-1",
        authorities: first.authorities.clone().into_bytes(),
    };
    let replicas = Replicas::new(Arc::new(known), SERVICE.try_into().unwrap());
    let (told, holder) = watch::channel(Some(Holder::At(first.address)));
    let second = Control::start_among(|reports| Errands::among(reports, holder, replicas)).await;
    for control in [&first, &second] {
        publish(control);
    }
    first.reports.note(OUT, "one", Report::default());
    first.connected(OUT, 1).await;
    (first, second, told)
}

#[tokio::test]
async fn what_one_replica_is_asked_a_proxy_of_another_does() {
    let (first, second, _holder) = replicas().await;
    // Whom the proxy asks, whom the desk does, and whom the proxy answers.
    for (polled, asked, told) in [
        (&first, &second, &second),
        (&second, &first, &first),
        (&second, &second, &first),
        (&first, &first, &second),
    ] {
        let desk = bounced(asked, 3);
        let (_client, errand) = taken(wait(polled.connect().await, ONE)).await;
        let mut client = told.connect().await;
        let counted = json!({ "Bounced": { "counted": 2 } });
        for (who, status) in [(TWO, StatusCode::GONE), (ONE, StatusCode::NO_CONTENT)] {
            assert_eq!(answer(&mut client, who, &errand, &counted).await, status);
        }
        assert_eq!(heard(desk).await, Ok(Some(2)));
    }
}

#[tokio::test]
async fn who_waits_at_a_replica_waits_at_the_next_holder_too() {
    let (first, second, holder) = replicas().await;
    let waiting = wait(second.connect().await, ONE);
    let asked = bounced(&first, 1);
    // The first errand shows that it waits at the holder; the next is asked of another one.
    let (mut client, errand) = taken(waiting).await;
    let counted = json!({ "Bounced": { "counted": 1 } });
    answer(&mut client, ONE, &errand, &counted).await;
    assert_eq!(heard(asked).await, Ok(Some(1)));
    let waiting = wait(client, ONE);
    holder.send_replace(None);
    let nobody = heard(bounced(&second, 1)).await.unwrap_err();
    assert!(nobody.why.contains("holds the lease"), "{nobody:?}");
    assert!(!nobody.may_be_done);
    second.reports.note(OUT, "one", Report::default());
    second.connected(OUT, 1).await;
    holder.send_replace(Some(Holder::Me));
    let asked = bounced(&second, 1);
    let (mut client, errand) = taken(waiting).await;
    answer(&mut client, ONE, &errand, &counted).await;
    assert_eq!(heard(asked).await, Ok(Some(1)));
}

#[tokio::test]
async fn nothing_is_passed_on_twice_or_by_anybody_but_a_replica() {
    let (first, second, _holder) = replicas().await;
    let account = "taro";
    let work = json!({ "Bounced": { "account": account, "count": 1 } });
    let ask = json!({ "Ask": { "gateway": OUT, "work": work } }).to_string();
    let replica = ("authorization", "Bearer replica~control-1");
    for (control, who, body, status) in [
        (&first, ONE, &*ask, StatusCode::FORBIDDEN),
        (&second, replica, &*ask, StatusCode::SERVICE_UNAVAILABLE),
        (&first, replica, "{}", StatusCode::BAD_REQUEST),
    ] {
        let mut client = control.connect().await;
        let answer = client
            .ask(Method::POST, "/v1/fleet/errands", &[who], body.to_owned())
            .await;
        assert_eq!(answer.status, status, "{:?}", answer.body);
    }
}

#[tokio::test]
async fn a_holder_that_cannot_be_reached_hides_nothing_and_keeps_nobody() {
    let (first, second, _holder) = replicas().await;
    first.shutdown.drain(Duration::from_secs(5)).await;
    let words = heard(points(&second)).await.unknown.unwrap_or_default();
    assert!(words.contains("holds the lease"), "{words}");
    let mut client = second.connect().await;
    let headers = [ONE, ("prefer", "wait=50")];
    let path = format!("/v1/errands?gateway={OUT}");
    let answer = client.ask(Method::GET, &path, &headers, "").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
}
