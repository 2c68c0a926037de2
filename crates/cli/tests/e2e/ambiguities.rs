//! Everything that some mail server takes for the end of a message, at each place where a client can cut it in two or three, in
//! DATA and in chunks, before servers that take some of it: one message in, one message out, and nothing after it.

use std::process::Command;

use sekisho_testkit::{Mta, MtaSetup, Postfix, PostfixSetup, Sink, require};

use crate::up::{ACCOUNT, PASSWORD, Setup, Up, run};

const SCRIPT: &str = include_str!("ambiguities.py");

/// What stands before the number of each trap in what would be obeyed behind it.
const TRAP: &str = "MAIL FROM:<trap";
/// Where a smuggled message would be from.
const SMUGGLED: &str = "@smuggled.example";

/// What was sent.
struct Sent {
    messages: usize,
    /// Traps in all of them.
    traps: usize,
}

fn send(up: &Up, rcpt: &str) -> Option<Sent> {
    let python = require("python3")?;
    let mut command = Command::new(python);
    command.arg(up.file("ambiguities.py", SCRIPT.as_bytes()));
    let port = up.submissions.number().to_string();
    command.args([&port, ACCOUNT, PASSWORD, rcpt]);
    let (success, said) = run(&mut command);
    assert!(success, "{said}\n{}", up.log());
    let mut numbers = said.split_whitespace().map(|word| word.parse().unwrap());
    let mut next = || numbers.next().unwrap();
    Some(Sent {
        messages: next(),
        traps: next(),
    })
}

/// Each is the message that was sent, with its traps still in it.
fn compare(sent: &Sent, delivered: &[Vec<u8>]) {
    assert_eq!(delivered.len(), sent.messages, "messages that came out");
    let mut traps = 0;
    for message in delivered {
        let text = String::from_utf8_lossy(message).replace("\r\n", "\n");
        let (header, body) = text.split_once("\n\n").unwrap();
        assert!(header.contains("Subject: outer"), "{header}");
        assert!(body.starts_with("first"), "{body}");
        traps += body.matches(TRAP).count();
    }
    assert_eq!(traps, sent.traps, "what was to be obeyed is text");
}

#[test]
fn postfix_gets_each_message_whole_and_nothing_after_it() {
    let Some(postfix) = Postfix::start(&PostfixSetup::default()) else {
        return;
    };
    let up = Up::start(&Setup::to(postfix.address()));
    let Some(sent) = send(&up, &format!("bob@{}", postfix.domain())) else {
        return;
    };
    let delivered = postfix.wait_for(sent.messages);
    let log = postfix.log();
    assert!(!log.contains(SMUGGLED), "{log}");
    compare(&sent, &delivered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exim_gets_each_message_whole_and_nothing_after_it() {
    let sink = Sink::start().await;
    let setup = MtaSetup {
        relay_to: sink.address(),
        login: (ACCOUNT.to_owned(), PASSWORD.to_owned()),
        refused: "nobody@example.net".to_owned(),
    };
    let (exim, sent) = {
        let started = tokio::task::block_in_place(|| {
            let exim = Mta::exim(&setup)?;
            let up = Up::start(&Setup::to(exim.address()));
            let sent = send(&up, "bob@example.net")?;
            Some((exim, sent))
        });
        let Some(started) = started else { return };
        started
    };
    let delivered = sink.wait_for(sent.messages).await;
    assert!(!exim.log().contains(SMUGGLED), "{}", exim.log());
    let delivered: Vec<_> = delivered.into_iter().map(|message| message.data).collect();
    compare(&sent, &delivered);
}
