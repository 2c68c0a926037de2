//! A client that says exactly what it is told, over one session, and reports each reply.

use std::io::Write as _;
use std::process::{Command, Stdio};

use sekisho_testkit::require;
use serde_json::json;

use super::programs::source;
use crate::up::{ACCOUNT, PASSWORD, Up};

/// One message with what stands around it.
#[derive(Clone)]
pub(super) struct Envelope {
    /// After the sender.
    pub(super) options: Vec<String>,
    /// Each with its own options.
    pub(super) recipients: Vec<(String, Vec<String>)>,
    pub(super) message: Vec<u8>,
}

impl Envelope {
    pub(super) fn to(recipients: &[&str], message: Vec<u8>) -> Self {
        let recipients = recipients.iter().map(|r| ((*r).to_owned(), Vec::new()));
        Self {
            options: Vec::new(),
            recipients: recipients.collect(),
            message,
        }
    }
}

/// Where and how it comes in.
pub(super) struct Door<'a> {
    pub(super) port: u16,
    /// A loopback address.
    pub(super) source: &'a str,
    /// `starttls` or `implicit`.
    pub(super) tls: &'a str,
}

/// The extensions that were offered, and the replies to each envelope: to MAIL, to each RCPT, and to the end of the message.
pub(super) struct Replies {
    pub(super) offered: Vec<String>,
    pub(super) each: Vec<Vec<String>>,
}

/// Sends them all over one session, or says that the test is skipped.
pub(super) fn send(up: &Up, door: &Door<'_>, envelopes: &[Envelope]) -> Option<Replies> {
    let python = require("python3")?;
    let list: Vec<_> = envelopes
        .iter()
        .enumerate()
        .map(|(n, envelope)| {
            json!({
                "from": ACCOUNT,
                "options": envelope.options,
                "recipients": envelope.recipients,
                "path": up.file(&format!("message{n}"), &envelope.message),
            })
        })
        .collect();
    let mut child = Command::new(python)
        .arg(source("envelopes.py"))
        .args([
            &door.port.to_string(),
            door.source,
            door.tls,
            ACCOUNT,
            PASSWORD,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let list = serde_json::to_vec(&list).unwrap();
    child.stdin.take().unwrap().write_all(&list).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaint}\n{}", up.log());
    let mut lines = said.lines();
    let offered = serde_json::from_str(lines.next().unwrap()).unwrap();
    let each = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    Some(Replies { offered, each })
}
