//! Logins asked of the upstream, and the backends around them.

use super::*;
use sekisho_policy::event::Tls;

use crate::auth::stand::tools;
use crate::auth::{Asking, Backends, FleetKey, Places, Presented, Verdict};
use crate::upstream::outlier::Standing;
use crate::upstream::{End, Fault, LoginAnswer, Shown};
use sekisho_policy::snapshot::Authentication;
use sekisho_smtp::sasl::{Credentials, Secret, TokenMechanism, decode_base64};

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
            .log_in(
                &self.caller,
                Shown::Password(&credentials("sesame")),
                in_time(),
            )
            .await
    }
}

impl Hop {
    /// A good login, and two messages.
    async fn welcomes_and_takes_two(&self) -> Peer<TcpStream> {
        let mut peer = self.serve(AUTH).await;
        peer.expect(PLAIN).await;
        peer.say("235 2.7.0 Welcome").await;
        for _ in 0..2 {
            receive(&mut peer).await;
            peer.say("250 ok").await;
        }
        peer
    }
}

#[tokio::test]
async fn the_connection_of_a_login_serves_that_session_alone() {
    let hop = Hop::new().await;
    let mut stage = Stage::to(&hop);
    let serve = async {
        let mut peer = hop.welcomes_and_takes_two().await;
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
async fn a_token_is_passed_on_by_the_mechanism_that_brought_it() {
    use TokenMechanism::{Oauthbearer, Xoauth2};
    const TOKENS: &str = "250-hop\r\n250-PIPELINING\r\n250 AUTH PLAIN XOAUTH2 OAUTHBEARER\r\n";
    let ask = async |mechanism: TokenMechanism, ehlo: &str, said: &[&str], heard: &[&str]| {
        let hop = Hop::new().await;
        let stage = Stage::to(&hop);
        let serve = async {
            let mut peer = hop.serve(ehlo).await;
            for (line, reply) in heard.iter().zip(said) {
                peer.expect(line).await;
                peer.say(reply).await;
            }
            peer
        };
        let token = Secret::from("ya29.x==");
        let shown = Shown::Token(mechanism, "aya@example.jp", &token);
        let asked = stage.hops.log_in(&stage.caller, shown, in_time());
        let (_peer, answer) = tokio::join!(serve, asked);
        answer
    };
    // `user=aya@example.jp^Aauth=Bearer ya29.x==^A^A`, `n,a=aya@example.jp,^Aauth=Bearer ya29.x==^A^A`
    let xoauth2 = "AUTH XOAUTH2 dXNlcj1heWFAZXhhbXBsZS5qcAFhdXRoPUJlYXJlciB5YTI5Lng9PQEB";
    let oauthbearer = "AUTH OAUTHBEARER bixhPWF5YUBleGFtcGxlLmpwLAFhdXRoPUJlYXJlciB5YTI5Lng9PQEB";
    let why = "334 eyJzdGF0dXMiOiI0MDEifQ==";
    let no = "535 5.7.8 No";
    let table = [
        (
            Xoauth2,
            &["235 ok"][..],
            &[xoauth2][..],
            LoginAnswer::Accepted,
        ),
        (
            Oauthbearer,
            &["235 ok"],
            &[oauthbearer],
            LoginAnswer::Accepted,
        ),
        (Xoauth2, &[no], &[xoauth2], LoginAnswer::Refused),
        (Xoauth2, &[why, no], &[xoauth2, ""], LoginAnswer::Refused),
        (
            Oauthbearer,
            &[why, no],
            &[oauthbearer, "AQ=="],
            LoginAnswer::Refused,
        ),
    ];
    for (mechanism, said, heard, expected) in table {
        let answer = ask(mechanism, TOKENS, said, heard).await;
        assert_eq!(answer.unwrap(), expected, "{mechanism:?} {said:?}");
    }
    let failure = ask(Oauthbearer, AUTH, &[], &[]).await.unwrap_err();
    assert!(
        matches!(failure.fault(), Fault::MechanismNotOffered("OAUTHBEARER")),
        "{failure}"
    );
    let repeats = ask(Xoauth2, TOKENS, &["454 4.7.0 ya29.x=="], &[xoauth2]).await;
    let failure = repeats.unwrap_err().to_string();
    assert!(!failure.contains("ya29"), "{failure}");
}

/// A pause between two messages, and a session that is older than connections are kept elsewhere.
#[tokio::test]
async fn the_connection_of_a_login_may_be_as_old_as_its_session() {
    let hop = Hop::new().await;
    let hasty = Deadlines {
        idle: Duration::ZERO,
        age: Duration::ZERO,
        ..Deadlines::default()
    };
    let stage = Stage::within(&hop, hasty);
    let serve = hop.welcomes_and_takes_two();
    let send = async {
        assert_eq!(stage.log_in().await.unwrap(), LoginAnswer::Accepted);
        for _ in 0..2 {
            assert!(matches!(stage.send().await, End::Accepted(_)));
        }
    };
    let (_peer, ()) = tokio::join!(serve, send);
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

pub(super) fn backends(backends: Value, previous: Option<&Backends>) -> Backends {
    let authentication: Authentication = serde_json::from_value(json!({
        "requirement": "Required", "backends": backends, "mechanisms": ["PLAIN", "SCRAM-SHA-256", "CRAM-MD5"],
        "defaultDomain": "example.jp",
    }))
    .unwrap();
    Backends::load(&authentication, &tools(), previous).unwrap()
}

/// With the upstream's reply, and the password that is tried; and what the upstream was asked.
async fn verdict_and_question(
    backends: &Backends,
    said: Option<&str>,
    login: &str,
    password: &str,
) -> (Verdict, Option<String>) {
    let hop = Hop::new().await;
    let stage = Stage::to(&hop);
    let presented = Presented::Password(Credentials {
        authorization: Some(login.to_owned()),
        authentication: login.to_owned(),
        ..credentials(password)
    });
    let (places, key) = (Arc::default(), FleetKey::new([7; 32]));
    let asking = asking(&stage, &places, &key);
    let serve = async {
        let said = said?;
        let mut peer = hop.serve(AUTH).await;
        let asked = peer.expect_prefix("AUTH PLAIN ").await;
        peer.say(said).await;
        Some(asked)
    };
    let (asked, verdict) = tokio::join!(serve, backends.check(&presented, &asking));
    assert!(hop.is_quiet().await, "the upstream was asked");
    let encoded = asked
        .as_deref()
        .and_then(|line| line.strip_prefix("AUTH PLAIN "));
    let message = encoded.map(|message| decode_base64(message.as_bytes()).unwrap());
    let text = message.map(|message| String::from_utf8(message.expose().to_vec()).unwrap());
    (verdict, text)
}

pub(super) fn asking<'a>(
    stage: &'a Stage,
    places: &'a Arc<Places>,
    key: &'a FleetKey,
) -> Asking<'a> {
    Asking {
        caller: &stage.caller,
        hops: &stage.hops,
        places,
        source: Some([203, 0, 113, 9].into()),
        key,
        channel: Tls::On,
        attempt: 1,
        deadline: in_time(),
    }
}

async fn verdict(backends: &Backends, said: Option<&str>, login: &str, password: &str) -> Verdict {
    verdict_and_question(backends, said, login, password)
        .await
        .0
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
    let (unknown, asked) = verdict_and_question(&file_first, Some("235 ok"), "bob", "x").await;
    // Whom the client wants to act as is nothing for the upstream.
    assert_eq!(asked.unwrap(), "\0bob\0x");
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

/// Neither what is asked nor what is answered shows that the file has the account; and the upstream hears nothing of it.
#[tokio::test]
async fn a_wrong_password_is_answered_alike_wherever_the_account_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts");
    let hash = bcrypt::hash("sesame", 4).unwrap();
    std::fs::write(&path, format!("aya:{hash}\n")).unwrap();
    let file = json!({ "accountsFile": path });
    let file_first = backends(json!([file, "upstream"]), None);
    for said in ["535 no", "235 welcome, whoever you are"] {
        let login = "aya@example.jp";
        let (refused, asked) = verdict_and_question(&file_first, Some(said), login, "wrong").await;
        assert!(matches!(refused, Verdict::Refused), "{refused:?}");
        let asked = asked.unwrap();
        assert!(
            !asked.contains("aya") && !asked.contains("wrong"),
            "{asked:?}"
        );
        assert!(asked.contains("@example.jp"), "{asked:?}");
    }
    let upstream_first = backends(json!(["upstream", file]), None);
    for backends in [&file_first, &upstream_first] {
        let masked = verdict(backends, Some("454 later"), "aya", "wrong").await;
        assert!(matches!(masked, Verdict::Masked(_)), "{masked:?}");
        let unknown = verdict(backends, Some("454 later"), "bob", "wrong").await;
        assert!(matches!(unknown, Verdict::Unavailable(_)), "{unknown:?}");
    }
}

#[tokio::test]
async fn the_upstream_is_not_asked_about_accounts_of_others() {
    let backends = backends(json!(["upstream"]), None);
    for login in ["aya@1.example", "aya@1.example@example.jp", "\u{ff41}ya"] {
        let refused = verdict(&backends, None, login, "sesame").await;
        assert!(matches!(refused, Verdict::Refused), "{login}: {refused:?}");
    }
    let accepted = verdict(&backends, Some("235 ok"), "aya@EXAMPLE.jp", "sesame").await;
    assert!(matches!(accepted, Verdict::Accepted(_)), "{accepted:?}");
}

/// Anybody can ask for as many logins as there are connections to be had.
#[tokio::test]
async fn an_upstream_that_is_crowded_with_logins_goes_on_taking_mail() {
    let hops = [Hop::new().await, Hop::new().await];
    let endpoints = json!([hops[0].json(), hops[1].json()]);
    let stage = Stage::upstream(json!({ "endpoints": endpoints }));
    for _ in 0..10 {
        let refuse = async |hop: &Hop| {
            let mut peer = hop.accept().await;
            peer.say("421 4.7.0 Too many connections").await;
        };
        let (answer, (), ()) = tokio::join!(stage.log_in(), refuse(&hops[0]), refuse(&hops[1]));
        assert!(answer.is_err());
    }
    for lane in &stage.hops.upstream().exits[0].lanes {
        let now = Instant::now();
        assert!(lane.endpoint.health.is_good(now));
        assert_eq!(lane.endpoint.outlier.standing(now), Standing::In);
    }
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
