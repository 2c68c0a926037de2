//! Commands: what parses is written as one line and parses again to itself; refusals are refusals.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_smtp::ehlo::Capabilities;
use sekisho_smtp::{Command, ForwardPath, ReversePath};
use smtp_proto::Request;

fuzz_target!(|line: &[u8]| {
    let command = match Command::parse(line) {
        Ok(command) => command,
        Err(refusal) => {
            assert!(refusal.reply.is_permanent() && refusal.reply.enhanced().is_some_and(|e| e.class == 5));
            return;
        }
    };
    let mut written = Vec::new();
    if command.write_to(&mut written).is_err() {
        assert!(line.len() > 500 && written.is_empty());
        return;
    }
    let text = written.strip_suffix(b"\r\n").unwrap();
    assert!(memchr::memchr3(b'\r', b'\n', 0, text).is_none());
    match &command {
        // NOOP's and HELP's arguments mean nothing and are not kept.
        Command::Noop | Command::Help => {}
        command => assert_eq!(Command::parse(text).as_ref(), Ok(command)),
    }
    if let Command::Mail(mail) = &command {
        if let Ok(bare) = mail.for_next_hop(&Capabilities::default()) {
            assert!(bare.params.is_empty() && bare.path == mail.path);
        }
    }
    second_opinion(&command, &written);
});

/// smtp-proto must read the address that we wrote, where it is plain enough for it.
fn second_opinion(command: &Command, written: &[u8]) {
    let mailbox = match command {
        Command::Mail(mail) => match &mail.path {
            ReversePath::Mailbox(mailbox) if mail.params.is_empty() => mailbox,
            _ => return,
        },
        Command::Rcpt(rcpt) => match &rcpt.path {
            ForwardPath::Mailbox(mailbox) if rcpt.params.is_empty() => mailbox,
            _ => return,
        },
        _ => return,
    };
    let plain = |text: &str| {
        text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(|b| b.is_ascii_alphanumeric()))
    };
    if !plain(mailbox.local()) || !plain(mailbox.domain()) || !mailbox.domain().contains('.') {
        return;
    }
    let theirs = match Request::parse(&mut written.iter()) {
        Ok(Request::Mail { from }) => from.address.into_owned(),
        Ok(Request::Rcpt { to }) => to.address.into_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(theirs, mailbox.as_str());
}
