//! An identity provider in this process: with new keys, away, slow, with too much to say and with rubbish.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use sekisho_policy::snapshot::Introspection;

use crate::auth::stand::{Reply, Stand, tools};
use crate::auth::token::minted::{Minter, claims, set};

const QUICK: Pace = Pace {
    refresh: Duration::from_secs(300),
    unknown: Duration::ZERO,
    rest: Duration::ZERO,
    stale: Duration::from_secs(3600),
};

struct Provider {
    stand: Stand,
    issuer: String,
    /// How often keys were asked for.
    asked: Arc<AtomicUsize>,
}

impl Provider {
    /// With a set of keys, which may be replaced later.
    async fn start(keys: String) -> Self {
        let stand = Stand::start().await;
        let provider = Self {
            issuer: format!("http://{}", stand.address),
            asked: Arc::default(),
            stand,
        };
        provider.publish(keys);
        provider
    }

    fn publish(&self, keys: String) {
        let (issuer, asked) = (self.issuer.clone(), self.asked.clone());
        self.stand
            .answer(move |request| match request.uri().path() {
                "/.well-known/openid-configuration" => {
                    let document =
                        json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") });
                    Reply::json(&document.to_string())
                }
                "/keys" => {
                    asked.fetch_add(1, Ordering::SeqCst);
                    Reply::json(&keys)
                }
                _ => Reply::status(404),
            });
    }

    fn oidc(&self, pace: Pace) -> Oidc {
        Oidc::with_pace(&config(&self.issuer), &tools(), pace).unwrap()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn config(issuer: &str) -> OidcAuth {
    serde_json::from_value(json!({
        "issuer": issuer,
        "audiences": ["sekisho"],
        "accountClaim": "email",
    }))
    .unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Whose the token is, or how it was not accepted.
async fn check(oidc: &Oidc, token: &str) -> String {
    match oidc.check(token.as_bytes(), Client::nobodys(soon())).await {
        Answer::Accepted(account) => account.to_string(),
        Answer::Refused => "refused".to_owned(),
        Answer::NotMine => "not mine".to_owned(),
        Answer::Unavailable(failure) => format!("unavailable: {failure}"),
    }
}

#[tokio::test]
async fn keys_are_fetched_once_and_new_ones_when_a_token_needs_them() {
    let (old, new) = (Minter::p256(), Minter::ed25519());
    let provider = Provider::start(set(&[old.public("old")])).await;
    let oidc = provider.oidc(QUICK);
    let good = claims(&provider.issuer, Value::Null);
    for _ in 0..3 {
        assert_eq!(
            check(&oidc, &old.token("old", &good)).await,
            "tanaka@example.jp"
        );
    }
    assert_eq!(provider.asked(), 1);
    provider.publish(set(&[new.public("new")]));
    assert_eq!(
        check(&oidc, &new.token("new", &good)).await,
        "tanaka@example.jp"
    );
    assert_eq!(provider.asked(), 2);
    assert_eq!(check(&oidc, &old.token("old", &good)).await, "refused");
    let elsewhere = claims("https://other.example", Value::Null);
    assert_eq!(
        check(&oidc, &new.token("new", &elsewhere)).await,
        "not mine"
    );
    assert_eq!(check(&oidc, "opaque").await, "not mine");
}

#[tokio::test]
async fn invented_keys_do_not_make_us_ask_again_and_again() {
    let minter = Minter::p256();
    let provider = Provider::start(set(&[minter.public("k")])).await;
    let oidc = provider.oidc(Pace {
        unknown: Duration::from_secs(30),
        ..QUICK
    });
    let good = claims(&provider.issuer, Value::Null);
    for n in 0..50 {
        assert_eq!(
            check(&oidc, &minter.token(&format!("k{n}"), &good)).await,
            "refused"
        );
    }
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn many_that_wait_for_keys_wait_for_one_fetch() {
    let minter = Minter::p256();
    let provider = Provider::start(set(&[minter.public("k")])).await;
    let oidc = Arc::new(provider.oidc(QUICK));
    let token = minter.token("k", &claims(&provider.issuer, Value::Null));
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (oidc, token) = (oidc.clone(), token.clone());
            tokio::spawn(async move { check(&oidc, &token).await })
        })
        .collect();
    for one in waiting {
        assert_eq!(one.await.unwrap(), "tanaka@example.jp");
    }
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn a_provider_that_is_away_leaves_the_keys_that_were_there() {
    let minter = Minter::p256();
    let provider = Provider::start(set(&[minter.public("k")])).await;
    let good = claims(&provider.issuer, Value::Null);
    let token = minter.token("k", &good);
    let oidc = provider.oidc(Pace {
        refresh: Duration::ZERO,
        ..QUICK
    });
    assert_eq!(check(&oidc, &token).await, "tanaka@example.jp");
    assert_eq!(oidc.trouble(), None);
    provider.stand.answer(|_| Reply::status(503));
    let unknown = minter.token("k2", &good);
    let said = check(&oidc, &unknown).await;
    assert!(said.starts_with("unavailable"), "{said}");
    let trouble = oidc.trouble().unwrap();
    assert!(
        trouble.contains("503") && trouble.contains(&provider.issuer),
        "{trouble}"
    );
    assert_eq!(check(&oidc, &token).await, "tanaka@example.jp");

    // Those that never had any cannot say.
    let fresh = provider.oidc(QUICK);
    let said = check(&fresh, &token).await;
    assert!(said.starts_with("unavailable"), "{said}");
    let stale = provider.oidc(Pace {
        stale: Duration::ZERO,
        ..QUICK
    });
    assert!(check(&stale, &token).await.starts_with("unavailable"));
}

#[tokio::test]
async fn rubbish_is_no_set_of_keys() {
    let minter = Minter::p256();
    let token = |issuer: &str| minter.token("k", &claims(issuer, Value::Null));
    for (keys, why) in [
        ("<html>".to_owned(), "no set of keys"),
        ("x".repeat(300_000), "more than"),
        (
            set(&[json!({ "kty": "oct", "k": "c2VjcmV0" })]),
            "no key for an algorithm",
        ),
    ] {
        let provider = Provider::start(keys).await;
        let oidc = provider.oidc(QUICK);
        let said = check(&oidc, &token(&provider.issuer)).await;
        assert!(said.starts_with("unavailable"), "{said}");
        let trouble = oidc.trouble().unwrap();
        assert!(trouble.contains(why), "{trouble}");
    }
    let provider = Provider::start(String::new()).await;
    provider
        .stand
        .answer(|_| Reply::redirect("https://evil.example/keys"));
    let oidc = provider.oidc(QUICK);
    check(&oidc, &token(&provider.issuer)).await;
    assert!(oidc.trouble().unwrap().contains("302"));
}

#[tokio::test]
async fn a_provider_that_is_silent_costs_no_more_than_the_clients_patience() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = silent.local_addr().unwrap();
    let issuer = format!("http://{address}");
    let oidc = Oidc::with_pace(&config(&issuer), &tools(), QUICK).unwrap();
    let token = Minter::p256().token("k", &claims(&issuer, Value::Null));
    let deadline = Instant::now() + Duration::from_millis(50);
    let said = oidc
        .check(token.as_bytes(), Client::nobodys(deadline))
        .await;
    assert!(matches!(said, Answer::Unavailable(_)), "{said:?}");
}

#[tokio::test]
async fn opaque_tokens_are_asked_about() {
    let stand = Stand::start().await;
    let seen = stand.answer(|request| {
        let token = request.body();
        Reply::json(match token.as_ref() {
            b"token_type_hint=access_token&token=good" => {
                r#"{"active":true,"aud":"sekisho","username":"tanaka"}"#
            }
            b"token_type_hint=access_token&token=a%2Fb" => {
                r#"{"active":true,"aud":"sekisho","username":"system:serviceaccount:mail:app"}"#
            }
            b"token_type_hint=access_token&token=odd" => "{}",
            _ => r#"{"active":false}"#,
        })
    });
    let mut config = config("https://id.example");
    config.account_claim = "username".to_owned();
    config.introspection = Some(Introspection {
        url: format!("http://{}/introspect", stand.address),
        credentials: "client".to_owned(),
        tokens: Introspected::Opaque,
    });
    let oidc = Oidc::new(&config, &tools()).unwrap();
    for (token, expected) in [
        ("good", "tanaka@example.jp"),
        ("gone", "not mine"),
        ("a/b", "refused"),
        ("odd", "refused"),
    ] {
        assert_eq!(check(&oidc, token).await, expected, "{token}");
    }
    let requests = seen.lock().unwrap().clone();
    let authorization = requests[0].headers()["authorization"].to_str().unwrap();
    // client:s%3A1
    assert_eq!(authorization, "Basic Y2xpZW50OnMlM0Ex");
    assert_eq!(requests[0].method(), "POST");
    drop(requests);
    stand.answer(|_| Reply::status(500));
    assert!(check(&oidc, "good").await.starts_with("unavailable"));
    assert!(oidc.trouble().unwrap().contains("500"));
}

#[test]
fn a_provider_is_asked_only_by_https() {
    let (tools, mut config) = (tools(), config("http://id.example"));
    let said = Oidc::new(&config, &tools).unwrap_err().to_string();
    assert!(said.contains("https"), "{said}");
    config.jwks_url = Some("https://id.example/keys".to_owned());
    assert!(Oidc::new(&config, &tools).is_ok());
}
