//! dkimpy as the judge of what passes: a message that was signed (RFC 6376) before it came to us is good behind us.

use std::path::{Path, PathBuf};
use std::process::Command;

use sekisho_testkit::{Sink, require};

use crate::up::{ACCOUNT, PASSWORD, Setup, Up, run};

const SCRIPT: &str = include_str!("signatures.py");

/// Nine bodies, two canonical forms, three fates of Bcc, DATA and BDAT.
const MESSAGES: usize = 9 * 2 * 3 * 2;

/// Where Debian's dkimpy works, whatever other Python is first on the path.
const PYTHON: &str = "/usr/bin/python3";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_are_good_behind_us() {
    let (Some(openssl), Some(_)) = (require("openssl"), require("dkimverify")) else {
        return;
    };
    let sink = Sink::start().await;
    let up = Up::start(&Setup::to(sink.address()));
    let key = up.path("key.pem");
    let mut generate = Command::new(&openssl);
    generate.args(["genrsa", "-traditional", "-out"]).arg(&key);
    assert!(run(generate.arg("2048")).0);
    let script = up.file("signatures.py", SCRIPT.as_bytes());

    let mut send = Command::new(PYTHON);
    let port = up.submissions.number().to_string();
    send.arg(&script)
        .args(["send", &port, ACCOUNT, PASSWORD, "hanako@example.net"]);
    let (success, said) = run(send.arg(&key));
    assert!(
        success && said.trim() == MESSAGES.to_string(),
        "{said}\n{}",
        up.log()
    );

    let arrived = sink.wait_for(MESSAGES).await;
    let files: Vec<PathBuf> = arrived
        .iter()
        .enumerate()
        .map(|(number, message)| up.file(&format!("{number}.eml"), &message.data))
        .collect();
    let verdicts = verify(&script, &public_half(&openssl, &key), &files);
    assert_eq!(verdicts.len(), MESSAGES);
    let bad: Vec<&String> = verdicts
        .iter()
        .filter(|said| !said.ends_with(": good"))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    for message in &arrived {
        let text = String::from_utf8_lossy(&message.data);
        assert_eq!(
            text.contains("Bcc: secret"),
            text.contains("Bcc signed"),
            "Bcc goes unless a signature covers it: {text}"
        );
    }

    // The judge can tell: one letter of a body is enough.
    let mut changed = arrived[0].data.clone();
    let last = changed.len() - 3;
    changed[last] ^= 1;
    let file = up.file("changed.eml", &changed);
    let verdicts = verify(&script, &public_half(&openssl, &key), &[file]);
    assert!(verdicts[0].ends_with(": bad"), "{verdicts:?}");
}

fn verify(script: &Path, public: &str, files: &[PathBuf]) -> Vec<String> {
    let mut verify = Command::new(PYTHON);
    verify.arg(script).args(["verify", public]).args(files);
    let (success, said) = run(&mut verify);
    assert!(success, "{said}");
    said.lines().map(str::to_owned).collect()
}

/// As it stands in a record in the DNS.
fn public_half(openssl: &Path, key: &Path) -> String {
    let mut convert = Command::new(openssl);
    convert.args(["rsa", "-pubout", "-in"]).arg(key);
    let (success, said) = run(&mut convert);
    assert!(success, "{said}");
    let within = said
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN"));
    within
        .skip(1)
        .take_while(|line| !line.starts_with("-----"))
        .collect()
}
