//! What a proxy tells and the store takes begins to wait for the channels of the rule's step, and nothing else does.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use sekisho_policy::snapshot::{
    AbuseRule, Brake, Channel, Enforcement, Exempt, Kind, LadderStep, Match, Rule, RuleSpec,
};
use sekisho_policy::states::Imposition;
use sekisho_policy::{
    Account, DecisionId, Envelope, Level, Millis, ObjectRef, Origin, Restriction, Timestamp,
};
use sekisho_store::{Letter, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Client, Control, NOW, envelope};

const OUT: (&str, &str, &str) = ("authorization", "Bearer proxy~one~mail/out", "mail/out");
const ELSEWHERE: (&str, &str, &str) =
    ("authorization", "Bearer proxy~three~other/out", "other/out");

fn object(kind: Kind, name: &str) -> ObjectRef {
    ObjectRef {
        kind,
        namespace: "mail".into(),
        name: name.into(),
    }
}

fn channel(name: &str) -> Channel {
    Channel {
        object: object(Kind::NotificationChannel, name),
        url: format!("https://{name}.example/"),
        secret: name.to_owned(),
    }
}

fn step(at: u32, level: Level, notify: &[&str]) -> LadderStep {
    LadderStep {
        at,
        requires: Vec::new(),
        level,
        term: None,
        recipients_per_hour: None,
        notify: notify.iter().map(|name| channel(name)).collect(),
    }
}

/// A gateway of the namespace `mail` with the rule `stolen`.
fn with_rule(gateway: &str, port: u16, ladder: Vec<LadderStep>) -> Arc<Envelope> {
    let mut snapshot = envelope(gateway, 1, port).snapshot.clone();
    snapshot.rules.push(Rule {
        object: object(Kind::AbuseRule, "stolen"),
        enforcement: Enforcement::Enforce,
        brake: Brake::Off,
        applies: Match::default(),
        spec: RuleSpec::AbuseRule(AbuseRule {
            exempt: Exempt::default(),
            signals: Vec::new(),
            decay: Millis::DAY,
            growth: 2,
            max_for: Millis::DAY,
            ladder,
        }),
    });
    Arc::new(Envelope::seal(u64::from(port), snapshot))
}

/// A control plane with the rule at two gateways.
async fn control() -> (Control, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("ledger.sqlite")).await;
    let control = Control::start_with(Some(store.unwrap())).await;
    for (gateway, port) in [("in", 1), ("out", 2)] {
        let ladder = vec![
            step(40, Level::Watch, &[]),
            step(60, Level::Limit, &["desk"]),
            step(100, Level::Suspend, &["desk", "support"]),
        ];
        control.configs.publish(with_rule(gateway, port, ladder));
    }
    (control, folder)
}

fn imposed(name: &str, level: Level, since: u64) -> Imposition {
    let since = Timestamp(since);
    Imposition {
        account: Account::canonical(name, Some("example.jp")),
        restriction: Restriction {
            level,
            since,
            until: Some(Timestamp(NOW).plus(Millis::HOUR)),
            origin: Origin::Rule(object(Kind::AbuseRule, "stolen")),
            why: "120 points".into(),
            decision: Some(DecisionId::from_random(7)),
            recipients_per_hour: None,
            then: None,
        },
    }
}

async fn tell(client: &mut Client, who: (&str, &str, &str), one: &Imposition) -> StatusCode {
    let body = json!({ "impositions": [one] }).to_string();
    let path = format!("/v1/state?gateway={}", who.2);
    let token = [(who.0, who.1)];
    client.ask(Method::POST, &path, &token, body).await.status
}

async fn waiting(control: &Control, channel: &str) -> Vec<Letter> {
    let outbox = control.accounts.as_ref().unwrap().outbox();
    let letters = outbox.due_letters("mail", channel, Timestamp(NOW), 100);
    letters.await.unwrap()
}

#[tokio::test]
async fn what_is_taken_waits_for_the_channels_of_its_step_once() {
    let (control, _folder) = control().await;
    let mut client = control.connect().await;
    let suspended = imposed("a", Level::Suspend, NOW - 1_000);
    for _ in 0..3 {
        assert_eq!(tell(&mut client, OUT, &suspended).await, StatusCode::OK);
    }
    let (desk, support) = (
        waiting(&control, "desk").await,
        waiting(&control, "support").await,
    );
    let ([desk], [support]) = (&desk[..], &support[..]) else {
        panic!("one each: {desk:?} {support:?}")
    };
    assert_ne!(desk.id, support.id);
    assert_eq!((desk.id.len(), desk.created), (64, Timestamp(NOW)));
    let body: Value = serde_json::from_str(&desk.body).unwrap();
    assert_eq!(
        body,
        json!({
            "id": desk.id, "type": "account.restricted", "at": NOW, "namespace": "mail", "account": "a@example.jp",
            "restriction": {
                "level": "Suspend", "since": NOW - 1_000, "until": NOW + 3_600_000,
                "origin": { "Rule": { "kind": "AbuseRule", "namespace": "mail", "name": "stolen" } },
                "why": "120 points", "decision": "0000-0000-0007",
            },
        })
    );
}

/// The store was lost, and proxies tell another one what it knew.
#[tokio::test]
async fn a_new_store_gives_the_same_message_the_same_name_and_tells_no_old_news() {
    let ids = async |since| {
        let (control, _folder) = control().await;
        let mut client = control.connect().await;
        tell(&mut client, OUT, &imposed("a", Level::Limit, since)).await;
        let letters = waiting(&control, "desk").await;
        letters
            .into_iter()
            .map(|letter| letter.id)
            .collect::<Vec<_>>()
    };
    let first = ids(NOW - 1_000).await;
    assert_eq!(first.len(), 1);
    assert_eq!(ids(NOW - 1_000).await, first);
    assert_ne!(ids(NOW - 1_001).await, first);
    let three_days = 3 * Millis::DAY.0;
    assert_eq!(ids(NOW - three_days).await.len(), 1);
    assert_eq!(ids(NOW - three_days - 1).await.len(), 0);
}

#[tokio::test]
async fn what_is_refused_or_of_a_step_without_channels_waits_for_nobody() {
    let (control, _folder) = control().await;
    let mut client = control.connect().await;
    assert_eq!(
        tell(&mut client, OUT, &imposed("a", Level::Watch, NOW)).await,
        StatusCode::OK
    );
    // A proxy of another namespace speaks for none of our rules.
    let ours = imposed("b", Level::Suspend, NOW);
    assert_eq!(
        tell(&mut client, ELSEWHERE, &ours).await,
        StatusCode::FORBIDDEN
    );
    // A rule of the same name in another namespace is another rule.
    let mut theirs = imposed("c", Level::Suspend, NOW);
    theirs.restriction.origin = Origin::Rule(ObjectRef {
        namespace: "other".into(),
        ..object(Kind::AbuseRule, "stolen")
    });
    assert_eq!(tell(&mut client, ELSEWHERE, &theirs).await, StatusCode::OK);
    let mut unknown = imposed("d", Level::Suspend, NOW);
    unknown.restriction.origin = Origin::Rule(object(Kind::AbuseRule, "gone"));
    assert_eq!(tell(&mut client, OUT, &unknown).await, StatusCode::OK);
    let outbox = control.accounts.as_ref().unwrap().outbox();
    assert_eq!(outbox.due_channels(Timestamp(NOW)).await.unwrap(), []);
    // A text of a proxy's does not grow what waits.
    let mut long = imposed("e", Level::Suspend, NOW);
    long.restriction.why = "x".repeat(100_000).into();
    assert_eq!(tell(&mut client, OUT, &long).await, StatusCode::OK);
    assert!(waiting(&control, "desk").await[0].body.len() < 2_000);
}

#[tokio::test]
async fn a_channel_is_as_the_newest_snapshot_has_it() {
    let (control, _folder) = control().await;
    let found = |name| sekisho_api::letters::channel(&control.configs, "mail", name);
    assert_eq!(found("support"), Some(channel("support")));
    assert_eq!(
        sekisho_api::letters::channel(&control.configs, "mai", "desk"),
        None,
        "the name of a namespace is a whole one"
    );
    let without = || vec![step(100, Level::Suspend, &["desk"])];
    control.configs.publish(with_rule("in", 3, without()));
    assert_eq!(
        found("support"),
        Some(channel("support")),
        "the other gateway's"
    );
    control.configs.publish(with_rule("out", 4, without()));
    assert_eq!(
        (found("support"), found("desk")),
        (None, Some(channel("desk")))
    );
    control.configs.withdraw("mail/out");
    control.configs.withdraw("mail/in");
    assert_eq!(found("desk"), None);
}
