//! What is sent to a next hop, and whether it came out of it as it went in.

use sekisho_testkit::Received;

use super::clients::assert_same;
use super::envelopes::Envelope;
use super::messages;

/// The recipient that servers refuse.
pub(super) const REFUSED: &str = "nobody@example.net";

const BOB: &str = "bob@example.net";

/// What a column of the table is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Plain,
    Dots,
    EightBit,
    RefusedRecipient,
    Large,
    SmtpUtf8,
    Dsn,
}

/// One envelope for each.
pub(super) const ALL: [About; 7] = [
    About::Plain,
    About::Dots,
    About::EightBit,
    About::RefusedRecipient,
    About::Large,
    About::SmtpUtf8,
    About::Dsn,
];

impl About {
    /// The extension without which it is not tried.
    pub(super) fn keyword(self) -> Option<&'static str> {
        match self {
            About::EightBit => Some("8BITMIME"),
            About::SmtpUtf8 => Some("SMTPUTF8"),
            About::Dsn => Some("DSN"),
            _ => None,
        }
    }

    pub(super) fn envelope(self) -> Envelope {
        match self {
            About::Plain => Envelope::to(&[BOB, "carol@example.net"], messages::plain()),
            About::Dots => Envelope::to(&[BOB], messages::dots_and_long_lines(false)),
            About::EightBit => with(
                &["BODY=8BITMIME"],
                Envelope::to(&[BOB], messages::eight_bit()),
            ),
            About::RefusedRecipient => {
                Envelope::to(&[REFUSED, BOB], messages::plain_about("refused"))
            }
            About::Large => Envelope::to(&[BOB], messages::large()),
            About::SmtpUtf8 => with(
                &["BODY=8BITMIME", "SMTPUTF8"],
                Envelope::to(&["関守@example.net"], messages::eight_bit()),
            ),
            About::Dsn => {
                let asked = ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;bob@example.net"];
                let report = Envelope::to(&[BOB], messages::plain_about("report"));
                let recipient = (BOB.to_owned(), asked.map(str::to_owned).to_vec());
                Envelope {
                    recipients: vec![recipient],
                    ..with(&["RET=HDRS", "ENVID=q1"], report)
                }
            }
        }
    }
}

fn with(options: &[&str], envelope: Envelope) -> Envelope {
    Envelope {
        options: options.iter().map(|o| (*o).to_owned()).collect(),
        ..envelope
    }
}

/// Whether the client was told that the message was taken.
pub(super) fn taken(replies: &[String]) -> bool {
    replies.len() > 2 && replies.last().is_some_and(|last| last.starts_with("250"))
}

/// Takes what became of an envelope out of what came out of the server, and says what the table says of it.
pub(super) fn judge(
    about: About,
    envelope: &Envelope,
    replies: &[String],
    refusal: &str,
    arrived: &mut Vec<Received>,
) -> String {
    if !taken(replies) {
        let refused = replies.iter().find(|reply| !reply.starts_with("250"));
        let optional = matches!(about, About::SmtpUtf8 | About::Dsn);
        let reply = refused.filter(|_| optional);
        let reply = reply.unwrap_or_else(|| panic!("{about:?}: {replies:?}"));
        return format!("refused: {}", &reply[..9]);
    }
    let at = arrived.iter().position(|one| belongs(one, envelope));
    let at = at.unwrap_or_else(|| panic!("{about:?} did not arrive: {arrived:?}"));
    let one = arrived.remove(at);
    assert_same(&one.data, &envelope.message, &format!("{about:?}"));
    match about {
        About::RefusedRecipient => {
            let reply = &replies[1];
            assert!(
                reply.starts_with("550 5.") && reply.contains(refusal),
                "{reply}"
            );
            return "its words are shown; the others get it".to_owned();
        }
        About::EightBit if !one.mail.contains("BODY=8BITMIME") => {
            return "yes; it passes no BODY on".to_owned();
        }
        About::SmtpUtf8 => assert!(one.mail.contains("SMTPUTF8"), "{}", one.mail),
        About::Dsn => {
            let passed_on = one.mail.contains("RET=HDRS")
                && one.mail.contains("ENVID=q1")
                && one.rcpts[0].contains("NOTIFY=SUCCESS,FAILURE")
                && one.rcpts[0].contains("ORCPT=rfc822;bob@example.net");
            if !passed_on {
                return "taken, not passed on".to_owned();
            }
        }
        About::Plain | About::Dots | About::EightBit | About::Large => {}
    }
    "yes".to_owned()
}

/// Whether this is what became of the envelope: the message, and the recipients but for the refused one.
fn belongs(one: &Received, envelope: &Envelope) -> bool {
    let wanted = envelope.recipients.iter().map(|(address, _)| address);
    let wanted = wanted.filter(|address| *address != REFUSED);
    let mut wanted: Vec<String> = wanted.map(|address| format!("<{address}>")).collect();
    let address = |rcpt: &String| rcpt.split(' ').next().unwrap_or_default().to_owned();
    let mut got: Vec<String> = one.rcpts.iter().map(address).collect();
    wanted.sort();
    got.sort();
    one.data.ends_with(&envelope.message) && wanted == got
}

/// The Received field that the server added, in one line.
pub(super) fn its_received(one: &Received) -> String {
    let text = String::from_utf8_lossy(&one.data)
        .replace("\r\n\t", " ")
        .replace("\r\n ", " ");
    let mut lines = text.lines();
    let first = lines.find(|line| line.starts_with("Received: "));
    first.unwrap_or_default().to_owned()
}
