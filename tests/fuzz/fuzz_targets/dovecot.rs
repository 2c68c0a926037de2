//! Dovecot's answers: whatever it says, nobody is let in without one name, and that name can stand in a record.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// The reader alone: the proxy around it would bring a tree of dependencies.
#[path = "../../../crates/proxy/src/auth/dovecot/answer.rs"]
#[allow(dead_code, unused_imports, reason = "the target reads what the proxy reads")]
mod answer;

use answer::{Handshake, Reply, parse_reply};

fuzz_target!(|data: &[u8]| {
    let mut handshake = Handshake::default();
    for line in data.split(|octet| *octet == b'\n') {
        if !matches!(handshake.take(line), Ok(false)) {
            break;
        }
    }
    assert!(handshake.into_mechanisms().iter().all(|name| (1..=20).contains(&name.len())));
    for line in data.split(|octet| *octet == b'\n') {
        let read = parse_reply(line);
        assert_eq!(read, parse_reply(line));
        if let Ok(Some(Reply::Accepted { user, .. })) = read {
            assert!((1..=320).contains(&user.len()) && !user.chars().any(char::is_control));
            assert!(line.starts_with(b"OK\t"));
        }
    }
});
