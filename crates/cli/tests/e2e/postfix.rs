//! Postfix 3.7 behind, as Debian configures it: one message in, one message out, whatever the line ends.

use std::process::Command;

use sekisho_testkit::{Postfix, PostfixSetup, require};

use crate::up::{ACCOUNT, PASSWORD, Setup, Up, run};

/// Speaks SMTP by hand over TLS, since no honest client sends what these tests send.
pub(crate) const RAW: &str = r#"
import base64, socket, ssl, sys
port, account, password, rcpt = int(sys.argv[1]), *sys.argv[2:5]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
tls = context.wrap_socket(socket.create_connection(("127.0.0.1", port)))
reader = tls.makefile("rb")
def reply():
    while True:
        line = reader.readline()
        if line[3:4] != b"-":
            return line.decode().strip()
def say(line):
    tls.sendall(line + b"\r\n")
    return reply()
reply()
say(b"EHLO raw.test")
assert say(b"AUTH PLAIN " + base64.b64encode(f"\0{account}\0{password}".encode())).startswith("235")
for body in sys.argv[5:]:
    raw = body.encode().decode("unicode_escape").encode("latin-1")
    assert say(f"MAIL FROM:<{account}>".encode()).startswith("250")
    assert say(f"RCPT TO:<{rcpt}>".encode()).startswith("250")
    assert say(b"DATA").startswith("354")
    tls.sendall(raw + b"\r\n.\r\n")
    print(reply())
assert say(b"NOOP").startswith("250"), "the session is out of step"
print(say(b"QUIT"))
"#;

/// The tricks by which a second message is hidden in a first one (CVE-2023-51764 and its kin).
const SMUGGLES: [&str; 8] = [
    r"\n.\n",
    r"\n.\r\n",
    r"\r\n.\n",
    r"\r.\r",
    r"\r.\r\n",
    r"\r\n.\r",
    r"\r\n\x00.\r\n",
    r"\n\n.\n\n",
];

#[test]
fn what_is_smuggled_stays_one_message() {
    let Some(python) = require("python3") else {
        return;
    };
    let Some(postfix) = Postfix::start(&PostfixSetup::default()) else {
        return;
    };
    let up = Up::start(&Setup::to(postfix.address()));
    let rcpt = format!("bob@{}", postfix.domain());
    let inner = format!(
        r"MAIL FROM:<ceo@example.jp>\r\nRCPT TO:<{rcpt}>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled"
    );
    let mut command = Command::new(python);
    command.arg(up.file("raw.py", RAW.as_bytes()));
    command.args([
        &up.submissions.number().to_string(),
        ACCOUNT,
        PASSWORD,
        &rcpt,
    ]);
    for end in SMUGGLES {
        command.arg(format!(
            r"From: {ACCOUNT}\r\nSubject: outer\r\n\r\nfirst{end}{inner}"
        ));
    }
    let (success, said) = run(&mut command);
    assert!(success, "{said}\n{}", up.log());
    let accepted = said.lines().filter(|line| line.starts_with("250 ")).count();
    let refused = said.lines().filter(|line| line.starts_with("55")).count();
    assert_eq!(accepted + refused, SMUGGLES.len(), "{said}");
    let delivered = postfix.wait_for(accepted);
    assert_eq!(
        delivered.len(),
        accepted,
        "more messages came out than went in"
    );
    for message in &delivered {
        let text = String::from_utf8_lossy(message);
        assert!(
            text.starts_with(&format!("Return-Path: <{ACCOUNT}>")),
            "{text}"
        );
        let header = text.split("\n\n").next().unwrap_or_default();
        assert!(header.contains("Subject: outer"), "{text}");
    }
    assert!(
        !postfix.log().contains("from=<ceo@example.jp>"),
        "{}",
        postfix.log()
    );
}

#[test]
fn the_clients_identity_is_passed_on_by_xclient() {
    let Some(python) = require("python3") else {
        return;
    };
    let setup = PostfixSetup {
        parameters: vec![
            "smtpd_authorized_xclient_hosts = 127.0.0.0/8".to_owned(),
            "smtpd_client_connection_count_limit = 0".to_owned(),
        ],
        ..PostfixSetup::default()
    };
    let Some(postfix) = Postfix::start(&setup) else {
        return;
    };
    let mut gate = Setup::to(postfix.address());
    gate.upstream_fields = "clientIdentity: Xclient";
    let up = Up::start(&gate);
    let mut command = Command::new(python);
    command.arg(up.file("raw.py", RAW.replace("socket.create_connection((\"127.0.0.1\", port))", "socket.create_connection((\"127.0.0.1\", port), source_address=(\"127.0.0.77\", 0))").as_bytes()));
    command.args([
        &up.submissions.number().to_string(),
        ACCOUNT,
        PASSWORD,
        &format!("bob@{}", postfix.domain()),
    ]);
    for n in 0..3 {
        command.arg(format!(r"From: {ACCOUNT}\r\nSubject: {n}\r\n\r\nhello"));
    }
    let (success, said) = run(&mut command);
    assert!(success, "{said}\n{}\n{}", up.log(), postfix.log());
    postfix.wait_for(3);
    let named = postfix
        .log()
        .lines()
        .filter(|line| line.contains("client=") && line.contains("[127.0.0.77]"))
        .count();
    assert_eq!(
        named,
        3,
        "each message names the client itself: {}",
        postfix.log()
    );
    assert!(
        postfix.log().contains(&format!("sasl_username={ACCOUNT}")),
        "{}",
        postfix.log()
    );
}

#[test]
fn the_upstream_is_asked_for_passwords() {
    let Some(python) = require("python3") else {
        return;
    };
    let account = ("carol@example.net".to_owned(), "open sesame".to_owned());
    let Some(postfix) = Postfix::start(&PostfixSetup {
        account: Some(account.clone()),
        ..PostfixSetup::default()
    }) else {
        return;
    };
    let mut gate = Setup::to(postfix.address());
    gate.backend = "{ type: Upstream }";
    let up = Up::start(&gate);
    let script = up.file("raw.py", RAW.as_bytes());
    let send = |password: &str| {
        let mut command = Command::new(&python);
        command.arg(&script).args([
            &up.submissions.number().to_string(),
            &account.0,
            password,
            "bob@example.net",
        ]);
        run(command.arg(format!(
            r"From: {}\r\nSubject: asked\r\n\r\nhello",
            account.0
        )))
    };
    let (success, said) = send("wrong");
    assert!(!success, "a wrong password was accepted: {said}");
    let (success, said) = send(&account.1);
    assert!(success, "{said}\n{}\n{}", up.log(), postfix.log());
    assert_eq!(postfix.wait_for(1).len(), 1);
    assert!(
        postfix.log().contains("sasl_username=carol@example.net"),
        "the message goes over the session that logged in: {}",
        postfix.log()
    );
}
