//! A limit that restricts whoever is over it: every session of the account feels it, the desk sees why, and a release is a new beginning.

use std::fs;

use sekisho_testkit::wait_until;

use crate::client::{Client, id_of};
use crate::running::{Running, sekisho};

const SPRINT: &str = "apiVersion: sekisho.dev/v1alpha1
kind: RateLimit
metadata: { name: sprint }
spec:
  targetRefs: [{ name: outbound }]
  match: { accounts: [bob@example.jp] }
  key: [Account]
  limits: [{ unit: Recipients, count: 3, per: 1h }]
  onExceed: Restrict
  restrict: { level: Suspend, for: 6h }
";
const MAIL: &str = "MAIL FROM:<bob@example.jp>";
const RCPT: &str = "RCPT TO:<d@example.org>";
const NOT_NOW: &str = "550 5.7.1 This account may not send mail at present";

fn bob(running: &Running) -> Client {
    let mut bob = Client::secure(running.submission);
    let reply = bob.log_in("bob@example.jp", "asa-no-minato");
    assert!(reply.starts_with("235"), "{reply}");
    bob
}

fn account(running: &Running, verb: &[&str]) -> String {
    let url = format!("http://{}", running.http);
    let output = sekisho(&[&["account"], verb, &["--url", &url]].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Sends to three people, and says what the fourth leads to.
fn one_too_many(bob: &mut Client) -> String {
    bob.say(MAIL, "250");
    for to in ["a", "b", "c"] {
        bob.say(&format!("RCPT TO:<{to}@example.org>"), "250");
    }
    bob.say("DATA", "354");
    let reply = bob.ask("From: bob@example.jp\r\nSubject: hello\r\n\r\nbody\r\n.");
    assert!(reply.starts_with("250"), "{reply}");
    bob.say(MAIL, "250");
    bob.ask(RCPT)
}

/// Whether a message may have a recipient now.
fn may_send(bob: &mut Client) -> bool {
    let taken = bob.ask(MAIL).starts_with("250") && bob.ask(RCPT).starts_with("250");
    bob.say("RSET", "250");
    taken
}

#[test]
fn whoever_is_over_it_is_suspended_everywhere_and_released_by_people() {
    let running = Running::start_changed(&[], |objects| {
        fs::write(objects.join("sprint.yaml"), SPRINT).unwrap();
    });
    let (mut one, mut other) = (bob(&running), bob(&running));
    let refused = one_too_many(&mut one);
    assert!(refused.starts_with(NOT_NOW), "{refused}");
    one.say("RSET", "250");
    other.say(MAIL, NOT_NOW);
    let id = id_of(&refused).to_owned();

    let why = "over a limit of Recipients: 3 of 3 in 1h";
    let shown = wait_until("the store knows", || {
        let shown = account(&running, &["show", "bob@example.jp"]);
        shown.contains("Suspend").then_some(shown)
    });
    let explain = format!("sekisho explain {id}");
    for part in ["by RateLimit/default/sprint", why, &explain] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let history = account(&running, &["history", "bob@example.jp"]);
    assert!(history.contains("of RateLimit/default/sprint"), "{history}");
    let explained = running.explained(&id);
    for part in [
        "RateLimit/default/sprint",
        "spec.limits[Recipients per 1h]",
        "spec.restrict",
        "Suspend for 6h",
        why,
    ] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
    assert!(!explained.contains("decide otherwise"), "{explained}");

    let release = ["release", "bob@example.jp", "--why", "his own list"];
    let released = account(&running, &release);
    assert!(
        released.contains("released from Suspend by RateLimit/default/sprint"),
        "{released}"
    );
    // What he had used is forgotten; what he uses now counts anew, and leads there again.
    wait_until("he may send", || may_send(&mut other).then_some(()));
    let again = one_too_many(&mut other);
    assert!(again.starts_with(NOT_NOW), "{again}");
}
