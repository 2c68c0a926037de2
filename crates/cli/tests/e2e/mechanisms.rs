//! Mechanisms with the programs that speak them: gsasl, swaks and msmtp in front, a real Dovecot behind.

use std::process::Command;

use sekisho_testkit::{Dovecot, Sink, require, wait_until};

use crate::up::{ACCOUNT, PASSWORD, Setup, Up, run};

const FILE_MECHANISMS: &str = "PLAIN, LOGIN, SCRAM-SHA-256, SCRAM-SHA-256-PLUS";
const DOVECOT_MECHANISMS: &str = "PLAIN, LOGIN, SCRAM-SHA-256, CRAM-MD5";

/// Sekisho that asks Dovecot who somebody is.
fn before(dovecot: &Dovecot, sink: &Sink) -> Up {
    let socket = dovecot.socket();
    let backend = format!(
        "{{ type: DovecotSasl, dovecotSasl: {{ address: \"unix:{}\" }} }}",
        socket.display()
    );
    Up::start(&Setup {
        backend: &backend,
        mechanisms: DOVECOT_MECHANISMS,
        ..Setup::to(sink.address())
    })
}

/// One login by gsasl under STARTTLS, bound to the channel only where the mechanism is; what was said.
fn gsasl(up: &Up, mechanism: &str, password: &str) -> (bool, String) {
    let program = require("gsasl").unwrap();
    let port = up.submission.address().port();
    let mut command = Command::new(program);
    command
        .arg("--smtp")
        .arg(format!("--connect=localhost:{port}"))
        .arg(format!("--x509-ca-file={}", up.certificate().display()))
        .args(["--mechanism", mechanism, "--authentication-id", ACCOUNT])
        .args(["--password", password, "--verbose"]);
    if !mechanism.ends_with("-PLUS") {
        command.arg("--no-cb");
    }
    run(&mut command)
}

/// Nothing of what was said within an exchange is in the log or in the ledger, in which the failures are.
fn keeps_secrets(up: &Up) {
    // The ledger is written behind the session's back.
    let kept = wait_until("a record", || {
        let kept = up.kept();
        let mut pieces = kept.windows(ACCOUNT.len());
        pieces
            .any(|piece| piece == ACCOUNT.as_bytes())
            .then_some(kept)
    });
    let log = up.log();
    for secret in [
        PASSWORD,
        "wrong-secret",
        "Y29ycmVjdCBob3Jz",
        "biws",
        ",p=",
        "v=",
    ] {
        assert!(!log.contains(secret), "{secret} in {log}");
        let mut pieces = kept.windows(secret.len());
        // Two letters are in a database by chance.
        let found = pieces.any(|piece| piece == secret.as_bytes());
        assert!(!found || secret.len() < 4, "{secret} is kept");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gsasl_with_every_mechanism_of_an_accounts_file() {
    if require("gsasl").is_none() {
        return;
    }
    let sink = Sink::start().await;
    let up = Up::start(&Setup {
        mechanisms: FILE_MECHANISMS,
        ..Setup::to(sink.address())
    });
    for mechanism in ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"] {
        let (good, said) = gsasl(&up, mechanism, PASSWORD);
        assert!(
            good && said.contains("235 2.7.0"),
            "{mechanism}: {said}\n{}",
            up.log()
        );
        let (good, said) = gsasl(&up, mechanism, "wrong-secret");
        assert!(!good || !said.contains("235"), "{mechanism}: {said}");
        assert!(said.contains("535 5.7.8"), "{mechanism}: {said}");
    }
    keeps_secrets(&up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_dovecot_checks_every_mechanism_that_it_has() {
    if require("gsasl").is_none() {
        return;
    }
    let Some(dovecot) = Dovecot::start(ACCOUNT, PASSWORD) else {
        return;
    };
    let sink = Sink::start().await;
    let up = before(&dovecot, &sink);
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"] {
        let (good, said) = gsasl(&up, mechanism, PASSWORD);
        assert!(
            good && said.contains("235 2.7.0"),
            "{mechanism}: {said}\n{}\n{}",
            up.log(),
            dovecot.log()
        );
    }
    for mechanism in ["PLAIN", "CRAM-MD5", "SCRAM-SHA-256"] {
        let (_, said) = gsasl(&up, mechanism, "wrong-secret");
        assert!(said.contains("535 5.7.8"), "{mechanism}: {said}");
    }
    keeps_secrets(&up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaks_with_cram_md5_before_dovecot() {
    let (Some(swaks), Some(dovecot)) = (require("swaks"), Dovecot::start(ACCOUNT, PASSWORD)) else {
        return;
    };
    let sink = Sink::start().await;
    let up = before(&dovecot, &sink);
    let mut command = Command::new(swaks);
    command
        .args(["--server", &up.submission.address().to_string(), "--tls"])
        .args([
            "--auth",
            "CRAM-MD5",
            "--auth-user",
            ACCOUNT,
            "--auth-password",
            PASSWORD,
        ])
        .args(["--from", ACCOUNT, "--to", "bob@example.net"]);
    let (good, said) = run(&mut command);
    assert!(good, "{said}\n{}", up.log());
    assert_eq!(sink.wait_for(1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn msmtp_with_scram() {
    let Some(msmtp) = require("msmtp") else {
        return;
    };
    let sink = Sink::start().await;
    let up = Up::start(&Setup {
        mechanisms: FILE_MECHANISMS,
        ..Setup::to(sink.address())
    });
    let message = up.file(
        "message",
        b"From: alice@example.jp\nTo: bob@example.net\nSubject: hello\n\nHello\n",
    );
    let port = up.submission.address().port();
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!(
        "{} --host=127.0.0.1 --port={port} --tls=on --tls-certcheck=off --auth=scram-sha-256 --user={ACCOUNT} --passwordeval='echo {PASSWORD}' --from={ACCOUNT} bob@example.net < {}",
        msmtp.display(),
        message.display()
    ));
    let (good, said) = run(&mut command);
    assert!(good, "{said}\n{}", up.log());
    assert_eq!(sink.wait_for(1).await.len(), 1);
    keeps_secrets(&up);
}
