//! Logins asked of the upstream, and the backends around them.

use super::*;
use sekisho_policy::event::Tls;

use crate::auth::stand::tools;
use crate::auth::{Asking, Backends, Presented, Verdict};
use crate::upstream::{End, Fault, LoginAnswer};
use sekisho_policy::snapshot::Authentication;
use sekisho_smtp::sasl::{Credentials, Secret};

const AUTH: &str = "250-hop\r\n250-PIPELINING\r\n250 AUTH LOGIN PLAIN\r\n";
/// `\0aya@example.jp\0sesame`
const PLAIN: &str = "AUTH PLAIN AGF5YUBleGFtcGxlLmpwAHNlc2FtZQ==";

fn credentials(password: &str) -> Credentials {
    Credentials {
        authorization: None,
        authentication: "aya@example.jp".to_owned(),
        password: Secret::from(password),
    }
}

impl Stage {
    async fn log_in(&self) -> Result<LoginAnswer, Failure> {
        self.hops
            .log_in(&self.caller, &credentials("sesame"), in_time())
            .await
    }
}

#[tokio::test]
async fn the_connection_of_a_login_serves_that_session_alone() {
    let hop = Hop::new().await;
    let mut stage = Stage::to(&hop);
    let serve = async {
        let mut peer = hop.serve(AUTH).await;
        peer.expect(PLAIN).await;
        peer.say("235 2.7.0 Welcome").await;
        for _ in 0..2 {
            receive(&mut peer).await;
            peer.say("250 ok").await;
        }
        let mut other = hop.serve(AUTH).await;
        receive(&mut other).await;
        other.say("250 ok").await;
        peer.closed().await;
    };
    let send = async {
        assert_eq!(stage.log_in().await.unwrap(), LoginAnswer::Accepted);
        for _ in 0..2 {
            assert!(matches!(stage.send().await, End::Accepted(_)));
        }
        // Somebody else must not send as the account.
        stage.caller = Caller::new(client());
        assert!(matches!(stage.send().await, End::Accepted(_)));
    };
    tokio::join!(serve, send);
}

#[tokio::test]
async fn without_its_connection_a_login_is_worth_nothing() {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let serve = async {
        let mut peer = hop.serve(AUTH).await;
        peer.expect(PLAIN).await;
        peer.say("235 2.7.0 Welcome").await;
    };
    let ((), answer) = tokio::join!(serve, stage.log_in());
    assert_eq!(answer.unwrap(), LoginAnswer::Accepted);
    let failure = stage.begin().await.unwrap_err();
    assert!(matches!(failure.fault(), Fault::LoginLost), "{failure}");
    assert!(failure.reply().is_closing(), "{}", failure.reply());
    assert!(
        hop.is_quiet().await,
        "the message went over a connection without the login"
    );
}

#[tokio::test]
async fn the_upstreams_answers_are_told_apart() {
    let table: [(&str, &[u8], Option<LoginAnswer>); 8] = [
        (AUTH, b"235 ok\r\n", Some(LoginAnswer::Accepted)),
        (AUTH, b"535 5.7.8 Wrong\r\n", Some(LoginAnswer::Refused)),
        (AUTH, b"525 5.7.13 Closed\r\n", Some(LoginAnswer::Refused)),
        (AUTH, b"454 4.7.0 Not now\r\n", None),
        (AUTH, b"538 5.7.11 Encrypt\r\n", None),
        (AUTH, b"250 what\r\n", None),
        (AUTH, b"421 4.3.2 Bye\r\n", None),
        (AUTH, b"", None),
    ];
    for (ehlo, said, expected) in table {
        let hop = Hop::new().await;
        let stage = Stage::to(&hop);
        let serve = async {
            let mut peer = hop.serve(ehlo).await;
            peer.expect(PLAIN).await;
            peer.send(said).await;
            (!said.is_empty()).then_some(peer)
        };
        let (_peer, answer) = tokio::join!(serve, stage.log_in());
        assert_eq!(
            answer.as_ref().ok(),
            expected.as_ref(),
            "{}: {answer:?}",
            String::from_utf8_lossy(said)
        );
        assert!(!format!("{answer:?}").contains("sesame"));
    }
}

#[tokio::test]
async fn login_is_spoken_where_plain_is_not_and_never_without_an_offer() {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let serve = async {
        let mut peer = hop.serve("250-hop\r\n250 AUTH LOGIN\r\n").await;
        peer.expect("AUTH LOGIN").await;
        peer.say("334 VXNlcm5hbWU6").await;
        peer.expect("YXlhQGV4YW1wbGUuanA=").await;
        peer.say("334 UGFzc3dvcmQ6").await;
        peer.expect("c2VzYW1l").await;
        peer.say("334 TW9yZTo=").await;
        peer.expect("*").await;
        peer.say("501 5.7.0 Cancelled").await;
    };
    let ((), answer) = tokio::join!(serve, stage.log_in());
    assert!(matches!(answer.unwrap_err().fault(), Fault::OutOfPlace(_)));
    let (_peer, answer) = tokio::join!(hop.serve(FULL), stage.log_in());
    let failure = answer.unwrap_err();
    assert!(
        matches!(failure.fault(), Fault::AuthNotOffered),
        "{failure}"
    );
}

#[tokio::test]
async fn where_xclient_carries_the_login_no_connection_is_kept() {
    let ehlo = "250-hop\r\n250-PIPELINING\r\n250-AUTH PLAIN\r\n250 XCLIENT ADDR LOGIN\r\n";
    let hop = Hop::new().await;
    let stage = Stage::upstream(json!({ "endpoints": [hop.json()], "clientIdentity": "Xclient" }));
    let serve = async {
        let mut peer = hop.serve(ehlo).await;
        peer.expect("XCLIENT ADDR=203.0.113.9 LOGIN=[UNAVAILABLE]")
            .await;
        peer.say("220 again").await;
        peer.expect("EHLO client.example.net").await;
        peer.send(ehlo.as_bytes()).await;
        peer.expect(PLAIN).await;
        peer.say("235 ok").await;
        peer.expect("QUIT").await;
        let mut peer = hop.serve(ehlo).await;
        peer.expect("XCLIENT ADDR=203.0.113.9 LOGIN=aya@example.jp")
            .await;
        peer.say("220 again").await;
        peer.expect("EHLO client.example.net").await;
        peer.send(ehlo.as_bytes()).await;
        peer
    };
    let send = async {
        assert_eq!(stage.log_in().await.unwrap(), LoginAnswer::Accepted);
        let login = Some(sekisho_policy::Account::canonical("aya@example.jp", None));
        stage.caller.identify(ClientIdentity { login, ..client() });
        assert!(stage.begin().await.is_ok());
    };
    tokio::join!(serve, send);
}

fn backends(backends: Value, previous: Option<&Backends>) -> Backends {
    let authentication: Authentication = serde_json::from_value(json!({
        "requirement": "Required", "backends": backends, "mechanisms": ["PLAIN"], "defaultDomain": "example.jp",
    }))
    .unwrap();
    Backends::load(&authentication, &tools(), previous).unwrap()
}

/// With the upstream's reply, and the password that is tried.
async fn verdict(backends: &Backends, said: Option<&str>, login: &str, password: &str) -> Verdict {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let presented = Presented::Password(Credentials {
        authentication: login.to_owned(),
        ..credentials(password)
    });
    let asking = Asking {
        caller: &stage.caller,
        hops: &stage.hops,
        channel: Tls::On,
        attempt: 1,
        deadline: in_time(),
    };
    let serve = async {
        let Some(said) = said else { return };
        let mut peer = hop.serve(AUTH).await;
        peer.expect_prefix("AUTH PLAIN ").await;
        peer.say(said).await;
    };
    let ((), verdict) = tokio::join!(serve, backends.check(&presented, &asking));
    assert!(hop.is_quiet().await, "the upstream was asked");
    verdict
}

#[tokio::test]
async fn the_first_backend_that_knows_the_account_decides() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts");
    std::fs::write(
        &path,
        format!("aya:{}\n", bcrypt::hash("sesame", 4).unwrap()),
    )
    .unwrap();
    let file = json!({ "accountsFile": path });
    let file_first = backends(json!([file, "upstream"]), None);
    let upstream_first = backends(json!(["upstream", file]), Some(&file_first));

    let known = verdict(&file_first, None, "Aya@example.jp", "sesame").await;
    assert!(
        matches!(&known, Verdict::Accepted(account) if account.as_str() == "aya@example.jp"),
        "{known:?}"
    );
    assert!(matches!(
        verdict(&file_first, None, "aya", "wrong").await,
        Verdict::Refused
    ));
    let unknown = verdict(&file_first, Some("235 ok"), "bob", "x").await;
    assert!(
        matches!(&unknown, Verdict::Accepted(account) if account.as_str() == "bob@example.jp"),
        "{unknown:?}"
    );
    assert!(matches!(
        verdict(&file_first, Some("535 no"), "bob", "x").await,
        Verdict::Refused
    ));

    let accepted = verdict(&upstream_first, Some("454 later"), "aya", "sesame").await;
    assert!(matches!(accepted, Verdict::Accepted(_)), "{accepted:?}");
    let later = verdict(&upstream_first, Some("454 later"), "bob", "x").await;
    let Verdict::Unavailable(failure) = later else {
        panic!("{later:?}")
    };
    assert_eq!(failure.reply().code(), 454);
    assert!(failure.to_string().contains("454 later"), "{failure}");
}

#[tokio::test]
async fn a_new_snapshot_keeps_a_file_that_went_bad() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts");
    std::fs::write(
        &path,
        format!("aya:{}\n", bcrypt::hash("sesame", 4).unwrap()),
    )
    .unwrap();
    let file = json!([{ "accountsFile": path }]);
    let before = backends(file.clone(), None);
    std::fs::write(&path, "broken\n").unwrap();
    let after = backends(file, Some(&before));
    assert!(matches!(
        verdict(&after, None, "aya", "sesame").await,
        Verdict::Accepted(_)
    ));
    assert!(after.refresh()[0].is_err());
    assert!(matches!(
        verdict(&after, None, "aya", "sesame").await,
        Verdict::Accepted(_)
    ));
}
