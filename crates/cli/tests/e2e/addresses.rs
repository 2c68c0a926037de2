//! Postfix as the judge of addresses: what passes us arrives at the mailbox that it would have arrived at without us.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use sekisho_testkit::{Postfix, PostfixSetup, require};

use crate::up::{ACCOUNT, PASSWORD, Setup, Up};

const SCRIPT: &str = include_str!("addresses.py");

/// Paths that are taken. What Postfix makes of them is Postfix's.
const TAKEN: &[&str] = &[
    "<taro@example.net>",
    "<Taro.Yamada+tag=1@EXAMPLE.net>",
    "<!#$%&'*+-/=?^_`{|}~@example.net>",
    "<taro..yamada.@example.net>",
    "<.hanako@example.net>",
    r#"<"taro"@example.net>"#,
    r#"<"a b"@example.net>"#,
    r#"<"a\\b"@example.net>"#,
    r#"<"a\"b"@example.net>"#,
    r#"<"a\.b"@example.net>"#,
    r#"<"a@b"@example.net>"#,
    r#"<"a,b;c:d"@example.net>"#,
    r#"<"(a)"@example.net>"#,
    r#"<"<a>"@example.net>"#,
    r#"<"a> SIZE=1 <b"@example.net>"#,
    r#"<" "@example.net>"#,
    "<@one.example:taro@example.net>",
    "<@one.example,@two.example:taro@example.net>",
    "<\u{592a}\u{90ce}@example.net>",
    "<jos\u{e9}@example.net>",
    "<xn--taro@example.net>",
];

/// Paths that we refuse, whatever Postfix does.
const REFUSED: &[&str] = &[
    "<taro@example.net",
    "taro@example.net>",
    "<<taro@example.net>>",
    "<taro@example.net>>",
    "<taro (x)@example.net>",
    "<taro@example.net (x)>",
    "<(x)taro@example.net>",
    "<a b@example.net>",
    "<taro@@example.net>",
    "<taro@example.net@example.net>",
    r#"<"taro@example.net>"#,
    r#"<"a"b@example.net>"#,
    r#"<"a\"@example.net>"#,
    "<taro@example..net>",
    "<taro@.example.net>",
    "<taro@example.net.>",
    "<taro@[127.0.0.1>",
    "<taro@[1.2.3]>",
    "<taro@[IPv6:::g]>",
    "<taro@\u{a0}example.net>",
    "<\u{2028}taro@example.net>",
    "<taro\t@example.net>",
    "<taro@example.net>,<x@example.net>",
    "<taro@example.net><x@example.net>",
    "<one.example:taro@example.net>",
    "<@one.example taro@example.net>",
];

#[test]
fn an_address_means_the_same_with_us_and_without() {
    let Some(python) = require("python3") else {
        return;
    };
    let Some(postfix) = Postfix::start(&PostfixSetup::default()) else {
        return;
    };
    let up = Up::start(&Setup::to(postfix.address()));
    let mut child = Command::new(python)
        .arg(up.file("addresses.py", SCRIPT.as_bytes()))
        .arg(postfix.address().port().to_string())
        .arg(up.submissions.number().to_string())
        .args([ACCOUNT, PASSWORD])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let paths = [TAKEN, REFUSED].concat();
    let lines = paths.join("\n") + "\n";
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", up.log());
    let said = String::from_utf8(output.stdout).unwrap();
    let each = said.lines().map(|line| serde_json::from_str(line).unwrap());
    let each: Vec<[Vec<String>; 2]> = each.collect();
    assert_eq!(each.len(), paths.len());
    let is_taken = |said: &[String]| said.len() == 3 && said[2].starts_with("250");
    let mut expected = 0;
    for (path, [direct, through]) in paths.iter().zip(&each) {
        assert_eq!(
            is_taken(through),
            TAKEN.contains(path),
            "{path}: {through:?}"
        );
        assert!(is_taken(direct) || !is_taken(through), "{path}: {direct:?}");
        expected += usize::from(is_taken(direct)) + usize::from(is_taken(through));
    }
    let delivered = postfix.wait_for(expected);
    assert_eq!(delivered.len(), expected);
    let envelopes: BTreeMap<String, Vec<String>> = delivered.iter().map(|m| envelope(m)).collect();
    for number in 0..TAKEN.len() {
        let [direct, through] =
            ["direct", "through"].map(|way| &envelopes[&format!("{way}-{number}-")]);
        assert_eq!(direct, through, "{}", TAKEN[number]);
    }
}

/// The subject, and the envelope as it was at delivery.
fn envelope(message: &[u8]) -> (String, Vec<String>) {
    let text = String::from_utf8_lossy(message);
    let header = text.split("\n\n").next().unwrap_or_default();
    let named = |name: &str| {
        let mut lines = header.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_default().to_owned()
    };
    let envelope = ["Return-Path", "X-Original-To", "Delivered-To"].map(named);
    (named("Subject"), envelope.to_vec())
}
