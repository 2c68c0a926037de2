//! Two Postfix relays behind, one for each pool: which address mail came from is what they say themselves.

use std::path::{Path, PathBuf};
use std::process::Command;

use sekisho_runtime::Clock;
use sekisho_runtime::tls::self_signed;
use sekisho_testkit::{Port, Postfix, PostfixSetup, require};

use crate::postfix::RAW;
use crate::up::{ACCOUNT, PASSWORD, Setup, Up, run};

const CLEAN_RELAY: &str = "127.0.0.11";
const SPAM_RELAY: &str = "127.0.0.12";
const LOGIN: &str = "gate@example.net";
const LOGIN_PASSWORD: &str = "open sesame";

/// A certificate for the spam relay, with its key, in one file that is its own authority.
fn certificate(folder: &Path) -> PathBuf {
    let path = folder.join("relay.pem");
    self_signed(&path, &[SPAM_RELAY.to_owned()], Clock::system().now_ms()).unwrap();
    path
}

/// Takes mail only from who has logged in, which it allows only under TLS.
fn demanding(certificate: &Path) -> PostfixSetup {
    PostfixSetup {
        parameters: vec![
            format!("smtpd_tls_cert_file = {}", certificate.display()),
            format!("smtpd_tls_key_file = {}", certificate.display()),
            "smtpd_tls_security_level = may".to_owned(),
            "smtpd_tls_auth_only = yes".to_owned(),
            "smtpd_relay_restrictions = permit_sasl_authenticated reject".to_owned(),
        ],
        account: Some((LOGIN.to_owned(), LOGIN_PASSWORD.to_owned())),
        listen: Some(SPAM_RELAY.parse().unwrap()),
    }
}

fn objects(clean: &Postfix, spam: &Postfix, password: &str) -> String {
    let (clean, spam) = (clean.address(), spam.address());
    format!(
        "apiVersion: sekisho.dev/v1alpha1
kind: SubmissionPolicy
metadata: {{ name: policy }}
spec:
  targetRefs: [{{ name: gate }}]
  classify:
    rules: [{{ name: casino, header: Subject, matches: \"(?i)casino\", score: 10 }}]
    suspectAt: 5
    spamAt: 10
  route:
    unclassified: {{ pool: clean-pool }}
    clean: {{ pool: clean-pool }}
    suspect: {{ pool: spam-pool }}
    spam: {{ pool: spam-pool }}
---
apiVersion: sekisho.dev/v1alpha1
kind: EgressPool
metadata: {{ name: clean-pool }}
spec:
  members: [{{ name: c, sourceAddress: 127.0.0.21, heloName: out1.example.jp }}]
  relay: {{ address: \"{clean}\", tls: \"Off\" }}
---
apiVersion: sekisho.dev/v1alpha1
kind: EgressPool
metadata: {{ name: spam-pool }}
spec:
  members: [{{ name: s, sourceAddress: 127.0.0.22, heloName: out9.example.jp }}]
  relay: {{ address: \"{spam}\", tls: Required, credentialsRef: {{ name: relay-login }} }}
---
apiVersion: v1
kind: Secret
metadata: {{ name: relay-login }}
type: kubernetes.io/basic-auth
stringData: {{ username: {LOGIN}, password: {password} }}
"
    )
}

/// Sends one message for each subject, to the same recipient; what each was answered.
fn send(python: &Path, up: &Up, subjects: &[&str]) -> Vec<String> {
    let mut command = Command::new(python);
    command.arg(up.file("raw.py", RAW.as_bytes()));
    command.args([
        &up.submissions.number().to_string(),
        ACCOUNT,
        PASSWORD,
        "bob@example.net",
    ]);
    for subject in subjects {
        command.arg(format!(
            r"X-Sekisho-Verdict: class=forged\r\nFrom: {ACCOUNT}\r\nSubject: {subject}\r\n\r\nhello"
        ));
    }
    let (success, said) = run(&mut command);
    assert!(success, "{said}\n{}", up.log());
    said.lines()
        .filter(|line| line.contains(" [") && !line.starts_with("221"))
        .map(str::to_owned)
        .collect()
}

/// Whether a message came from this address and under this name, as the relay's own Received field has it.
fn came_from(message: &[u8], address: &str, helo: &str) -> bool {
    let text = String::from_utf8_lossy(message).replace("\n\t", " ");
    let received = text.lines().find(|line| line.starts_with("Received: "));
    received.is_some_and(|received| {
        received.starts_with(&format!("Received: from {helo} "))
            && received.contains(&format!("[{address}])"))
    })
}

#[test]
fn clean_and_spam_leave_from_their_own_addresses_to_their_own_relays() {
    let Some(python) = require("python3") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let certificate = certificate(folder.path());
    let clean = PostfixSetup {
        listen: Some(CLEAN_RELAY.parse().unwrap()),
        ..PostfixSetup::default()
    };
    let (Some(clean), Some(spam)) = (
        Postfix::start(&clean),
        Postfix::start(&demanding(&certificate)),
    ) else {
        return;
    };
    // Nobody listens at the upstream: what went there would be refused.
    let upstream = Port::free();
    let objects = objects(&clean, &spam, LOGIN_PASSWORD);
    let mut setup = Setup::to(upstream.address());
    setup.objects = &objects;
    setup.gateway_fields = "  headers: { verdict: Include }";
    let arguments = ["--upstream-ca", certificate.to_str().unwrap()];
    setup.arguments = &arguments;
    let up = Up::start(&setup);
    let said = send(
        &python,
        &up,
        &["lunch", "Grand CASINO", "minutes", "casino bonus"],
    );
    assert!(
        said.len() == 4 && said.iter().all(|reply| reply.starts_with("250 ")),
        "{said:?}\n{}\n{}",
        up.log(),
        spam.log()
    );
    for (relay, address, helo, subjects, verdict) in [
        (
            &clean,
            "127.0.0.21",
            "out1.example.jp",
            ["lunch", "minutes"],
            "class=clean; pool=clean-pool; id=",
        ),
        (
            &spam,
            "127.0.0.22",
            "out9.example.jp",
            ["Grand CASINO", "casino bonus"],
            "class=spam; pool=spam-pool; id=",
        ),
    ] {
        let delivered = relay.wait_for(2);
        assert_eq!(delivered.len(), 2, "{}", relay.log());
        for message in &delivered {
            let text = String::from_utf8_lossy(message);
            assert!(came_from(message, address, helo), "{text}");
            assert!(
                text.contains(&format!("X-Sekisho-Verdict: {verdict}")),
                "{text}"
            );
            assert!(!text.contains("forged"), "{text}");
        }
        for subject in subjects {
            let subject = format!("Subject: {subject}\n");
            let carries = |message: &&Vec<u8>| String::from_utf8_lossy(message).contains(&subject);
            assert_eq!(delivered.iter().filter(carries).count(), 1, "{subject}");
        }
        let strangers = relay
            .log()
            .lines()
            .filter(|line| line.contains(": connect from ") && !line.contains("[127.0.0.1]"))
            .filter(|line| !line.contains(&format!("[{address}]")))
            .count();
        assert_eq!(strangers, 0, "{}", relay.log());
    }
    assert!(
        spam.log().contains(&format!("sasl_username={LOGIN}")),
        "{}",
        spam.log()
    );
    assert!(!up.log().contains(LOGIN_PASSWORD), "{}", up.log());
}

#[test]
fn a_relay_that_refuses_the_login_gets_no_mail_and_no_other_pool_does() {
    let Some(python) = require("python3") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let certificate = certificate(folder.path());
    let (Some(clean), Some(spam)) = (
        Postfix::start(&PostfixSetup::default()),
        Postfix::start(&demanding(&certificate)),
    ) else {
        return;
    };
    let upstream = Port::free();
    let objects = objects(&clean, &spam, "wrong");
    let mut setup = Setup::to(upstream.address());
    setup.objects = &objects;
    let arguments = ["--upstream-ca", certificate.to_str().unwrap()];
    setup.arguments = &arguments;
    let up = Up::start(&setup);
    let said = send(&python, &up, &["Grand CASINO", "lunch"]);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("451 4.3.5 "), "{said:?}\n{}", up.log());
    assert!(said[1].starts_with("250 "), "{said:?}\n{}", up.log());
    let delivered = clean.wait_for(1);
    assert!(String::from_utf8_lossy(&delivered[0]).contains("Subject: lunch"));
    assert_eq!(spam.delivered().len(), 0);
    let log = up.log();
    assert!(log.contains("it refuses the pool's login: 535"), "{log}");
}
