//! What clients were told, against what the next hops have.

use std::collections::BTreeMap;
use std::fmt;

use sekisho_testkit::Received;

use super::client::{Attempt, Told, body};

/// What was found where nothing was lost or doubled without leave.
#[derive(Debug, Default)]
pub(super) struct Found {
    messages: u64,
    attempts: usize,
    refused: usize,
    unsent: usize,
    /// Attempts whose outcome no client can know.
    pub(super) unanswered: usize,
    /// Those of them that arrived.
    arrived: usize,
    /// Messages that arrived more than once, and how often too often.
    doubled: usize,
    too_many: usize,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            messages,
            attempts,
            refused,
            unsent,
            unanswered,
            arrived,
            doubled,
            too_many,
        } = self;
        write!(
            f,
            "{messages} messages in {attempts} attempts: each told 250 once and there; {refused} refused and {unsent} cut before \
             their end, none of them there; {unanswered} without an answer, of which {arrived} are there, so that {doubled} messages \
             arrived more than once, {too_many} copies too many"
        )
    }
}

/// Compares.
///
/// # Panics
/// With everything that was lost, doubled or changed.
pub(super) fn compare(messages: u64, attempts: &[Attempt], received: &[Received]) -> Found {
    let mut arrivals: BTreeMap<String, Vec<&Received>> = BTreeMap::new();
    for message in received {
        arrivals.entry(name_of(message)).or_default().push(message);
    }
    let mut wrong = Vec::new();
    let mut found = Found {
        messages,
        attempts: attempts.len(),
        ..Found::default()
    };
    let mut copies: BTreeMap<u64, usize> = BTreeMap::new();
    for attempt in attempts {
        let there = arrivals.remove(&attempt.name).unwrap_or_default();
        let may_be = match attempt.told {
            Told::Taken => 1..=1,
            Told::Refused(_) => 0..=0,
            Told::Unsent => 0..=0,
            Told::Unanswered => 0..=1,
        };
        match attempt.told {
            Told::Taken => {}
            Told::Refused(_) => found.refused += 1,
            Told::Unsent => found.unsent += 1,
            Told::Unanswered => {
                found.unanswered += 1;
                found.arrived += there.len();
            }
        }
        if !may_be.contains(&there.len()) {
            wrong.push(format!("{attempt:?} is there {} times", there.len()));
        }
        wrong.extend(there.iter().filter_map(|message| changed(attempt, message)));
        *copies.entry(attempt.message).or_default() += there.len();
    }
    wrong.extend(arrivals.keys().map(|name| format!("nobody sent {name}")));
    found.doubled = copies.values().filter(|copies| **copies > 1).count();
    found.too_many = copies.values().map(|copies| copies.saturating_sub(1)).sum();
    if copies.len() as u64 != messages {
        wrong.push(format!(
            "{} of {messages} messages were tried",
            copies.len()
        ));
    }
    assert!(wrong.is_empty(), "{found}\n{}", wrong.join("\n"));
    found
}

/// How what arrived differs from what was sent.
fn changed(attempt: &Attempt, message: &Received) -> Option<String> {
    let rcpts: Vec<&str> = message
        .rcpts
        .iter()
        .map(|rcpt| rcpt.trim_matches(['<', '>']))
        .collect();
    if rcpts != attempt.recipients {
        return Some(format!("{attempt:?} went to {rcpts:?}"));
    }
    let is_whole = message.data.ends_with(&body(attempt.message));
    (!is_whole).then(|| format!("{attempt:?} is not whole: {} octets", message.data.len()))
}

fn name_of(message: &Received) -> String {
    let text = String::from_utf8_lossy(&message.data);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("X-Attempt: "));
    line.unwrap_or("what has no name").to_owned()
}

/// What is lost, doubled, changed or made up is found.
#[test]
fn the_comparison_finds_what_is_wrong() {
    let received = |name: &str, to: &str, body: &[u8]| Received {
        helo: String::new(),
        mail: String::new(),
        rcpts: vec![format!("<{to}>")],
        data: [format!("X-Attempt: {name}\r\n\r\n").as_bytes(), body].concat(),
        client: ([127, 0, 0, 1], 1).into(),
        xclient: Vec::new(),
        user: None,
        tls: false,
        connection: 1,
    };
    let good = received("0.0", "b@example.net", &body(0));
    let refused = || Told::Refused("451 4.4.2".to_owned());
    for (told, there, is_right) in [
        (Told::Taken, vec![good.clone()], true),
        (Told::Taken, vec![], false),
        (Told::Taken, vec![good.clone(), good.clone()], false),
        (
            Told::Taken,
            vec![received("0.0", "c@example.net", &body(0))],
            false,
        ),
        (
            Told::Taken,
            vec![received("0.0", "b@example.net", b"cut")],
            false,
        ),
        (refused(), vec![], true),
        (refused(), vec![good.clone()], false),
        (Told::Unsent, vec![good.clone()], false),
        (Told::Unanswered, vec![], true),
        (Told::Unanswered, vec![good.clone()], true),
        (Told::Unanswered, vec![good.clone(), good.clone()], false),
        (
            refused(),
            vec![received("7.0", "b@example.net", &body(7))],
            false,
        ),
    ] {
        let attempt = Attempt {
            message: 0,
            name: "0.0".to_owned(),
            told,
            recipients: vec!["b@example.net".to_owned()],
        };
        let compared =
            std::panic::catch_unwind(|| compare(1, std::slice::from_ref(&attempt), &there));
        assert_eq!(compared.is_ok(), is_right, "{attempt:?} {}", there.len());
    }
}
