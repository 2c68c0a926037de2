//! Answers as Dovecot gives them, a service that is scripted, and one that is hostile.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::answer::{Handshake, Reply, parse_reply};
use super::*;
use sekisho_policy::snapshot::{ClearText, ServiceAddress};

#[test]
fn answers_are_read_strictly_where_it_matters() {
    type Row = (&'static [u8], Result<Option<Reply>, ()>);
    let table: [Row; 18] = [
        (b"OK\t1\tuser=a@b\ttemp", Ok(Some(ok(1, "a@b", None)))),
        (
            b"OK\t1\tresp=dj0x\tuser=a",
            Ok(Some(ok(1, "a", Some("dj0x")))),
        ),
        (b"OK\t7\tuser=a\x011", Err(())),
        (b"OK\t1\tuser=a\x01", Err(())),
        (b"OK\t1", Err(())),
        (b"OK\t1\tuser=", Err(())),
        (b"OK\t1\tuser=a\tuser=b", Err(())),
        (b"OK\tx\tuser=a", Err(())),
        (b"OK\t+1\tuser=a", Err(())),
        (b"OK\t4294967296\tuser=a", Err(())),
        (
            b"FAIL\t2\tuser=a\treason=no",
            Ok(Some(Reply::Refused { id: 2 })),
        ),
        (
            b"FAIL\t2\tuser=a\ttemp",
            Ok(Some(Reply::Temporary { id: 2 })),
        ),
        (
            b"FAIL\t2\tcode=temp_fail",
            Ok(Some(Reply::Temporary { id: 2 })),
        ),
        (b"FAIL\t2\tuser=temp", Ok(Some(Reply::Refused { id: 2 }))),
        (b"FAIL", Err(())),
        (
            b"CONT\t3\tcjE=",
            Ok(Some(Reply::Continue {
                id: 3,
                challenge: "cjE=".into(),
            })),
        ),
        (b"MECH\tPLAIN\tplaintext", Ok(None)),
        (b"OK\t1\tuser=\xff", Err(())),
    ];
    for (line, expected) in table {
        assert_eq!(
            parse_reply(line).map_err(drop),
            expected,
            "{}",
            line.escape_ascii()
        );
    }
}

fn ok(id: u32, user: &str, response: Option<&str>) -> Reply {
    Reply::Accepted {
        id,
        user: user.into(),
        response: response.map(Into::into),
    }
}

#[test]
fn a_handshake_ends_and_has_a_version() {
    let read = |lines: &[&str]| {
        let mut handshake = Handshake::default();
        for line in lines {
            if handshake.take(line.as_bytes()).ok()? {
                return Some(handshake.into_mechanisms());
            }
        }
        None
    };
    let good = [
        "VERSION\t1\t2",
        "MECH\tPLAIN\tplaintext",
        "MECH\tscram-sha-256",
        "SPID\t1",
        "CUID\t1",
        "COOKIE\tff",
        "DONE",
    ];
    assert_eq!(read(&good).unwrap(), ["PLAIN", "SCRAM-SHA-256"]);
    assert_eq!(read(&["VERSION\t2\t0", "DONE"]), None);
    assert_eq!(read(&["DONE"]), None);
    let mut endless = vec!["SPID\t1"; 200];
    endless.push("DONE");
    assert_eq!(read(&endless), None);
}

const GREETING: &str = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tCRAM-MD5\nMECH\tSCRAM-SHA-256\nSPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n";

struct Service {
    listener: TcpListener,
    dovecot: Dovecot,
}

struct Peer {
    stream: BufReader<TcpStream>,
}

impl Service {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = "127.0.0.1".to_owned();
        let config = DovecotAuth {
            address: ServiceAddress::Tcp(sekisho_policy::snapshot::HostPort { host, port }),
            clear_text: ClearText::Loopback,
        };
        Self {
            listener,
            dovecot: Dovecot::new(config).unwrap(),
        }
    }

    async fn accept(&self, greeting: &str) -> Peer {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut peer = Peer {
            stream: BufReader::new(stream),
        };
        assert_eq!(peer.line().await, "VERSION\t1\t1");
        assert!(peer.line().await.starts_with("CPID\t"));
        peer.say(greeting).await;
        peer
    }
}

impl Peer {
    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    async fn say(&mut self, text: &str) {
        self.stream
            .get_mut()
            .write_all(text.as_bytes())
            .await
            .unwrap();
    }
}

fn client() -> Client {
    Client {
        remote: "203.0.113.9:40000".parse().unwrap(),
        local: "[::ffff:192.0.2.1]:587".parse().unwrap(),
        channel: Tls::On,
    }
}

fn credentials() -> Credentials {
    Credentials {
        authorization: None,
        authentication: "taro".to_owned(),
        password: "himitsu".into(),
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

#[tokio::test]
async fn a_token_is_asked_and_a_refusal_is_heard_to_its_end() {
    let service = Service::new().await;
    let greeting = GREETING.replace("MECH\tCRAM-MD5", "MECH\tOAUTHBEARER");
    let token = Secret::from("x");
    let serve = async {
        let mut peer = service.accept(&greeting).await;
        let asked = peer.line().await;
        assert!(asked.starts_with("AUTH\t1\tOAUTHBEARER\t"), "{asked}");
        // `n,a=taro,^Aauth=Bearer x^A^A`
        let response = "\tresp=bixhPXRhcm8sAWF1dGg9QmVhcmVyIHgBAQ==";
        assert!(asked.ends_with(response), "{asked}");
        peer.say("OK\t1\tuser=taro@example.jp\n").await;
        peer.line().await;
        peer.say("CONT\t2\teyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=\n")
            .await;
        assert_eq!(peer.line().await, "CONT\t2\tAQ==");
        peer.say("FAIL\t2\n").await;
        peer.line().await;
        peer.say("CONT\t3\te30=\n").await;
        peer.line().await;
        peer.say("OK\t3\tuser=taro@example.jp\n").await;
        peer
    };
    let ask = async {
        let mechanism = TokenMechanism::Oauthbearer;
        let ask = || {
            let (service, token) = (&service.dovecot, &token);
            service.check_token(mechanism, "taro", token, client(), soon())
        };
        let accepted = ask().await;
        assert!(matches!(&accepted, Checked::Accepted(name) if name == "taro@example.jp"));
        assert!(matches!(ask().await, Checked::Refused));
        assert!(matches!(ask().await, Checked::Unavailable(_)));
        let xoauth2 = TokenMechanism::Xoauth2;
        let unknown = service
            .dovecot
            .check_token(xoauth2, "taro", &token, client(), soon());
        assert!(
            matches!(unknown.await, Checked::Refused),
            "it has no XOAUTH2"
        );
    };
    let (_peer, ()) = tokio::join!(serve, ask);
}

#[tokio::test]
async fn a_password_is_asked_and_the_name_is_dovecots() {
    let service = Service::new().await;
    let credentials = credentials();
    let serve = async {
        let mut peer = service.accept(GREETING).await;
        assert_eq!(
            peer.line().await,
            "AUTH\t1\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.1\trip=203.0.113.9\tlport=587\trport=40000\tsecured\tresp=AHRhcm8AaGltaXRzdQ=="
        );
        peer.say("FAIL\t99\nOK\t1\tuser=taro@example.jp\n").await;
        assert!(
            peer.line().await.starts_with("AUTH\t2\tPLAIN\t"),
            "the connection is kept"
        );
        peer.say("FAIL\t2\tuser=taro\n").await;
        assert!(peer.line().await.starts_with("AUTH\t3\tPLAIN\t"));
        peer.say("FAIL\t3\ttemp\n").await;
    };
    let ask = async {
        let one = service.dovecot.check(&credentials, client(), soon()).await;
        assert!(matches!(one, Checked::Accepted(name) if name == "taro@example.jp"));
        let two = service.dovecot.check(&credentials, client(), soon()).await;
        assert!(matches!(two, Checked::Refused));
        let three = service.dovecot.check(&credentials, client(), soon()).await;
        assert!(matches!(
            three,
            Checked::Unavailable(DovecotFault::Temporary)
        ));
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn scram_is_passed_on_and_its_last_words_wait() {
    let service = Service::new().await;
    let serve = async {
        let mut peer = service.accept(GREETING).await;
        assert!(peer.line().await.ends_with("\tresp=bix4"));
        peer.say("CONT\t1\tcj14eQ==\n").await;
        assert_eq!(peer.line().await, "CONT\t1\tYz14");
        peer.say("CONT\t1\tdj14\n").await;
        assert_eq!(peer.line().await, "CONT\t1\t");
        peer.say("OK\t1\tuser=taro\n").await;
    };
    let ask = async {
        let first = Secret::from("n,x");
        let begun = service
            .dovecot
            .begin("SCRAM-SHA-256", client(), Some(&first), soon())
            .await;
        let (mut exchange, turn) = begun.unwrap();
        assert!(matches!(turn, Turn::Challenge(words) if words.expose() == b"r=xy"));
        let turn = exchange.respond(&"c=x".into(), soon()).await;
        let Turn::Proven { account, last } = turn else {
            panic!("{turn:?}")
        };
        assert_eq!((account.as_str(), last), ("taro", Some("v=x".into())));
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn whatever_a_hostile_service_says_lets_nobody_in() {
    let script = [
        "OK\t1\n",
        "OK\t1\tuser=a\tuser=b\n",
        "OK\t1\tuser=a\x01q\n",
        "OK\t2\tuser=root\nnonsense\nOK\tuser=root\n",
        "CONT\t1\tYQ==\n",
        "CONT\t1\t!!\n",
        "",
    ];
    for said in script {
        let service = Service::new().await;
        let credentials = credentials();
        let serve = async {
            let mut peer = service.accept(GREETING).await;
            peer.line().await;
            peer.say(said).await;
        };
        let (checked, ()) =
            tokio::join!(service.dovecot.check(&credentials, client(), soon()), serve);
        assert!(
            matches!(checked, Checked::Unavailable(_)),
            "{said:?}: {checked:?}"
        );
    }
    let service = Service::new().await;
    let credentials = credentials();
    let serve = async {
        let mut peer = service.accept(GREETING).await;
        peer.line().await;
        peer.say(&"x".repeat(64 * 1024)).await;
    };
    let (checked, ()) = tokio::join!(service.dovecot.check(&credentials, client(), soon()), serve);
    assert!(
        matches!(checked, Checked::Unavailable(DovecotFault::Closed)),
        "{checked:?}"
    );
}

#[tokio::test]
async fn a_broken_connection_is_made_anew_and_a_refused_handshake_is_not_repeated_at_once() {
    let service = Service::new().await;
    let credentials = credentials();
    let serve = async {
        let mut peer = service.accept(GREETING).await;
        peer.line().await;
        drop(peer);
        let mut peer = service.accept(GREETING).await;
        peer.line().await;
        peer.say("OK\t1\tuser=taro\n").await;
    };
    let ask = async {
        let one = service.dovecot.check(&credentials, client(), soon()).await;
        assert!(
            matches!(one, Checked::Unavailable(DovecotFault::Closed)),
            "{one:?}"
        );
        let two = service.dovecot.check(&credentials, client(), soon()).await;
        assert!(matches!(two, Checked::Accepted(_)), "{two:?}");
    };
    tokio::join!(serve, ask);

    let service = Service::new().await;
    let serve = service.accept("VERSION\t2\t0\n");
    let (one, _peer) = tokio::join!(service.dovecot.check(&credentials, client(), soon()), serve);
    assert!(
        matches!(one, Checked::Unavailable(DovecotFault::Protocol(..))),
        "{one:?}"
    );
    let two = service.dovecot.check(&credentials, client(), soon()).await;
    assert!(
        matches!(two, Checked::Unavailable(DovecotFault::Protocol(..))),
        "nobody was asked again"
    );
}

#[tokio::test]
async fn an_exchange_that_is_given_up_is_cancelled_and_one_too_long_is_never_sent() {
    let service = Service::new().await;
    let serve = async {
        let mut peer = service.accept(GREETING).await;
        assert!(peer.line().await.starts_with("AUTH\t1\tCRAM-MD5\t"));
        peer.say("CONT\t1\tPDE+\n").await;
        assert_eq!(peer.line().await, "CANCEL\t1");
    };
    let ask = async {
        let begun = service
            .dovecot
            .begin("CRAM-MD5", client(), None, soon())
            .await;
        drop(begun.unwrap());
        let long = Credentials {
            password: Secret::new(vec![b'x'; 7000]),
            ..credentials()
        };
        let checked = service.dovecot.check(&long, client(), soon()).await;
        assert!(matches!(
            checked,
            Checked::Unavailable(DovecotFault::TooLong)
        ));
        assert!(!service.dovecot.offers("LOGIN") && service.dovecot.offers("CRAM-MD5"));
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn clients_that_are_waited_for_keep_no_password_from_being_checked() {
    let service = Service::new().await;
    let serve = async {
        let mut peer = service.accept(GREETING).await;
        let mut asked = 0;
        loop {
            let line = peer.line().await;
            let id = line.split('\t').nth(1).unwrap().to_owned();
            if line.contains("PLAIN") {
                peer.say(&format!("OK\t{id}\tuser=taro\n")).await;
                return asked;
            }
            asked += 1;
            peer.say(&format!("CONT\t{id}\tPDE+\n")).await;
        }
    };
    let ask = async {
        let mut held = Vec::new();
        let crowded = loop {
            let begun = service.dovecot.begin("CRAM-MD5", client(), None, soon());
            match begun.await {
                Ok(begun) => held.push(begun),
                Err(turn) => break turn,
            }
        };
        let busy = Failure::Dovecot(DovecotFault::Busy);
        assert_eq!(
            format!("{crowded:?}"),
            format!("{:?}", Turn::Unavailable(busy))
        );
        let credentials = credentials();
        let checked = service.dovecot.check(&credentials, client(), soon());
        (held.len(), checked.await)
    };
    let (asked, (held, checked)) = tokio::join!(serve, ask);
    assert_eq!(asked, held);
    assert!(matches!(checked, Checked::Accepted(_)), "{checked:?}");
}

#[tokio::test]
async fn a_service_that_falls_silent_is_spoken_to_anew() {
    let service = Service::new().await;
    let serve = async {
        let mut silent = service.accept(GREETING).await;
        for _ in 0..3 {
            silent.line().await;
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(7)).await;
            tokio::time::resume();
        }
        let mut peer = service.accept(GREETING).await;
        peer.line().await;
        peer.say("OK\t1\tuser=taro\n").await;
        peer
    };
    let ask = async {
        for _ in 0..3 {
            let near = Instant::now() + Duration::from_secs(6);
            let silent = service.dovecot.check(&credentials(), client(), near).await;
            assert!(
                matches!(silent, Checked::Unavailable(DovecotFault::Timeout)),
                "{silent:?}"
            );
        }
        let anew = service
            .dovecot
            .check(&credentials(), client(), soon())
            .await;
        assert!(matches!(anew, Checked::Accepted(_)), "{anew:?}");
    };
    tokio::join!(serve, ask);
}

#[tokio::test]
async fn passwords_leave_the_machine_only_if_the_operator_says_so() {
    let config =
        |address: serde_json::Value| serde_json::from_value::<DovecotAuth>(address).unwrap();
    let tcp = |host: &str, clear_text: &str| {
        let tcp = serde_json::json!({ "host": host, "port": 1 });
        config(serde_json::json!({ "tcp": tcp, "clearText": clear_text }))
    };
    for near in ["127.0.0.1", "::1", "localhost"] {
        assert!(Dovecot::new(tcp(near, "Loopback")).is_ok(), "{near}");
    }
    for far in ["192.0.2.1", "dovecot.mail", "127.0.0.1.example"] {
        assert!(Dovecot::new(tcp(far, "Loopback")).is_err(), "{far}");
        assert!(Dovecot::new(tcp(far, "Network")).is_ok(), "{far}");
    }
    let old = config(serde_json::json!({ "unix": "/run/dovecot/auth-client" }));
    assert_eq!(old.clear_text, ClearText::Loopback);
    assert!(Dovecot::new(old).is_ok());
}
