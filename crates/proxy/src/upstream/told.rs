//! What clients are told of what next hops say.

use std::borrow::Cow;
use std::net::IpAddr;

use sekisho_smtp::Reply;
use sekisho_smtp::reply::EnhancedCode;

/// Nothing leads on now.
pub(super) fn nobody() -> Reply {
    Reply::new(
        451,
        (4, 4, 1),
        "No server can take the message now; please try again later",
    )
}

/// A connection was lost.
pub(super) fn broken() -> Reply {
    Reply::new(
        451,
        (4, 4, 2),
        "The connection to the next server broke; please try again",
    )
}

/// A next hop's refusal as the client may hear it. What is between us and the next hop (its wish for a login, its
/// opinion of our syntax, its going down) is not the client's to mend: 451, because mail programs that hear 53x ask
/// for the password again, and that hear 421 hang up. Nor is a refusal of the address `from` which we came: a listed
/// address is ours to mend, and the message may leave from another one tomorrow.
pub(super) fn for_client(reply: &Reply, at: Moment, from: Option<IpAddr>) -> Reply {
    match reply.code() {
        500..=599 if from.is_some_and(|from| refuses(reply, at, from)) => nobody(),
        421 => broken(),
        530 | 534 | 535 | 538 => Reply::new(
            451,
            (4, 3, 5),
            "The mail system is not set up correctly; please try again later",
        ),
        500 | 502 | 503 => Reply::new(
            451,
            (4, 3, 0),
            "The next server could not be talked to; please try again later",
        ),
        400..=599 => coded(bounded(reply.clone()), at),
        _ => broken(),
    }
}

/// A refusal with an enhanced code of its class, which we offer on every reply (RFC 2034). Where the next hop gave none, it says as
/// much as the moment does and no more (RFC 3463: X.1.0, an address; X.0.0, only the class is known); one that contradicts
/// the reply's own code keeps what it says beside the class.
fn coded(reply: Reply, at: Moment) -> Reply {
    if reply.enhanced().is_some() {
        return reply;
    }
    let class = match reply.is_transient() {
        true => 4,
        false => 5,
    };
    let contradicting = |line: &str| {
        let word = line.split(' ').next().unwrap_or_default();
        EnhancedCode::parse(word)
    };
    let (subject, detail) = match (contradicting(&reply.lines()[0]), at) {
        (Some(code), _) if code.class != 2 => (code.subject, code.detail),
        (_, Moment::Mail | Moment::Rcpt) => (1, 0),
        (_, Moment::Data | Moment::Dot) => (0, 0),
    };
    let plain = |line: &Cow<'static, str>| match contradicting(line) {
        Some(_) => line
            .split_once(' ')
            .map_or("", |(_, rest)| rest)
            .to_owned()
            .into(),
        None => line.clone(),
    };
    let lines = reply.lines().iter().map(plain).collect();
    Reply::multiline(reply.code(), Some((class, subject, detail).into()), lines)
}

/// Lines and characters of a next hop's reply that clients are told.
const MOST_LINES: usize = 8;
const MOST_TEXT: usize = 1000;

/// Some mail programs show all of it in one box, and the ledger keeps it.
pub(super) fn bounded(reply: Reply) -> Reply {
    let length: usize = reply.lines().iter().map(|line| line.len()).sum();
    if reply.lines().len() <= MOST_LINES && length <= MOST_TEXT {
        return reply;
    }
    let mut room = MOST_TEXT;
    let mut lines = Vec::new();
    for line in reply.lines().iter().take(MOST_LINES) {
        let length = line.chars().count();
        if length > room {
            lines.push(line.chars().take(room).collect::<String>().into());
            break;
        }
        room -= length;
        lines.push(line.clone());
    }
    Reply::multiline(reply.code(), reply.enhanced(), lines)
}

/// Whether a reply says that a command of a transaction was done. These say something else, and mean that the two sides are
/// not at the same place: 211 and 214 (help), 220 (a greeting), 221 (a farewell), 235 (a login).
pub(super) fn is_done(reply: &Reply) -> bool {
    reply.is_completion() && !matches!(reply.code(), 211 | 214 | 220 | 221 | 235)
}

/// What a reply answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Mail,
    Rcpt,
    Data,
    /// The end of the message.
    Dot,
}

/// Words of a server that does not want an address.
const BLOCKING: [&str; 8] = [
    "block",
    "blacklist",
    "listed",
    "denied",
    "denylist",
    "client host",
    "reputation",
    "rejected by rbl",
];

/// Whether a permanent refusal is one of our address. At MAIL nothing else is known yet that it could speak of. Later many
/// servers name the client in whatever they say, so there it must say what it has against it; and what is said of a
/// whole message, after its final dot, is of the message: a server that minds the address does not wait for it.
fn refuses(reply: &Reply, at: Moment, from: IpAddr) -> bool {
    match at {
        Moment::Mail => names(reply, from),
        Moment::Rcpt | Moment::Data => names(reply, from) && speaks_of_blocking(reply),
        Moment::Dot => false,
    }
}

fn speaks_of_blocking(reply: &Reply) -> bool {
    let text = reply.to_string().to_ascii_lowercase();
    BLOCKING.iter().any(|word| text.contains(word))
}

/// Whether a reply speaks of an address, as in `client host [203.0.113.10] blocked`.
fn names(reply: &Reply, address: IpAddr) -> bool {
    let text = reply.to_string().replace("IPv6:", " ");
    text.split(|c: char| !c.is_ascii_hexdigit() && !matches!(c, '.' | ':'))
        .any(|word| word.trim_end_matches(['.', ':']).parse() == Ok(address.to_canonical()))
}

#[cfg(test)]
mod tests {
    use sekisho_smtp::reply::{ReplyParser, ReplyProgress};

    use super::*;

    fn is_ours(text: &'static str, at: Moment, from: &str) -> bool {
        let reply = Reply::new(554, (5, 7, 1), text);
        let told = for_client(&reply, at, Some(from.parse().unwrap()));
        assert!(told == reply || told == nobody(), "{told}");
        told != reply
    }

    #[test]
    fn a_refusal_of_our_address_is_not_the_clients() {
        let table = [
            (
                "203.0.113.10",
                "Client host [203.0.113.10] blocked using zen.example",
                true,
            ),
            ("203.0.113.10", "203.0.113.10: listed", true),
            ("203.0.113.10", "Client host [203.0.113.101] blocked", false),
            ("203.0.113.10", "<jiro@example.net>: no such user", false),
            (
                "2001:db8::a",
                "Client host [IPv6:2001:db8:0::a] blocked",
                true,
            ),
            ("::ffff:203.0.113.10", "[203.0.113.10] is listed.", true),
        ];
        for (from, text, ours) in table {
            for at in [Moment::Mail, Moment::Rcpt, Moment::Data] {
                assert_eq!(is_ours(text, at, from), ours, "{text} {at:?}");
            }
        }
    }

    fn parsed(octets: &str) -> Reply {
        match ReplyParser::default().feed(octets.as_bytes()) {
            Ok(ReplyProgress::Done { reply, .. }) => reply,
            other => panic!("{octets:?}: {other:?}"),
        }
    }

    #[test]
    fn every_refusal_carries_an_enhanced_code_of_its_class() {
        use Moment::{Data, Dot, Mail, Rcpt};
        let table = [
            ("550", "No such user", Rcpt, "550 5.1.0 No such user"),
            ("450", "Not now", Rcpt, "450 4.1.0 Not now"),
            ("452", "Full", Mail, "452 4.1.0 Full"),
            ("554", "No", Data, "554 5.0.0 No"),
            ("451", "Later", Dot, "451 4.0.0 Later"),
            ("550", "", Dot, "550 5.0.0 "),
            ("550", "5.1.1 No such user", Rcpt, "550 5.1.1 No such user"),
            ("550", "4.1.1 No such user", Rcpt, "550 5.1.1 No such user"),
            ("450", "5.7.1 Wait", Dot, "450 4.7.1 Wait"),
            ("550", "2.1.5 Ok, no", Rcpt, "550 5.1.0 Ok, no"),
            (
                "550",
                "5.1 is not what you want",
                Rcpt,
                "550 5.1.0 5.1 is not what you want",
            ),
            ("550", "4.1.1", Dot, "550 5.1.1 "),
        ];
        for (code, text, at, expected) in table {
            let said = parsed(&format!("{code} {text}\r\n"));
            assert_eq!(for_client(&said, at, None).to_string(), expected);
        }
        let said = parsed("550-4.7.1 One\r\n550 4.7.1 Two\r\n");
        let told = for_client(&said, Dot, None).to_bytes();
        assert_eq!(
            String::from_utf8_lossy(&told),
            "550-5.7.1 One\r\n550 5.7.1 Two\r\n"
        );
    }

    #[test]
    fn a_reply_without_measure_is_cut_and_no_code_is_taken_for_another() {
        let lines = vec!["x".repeat(300).into(); 100];
        let told = for_client(&Reply::multiline(550, None, lines), Moment::Rcpt, None);
        assert_eq!(told.code(), 550);
        assert_eq!(told.text().len(), 1003, "three spaces between four lines");
        for code in [211, 214, 220, 221, 235] {
            assert!(!is_done(&Reply::plain(code, "x")), "{code}");
        }
        for code in [235, 334, 354, 421] {
            let told = for_client(&Reply::plain(code, "x"), Moment::Rcpt, None);
            assert_eq!(told, broken(), "{code}");
        }
        assert!(is_done(&Reply::plain(250, "x")) && is_done(&Reply::plain(251, "x")));
    }

    #[test]
    fn a_refusal_of_a_recipient_or_a_message_stays_one_though_it_names_our_address() {
        use Moment::{Dot, Mail, Rcpt};
        let from = "203.0.113.10";
        for (text, at, ours) in [
            ("[203.0.113.10] Not today", Mail, true),
            (
                "[203.0.113.10] No such user <jiro@example.net>",
                Rcpt,
                false,
            ),
            ("[203.0.113.10] Access denied, poor reputation", Rcpt, true),
            (
                "[203.0.113.10      12] Our system has detected that this message is likely unsolicited mail; it has been blocked",
                Dot,
                false,
            ),
        ] {
            assert_eq!(is_ours(text, at, from), ours, "{text} {at:?}");
        }
    }
}
