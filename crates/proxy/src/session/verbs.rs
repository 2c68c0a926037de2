//! Which verb a line begins with, whether or not the rest of it can be read: what metrics count.

use sekisho_runtime::metrics::Detection;
pub(super) use sekisho_runtime::metrics::Verb;
use sekisho_smtp::reply::Then;
use sekisho_smtp::{Command, Refusal};

const NAMES: [(&str, Verb); 15] = [
    ("AUTH", Verb::Auth),
    ("BDAT", Verb::Bdat),
    ("DATA", Verb::Data),
    ("EHLO", Verb::Ehlo),
    ("EXPN", Verb::Expn),
    ("HELO", Verb::Helo),
    ("HELP", Verb::Help),
    ("MAIL", Verb::Mail),
    ("NOOP", Verb::Noop),
    ("QUIT", Verb::Quit),
    ("RCPT", Verb::Rcpt),
    ("RSET", Verb::Rset),
    ("STARTTLS", Verb::StartTls),
    ("VRFY", Verb::Vrfy),
    ("XCLIENT", Verb::Xclient),
];

/// Reads a line as a command.
pub(super) fn read(line: &[u8]) -> (Verb, Result<Command, Refusal>) {
    (verb(line), Command::parse(line))
}

fn verb(line: &[u8]) -> Verb {
    let word = line
        .split(|octet| *octet == b' ')
        .next()
        .unwrap_or_default();
    let known = NAMES
        .iter()
        .find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    known.map_or(Verb::Unknown, |(_, verb)| *verb)
}

/// What a refused command shows of the client, where no honest mail program would have sent it.
pub(super) fn intrusion(verb: Verb, refusal: &Refusal) -> Option<Detection> {
    let out_of_step = refusal.then == Then::Close && refusal.reply.code() == 503;
    match (verb, refusal.reply.code()) {
        (Verb::Mail, 530) => Some(Detection::RelayAttempt),
        (Verb::Xclient, 550) => Some(Detection::XclientRejected),
        (Verb::StartTls, _) if out_of_step => Some(Detection::StartTlsInjection),
        // Commands that came along with what only their sender takes for a message or a response.
        (Verb::Data | Verb::Auth | Verb::Xclient, _) if out_of_step => {
            Some(Detection::SmugglingAttempt)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_is_known_whatever_follows_it() {
        assert_eq!(verb(b"mail FROM:<"), Verb::Mail);
        assert_eq!(verb(b"STARTTLS"), Verb::StartTls);
        assert_eq!(verb(b"MAILX"), Verb::Unknown);
        assert_eq!(verb(b""), Verb::Unknown);
    }
}
