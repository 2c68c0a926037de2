//! Mail programs in front: swaks, curl, Python's smtplib, Postfix's smtp-source.

use std::net::SocketAddr;
use std::process::Command;

use sekisho_testkit::{Sink, require};

use crate::up::{ACCOUNT, PASSWORD, Setup, Up, run};

const MESSAGE: &str = "From: Alice <alice@example.jp>\r\nTo: bob@example.net\r\nSubject: hello\r\n\r\n.one\r\n..two\r\nend\r\n";

/// Runs one client against a fresh gateway and sink, and looks at what arrived: the message itself below our Received field.
async fn arrives(program: &str, invoke: impl Fn(&Up, &mut Command)) {
    let Some(program) = require(program) else {
        return;
    };
    let sink = Sink::start().await;
    let up = Up::start(&Setup::to(sink.address()));
    let mut command = Command::new(program);
    invoke(&up, &mut command);
    let (success, said) = run(&mut command);
    assert!(success, "{said}\n{}", up.log());
    let arrived = sink.wait_for(1).await;
    assert_eq!(arrived.len(), 1);
    assert!(
        arrived[0].mail.starts_with("<alice@example.jp>"),
        "{}",
        arrived[0].mail
    );
    assert_eq!(arrived[0].rcpts, ["<bob@example.net>"]);
    let data = String::from_utf8_lossy(&arrived[0].data).into_owned();
    assert!(data.starts_with("Received: from "), "{data}");
    // swaks ends a message with a line end of its own.
    assert!(
        data.trim_end().ends_with("\r\n\r\n.one\r\n..two\r\nend"),
        "{data}"
    );
    assert!(!said.contains("451"), "{said}");
}

fn swaks(command: &mut Command, up: &Up, to: SocketAddr, flags: &[&str]) {
    let message = up.file("message", MESSAGE.as_bytes());
    command
        .args([
            "--server",
            &to.to_string(),
            "--from",
            ACCOUNT,
            "--to",
            "bob@example.net",
        ])
        .args([
            "--auth-user",
            ACCOUNT,
            "--auth-password",
            PASSWORD,
            "--data",
        ])
        .arg(format!("@{}", message.display()))
        .args(flags);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaks_with_starttls_and_plain() {
    arrives("swaks", |up, c| {
        swaks(
            c,
            up,
            up.submission.address(),
            &["--tls", "--auth", "PLAIN"],
        )
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaks_with_implicit_tls_and_login() {
    arrives("swaks", |up, c| {
        swaks(
            c,
            up,
            up.submissions.address(),
            &["--tls-on-connect", "--auth", "LOGIN"],
        )
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaks_pipelining() {
    arrives("swaks", |up, c| {
        swaks(
            c,
            up,
            up.submissions.address(),
            &["--tls-on-connect", "--auth", "PLAIN", "--pipeline"],
        )
    })
    .await;
}

fn curl(command: &mut Command, up: &Up, url: &str) {
    let message = up.file("message", MESSAGE.as_bytes());
    command
        .args([
            "--silent",
            "--show-error",
            "--ssl-reqd",
            "--insecure",
            "--url",
            url,
        ])
        .args([
            "--user",
            &format!("{ACCOUNT}:{PASSWORD}"),
            "--mail-from",
            ACCOUNT,
            "--mail-rcpt",
            "bob@example.net",
            "-T",
        ])
        .arg(message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_with_starttls() {
    arrives("curl", |up, c| {
        curl(c, up, &format!("smtp://{}", up.submission.address()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_with_implicit_tls() {
    arrives("curl", |up, c| {
        curl(c, up, &format!("smtps://{}", up.submissions.address()))
    })
    .await;
}

const SMTPLIB: &str = r#"
import smtplib, ssl, sys
port, implicit, account, password, path = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
if implicit == "implicit":
    client = smtplib.SMTP_SSL("127.0.0.1", int(port), context=context)
else:
    client = smtplib.SMTP("127.0.0.1", int(port))
    client.starttls(context=context)
client.login(account, password)
assert client.sendmail(account, ["bob@example.net"], open(path, "rb").read()) == {}
code, said = client.docmd("NOOP")
assert code == 250, (code, said)
client.quit()
"#;

fn smtplib(command: &mut Command, up: &Up, port: u16, how: &str) {
    let script = up.file("send.py", SMTPLIB.as_bytes());
    let message = up.file("message", MESSAGE.as_bytes());
    command
        .arg(script)
        .args([&port.to_string(), how, ACCOUNT, PASSWORD])
        .arg(message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smtplib_with_starttls() {
    arrives("python3", |up, c| {
        smtplib(c, up, up.submission.number(), "starttls")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smtplib_with_implicit_tls() {
    arrives("python3", |up, c| {
        smtplib(c, up, up.submissions.number(), "implicit")
    })
    .await;
}

/// smtp-source cannot log in or speak TLS: a listener without TLS where no login is required.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smtp_source_sends_many() {
    let Some(program) = require("smtp-source") else {
        return;
    };
    let sink = Sink::start().await;
    let mut setup = Setup::to(sink.address());
    setup.backend = "{ type: Upstream }";
    let plain = sekisho_testkit::Port::free();
    let object = format!(
        "apiVersion: sekisho.dev/v1alpha1
kind: MailGateway
metadata: {{ name: plain }}
spec:
  listeners: [{{ name: plain, port: {}, tls: \"Off\" }}]
  authentication: {{ requirement: Optional, backends: [{{ type: Upstream }}] }}
  upstream: {{ endpoints: [{{ address: \"{}\" }}], tls: \"Off\" }}",
        plain.number(),
        sink.address()
    );
    setup.objects = &object;
    let up = Up::start(&setup);
    sekisho_testkit::wait_for_port(plain.address());
    for flags in [&[][..], &["-d"]] {
        let mut command = Command::new(&program);
        command.args([
            "-s",
            "10",
            "-m",
            "200",
            "-l",
            "4096",
            "-f",
            "a@example.jp",
            "-t",
            "b@example.net",
        ]);
        let (success, said) = run(command.args(flags).arg(plain.address().to_string()));
        assert!(success, "{said}\n{}", up.log());
    }
    assert_eq!(sink.wait_for(400).await.len(), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_refused_and_nothing_arrives() {
    let Some(program) = require("curl") else {
        return;
    };
    let sink = Sink::start().await;
    let up = Up::start(&Setup::to(sink.address()));
    let mut command = Command::new(program);
    curl(
        &mut command,
        &up,
        &format!("smtps://{}", up.submissions.address()),
    );
    let (success, said) = run(command.args(["--user", &format!("{ACCOUNT}:wrong"), "-v"]));
    assert!(!success && said.contains("535 5.7.8"), "{said}");
    assert!(
        !up.log().contains("wrong"),
        "the password is in the log: {}",
        up.log()
    );
    assert!(sink.messages().is_empty());
}
