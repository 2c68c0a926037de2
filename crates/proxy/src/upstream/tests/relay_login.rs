//! The proxy's own login at a relay.

use super::*;
use crate::upstream::{End, Fault};

const AUTH: &str = "250-hop\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN\r\n";
/// `\0gate\0sesame`
const PLAIN: &str = "AUTH PLAIN AGdhdGUAc2VzYW1l";
/// `\0gate\0mellon`
const OTHER: &str = "AUTH PLAIN AGdhdGUAbWVsbG9u";

fn member(name: &str, hop: &Hop) -> Value {
    let relay = json!({ "address": hop.json(), "tls": "Off", "credentials": name });
    json!({ "name": name, "weight": 1, "relay": relay })
}

/// A stage with a pool `p` and the Secrets it logs in with.
async fn stage(members: Value) -> (Stage, Arc<Logins>) {
    let logins = Arc::<Logins>::default();
    let environment = Environment {
        credentials: logins.clone(),
        ..Arc::into_inner(environment(Deadlines::default())).unwrap()
    };
    let upstream = json!({ "endpoints": [nobody().await] });
    let pools = json!({ "p": { "members": members } });
    let stage = Stage::over(Arc::new(environment), snapshot(upstream, pools));
    (stage, logins)
}

/// Accepts a connection and takes the login.
async fn admit(hop: &Hop, auth: &str) -> Peer<TcpStream> {
    let mut peer = hop.serve(AUTH).await;
    peer.expect(auth).await;
    peer.say("235 2.7.0 Welcome").await;
    peer
}

#[tokio::test]
async fn each_connection_is_logged_in_and_used_again() {
    let hop = Hop::new().await;
    let (stage, logins) = stage(json!([member("a", &hop)])).await;
    logins.set("a", "sesame");
    let (mut peer, begun) = tokio::join!(admit(&hop, PLAIN), stage.begin_in("p", 1));
    begun.unwrap().reset();
    let again = stage.begin_in("p", 1).await.unwrap();
    assert!(hop.is_quiet().await, "the connection was not used again");
    again.reset();
    // What the Secret held before must not be used again, not even over a connection that has it.
    logins.set("a", "mellon");
    let (mut next, begun, ()) =
        tokio::join!(admit(&hop, OTHER), stage.begin_in("p", 1), peer.closed());
    let serve = async {
        receive(&mut next).await;
        next.say("250 ok").await;
    };
    let send = async {
        let mut transaction = begun.unwrap();
        transaction
            .recipients(&[rcpt("b@example.com")])
            .await
            .unwrap();
        transaction.data().await.unwrap();
        transaction
            .write(b"Subject: x\r\n\r\nhello\r\n")
            .await
            .unwrap();
        transaction.finish().await.unwrap()
    };
    let ((), end) = tokio::join!(serve, send);
    assert!(matches!(end, End::Accepted(_)), "{end:?}");
}

#[tokio::test]
async fn lanes_with_other_credentials_share_no_connection() {
    let hop = Hop::new().await;
    let (stage, logins) = stage(json!([member("a", &hop), member("b", &hop)])).await;
    logins.set("a", "sesame");
    logins.set("b", "mellon");
    let pool = &stage.snapshot.pools["p"];
    let seed_of = |member| {
        (0..)
            .find(|seed| {
                sekisho_policy::route::choose(pool, *seed, None, None, |_| true) == Some(member)
            })
            .unwrap()
    };
    let (_one, begun) = tokio::join!(admit(&hop, PLAIN), stage.begin_in("p", seed_of(0)));
    begun.unwrap().reset();
    let (_other, begun) = tokio::join!(admit(&hop, OTHER), stage.begin_in("p", seed_of(1)));
    assert_eq!(begun.unwrap().hop().member.as_deref(), Some("b"));
}

#[tokio::test]
async fn without_credentials_a_member_takes_no_mail_until_there_are_some() {
    let hop = Hop::new().await;
    let (stage, logins) = stage(json!([member("a", &hop)])).await;
    let failure = stage.begin_in("p", 1).await.unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("CredentialsPending: Secret default/a is not there"),
        "{failure}"
    );
    let told = failure.reply().to_string();
    assert!(told.starts_with("451 4.4.1 "), "{told}");
    assert!(hop.is_quiet().await);
    assert_eq!(states(&stage), [MemberState::CredentialsPending]);
    logins.set("a", "sesame");
    assert_eq!(states(&stage), [MemberState::Healthy]);
    let (_peer, begun) = tokio::join!(admit(&hop, PLAIN), stage.begin_in("p", 1));
    begun.unwrap();
}

#[tokio::test]
async fn many_members_without_credentials_do_not_use_up_the_tries() {
    let hop = Hop::new().await;
    let mut members: Vec<Value> = (0..20).map(|n| member(&format!("m{n:02}"), &hop)).collect();
    members.push(member("ready", &hop));
    let (stage, logins) = stage(json!(members)).await;
    logins.set("ready", "sesame");
    for seed in 0..5 {
        let (_peer, begun) = tokio::join!(admit(&hop, PLAIN), stage.begin_in("p", seed));
        assert_eq!(begun.unwrap().hop().member.as_deref(), Some("ready"));
    }
}

#[tokio::test]
async fn a_refused_login_rests_the_member_until_the_secret_changes() {
    let hop = Hop::new().await;
    let (stage, logins) = stage(json!([member("a", &hop)])).await;
    logins.set("a", "sesame");
    let refuse = async {
        let mut peer = hop.serve(AUTH).await;
        peer.expect(PLAIN).await;
        peer.say("535 5.7.8 No, not c2VzYW1l").await;
    };
    let ((), begun) = tokio::join!(refuse, stage.begin_in("p", 1));
    let failure = begun.unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("it refuses the pool's login: 535"),
        "{failure}"
    );
    assert!(
        !format!("{failure} {failure:?}").contains("c2VzYW1l"),
        "{failure:?}"
    );
    let told = failure.reply().to_string();
    assert!(told.starts_with("451 4.3.5 "), "{told}");
    assert!(!told.contains("No, not"), "{told}");
    assert_eq!(states(&stage), [MemberState::Resting]);
    let failure = stage.begin_in("p", 1).await.unwrap_err();
    assert!(
        matches!(failure.fault(), Fault::NoHealthyMember(None)),
        "{failure}"
    );
    assert!(hop.is_quiet().await);
    logins.set("a", "mellon");
    let (_peer, begun) = tokio::join!(admit(&hop, OTHER), stage.begin_in("p", 1));
    begun.unwrap();
}

#[tokio::test]
async fn a_secret_that_changed_ends_one_pause_and_no_other() {
    let hop = Hop::new().await;
    let (stage, logins) = stage(json!([member("a", &hop)])).await;
    logins.set("a", "sesame");
    let refuse = async {
        let mut peer = hop.serve(AUTH).await;
        peer.expect(PLAIN).await;
        peer.say("535 5.7.8 No").await;
    };
    let ((), begun) = tokio::join!(refuse, stage.begin_in("p", 1));
    begun.unwrap_err();
    logins.set("a", "mellon");
    let greet = async { hop.accept().await.say("554 5.7.1 Not from you").await };
    let ((), begun) = tokio::join!(greet, stage.begin_in("p", 1));
    begun.unwrap_err();
    assert_eq!(states(&stage), [MemberState::Resting]);
    stage.begin_in("p", 1).await.unwrap_err();
    assert!(hop.is_quiet().await);
}

#[tokio::test]
async fn a_relay_on_this_machine_is_logged_in_to_over_tls_too() {
    let hop = Hop::new().await;
    let mut member = member("a", &hop);
    member["relay"]["tls"] = json!("Opportunistic");
    let (stage, logins) = stage(json!([member])).await;
    logins.set("a", "sesame");
    let certificate = tls::certificate("127.0.0.1");
    let serve = async {
        let mut peer = certificate.accept_offering(&hop, "", AUTH).await.unwrap();
        peer.expect(PLAIN).await;
        peer.say("235 2.7.0 Welcome").await;
        peer
    };
    let (_peer, begun) = tokio::join!(serve, stage.begin_in("p", 1));
    begun.unwrap();
}

#[tokio::test]
async fn a_relay_that_offers_no_login_or_is_busy_is_told_apart() {
    for (ehlo, said, fault, told) in [
        (FULL, "", "offers no AUTH mechanism", "451 4.3.5 "),
        (
            AUTH,
            "454 4.7.0 Not now",
            "it does not serve us: 454",
            "451 4.4.1 ",
        ),
        (AUTH, "250 2.0.0 What", "which is no answer", "451 4.4.1 "),
    ] {
        let hop = Hop::new().await;
        let (stage, logins) = stage(json!([member("a", &hop)])).await;
        logins.set("a", "sesame");
        let serve = async {
            let mut peer = hop.serve(ehlo).await;
            if !said.is_empty() {
                peer.expect(PLAIN).await;
                peer.say(said).await;
            }
            peer
        };
        let (_peer, begun) = tokio::join!(serve, stage.begin_in("p", 1));
        let failure = begun.unwrap_err();
        assert!(failure.to_string().contains(fault), "{failure}");
        let reply = failure.reply().to_string();
        assert!(reply.starts_with(told), "{reply}");
    }
}

#[test]
fn a_password_never_crosses_a_network_in_clear() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let load = |host: &str, tls: &str| {
        let relay =
            json!({ "address": { "host": host, "port": 587 }, "tls": tls, "credentials": "s" });
        let members = json!([{ "name": "a", "weight": 1, "relay": relay }]);
        let upstream = json!({ "endpoints": [{ "host": "127.0.0.1", "port": 25 }] });
        let snapshot = snapshot(upstream, json!({ "p": { "members": members } }));
        NextHops::load(&snapshot, environment(Deadlines::default()), None).map(drop)
    };
    for (host, tls) in [
        ("relay.example.net", "Off"),
        ("relay.example.net", "Opportunistic"),
        ("192.0.2.1", "Opportunistic"),
        ("localhost", "Off"),
    ] {
        let error = load(host, tls).unwrap_err().to_string();
        assert!(error.contains("tls: Required"), "{error}");
    }
    load("relay.example.net", "Required").unwrap();
    load("127.0.0.5", "Off").unwrap();
    load("::1", "Off").unwrap();
}

fn states(stage: &Stage) -> Vec<MemberState> {
    let mut states = Vec::new();
    stage.hops.members(&mut |pool, state| {
        if pool != "-" {
            states.push(state);
        }
    });
    states
}
