//! What may come when: RFC 5321 4.1.4, RFC 3207, RFC 4954, RFC 2920.

use super::*;
use crate::reply::Then;

const SUBMISSION: Demands = Demands {
    tls: Demand::Required,
    auth: Demand::Required,
    auth_over: AuthOver::TlsOnly,
    xclient: Xclient::Refused,
};
const OPEN: Demands = Demands {
    tls: Demand::Offered,
    auth: Demand::Offered,
    auth_over: AuthOver::AnyTransport,
    xclient: Xclient::Trusted,
};

fn ask(session: &Session, line: &str) -> String {
    let command = Command::parse(line.as_bytes()).unwrap();
    match session.check(&command, Buffered::Nothing) {
        Ok(()) => "ok".to_owned(),
        Err(refusal) => {
            assert_eq!(refusal.then, Then::Continue, "{line}");
            format!(
                "{} {}",
                refusal.reply.code(),
                refusal.reply.enhanced().unwrap()
            )
        }
    }
}

/// Plays a command that is granted.
fn play(session: &mut Session, line: &str) {
    assert_eq!(ask(session, line), "ok", "{line}");
    match Command::parse(line.as_bytes()).unwrap() {
        Command::Ehlo(_) => session.greeted(Greeting::Ehlo),
        Command::Helo(_) => session.greeted(Greeting::Helo),
        Command::StartTls => session.tls_started(),
        Command::Auth(_) => session.authenticated(),
        Command::Mail(mail) => session.mail_accepted(&mail),
        Command::Rcpt(_) => session.recipient_accepted(),
        Command::Data | Command::Rset => session.transaction_ended(),
        Command::Xclient(_) => session.xclient_applied(XclientLogin::Untouched),
        _ => {}
    }
}

fn after(demands: Demands, lines: &[&str]) -> Session {
    let mut session = Session::new(demands, Transport::Plain);
    lines.iter().for_each(|line| play(&mut session, line));
    session
}

#[test]
fn a_submission_session_goes_through() {
    let session = after(
        SUBMISSION,
        &[
            "EHLO a",
            "NOOP",
            "STARTTLS",
            "EHLO a",
            "AUTH PLAIN",
            "MAIL FROM:<a@b> SIZE=1",
            "RCPT TO:<c@d>",
            "RCPT TO:<e@f>",
            "DATA",
            "MAIL FROM:<>",
            "RSET",
            "MAIL FROM:<>",
            "RCPT TO:<c@d>",
            "EHLO a",
            "MAIL FROM:<>",
            "QUIT",
        ],
    );
    assert!(session.is_authenticated() && session.in_transaction());
    assert_eq!(session.recipients(), 0);
}

#[test]
fn refuses_what_comes_too_early_or_too_late() {
    let secured: &[&str] = &["EHLO a", "STARTTLS", "EHLO a"];
    let authenticated: &[&str] = &["EHLO a", "STARTTLS", "EHLO a", "AUTH PLAIN"];
    let in_mail: &[&str] = &[
        "EHLO a",
        "STARTTLS",
        "EHLO a",
        "AUTH PLAIN",
        "MAIL FROM:<a@b>",
    ];
    let cases: [(&[&str], &str, &str); 25] = [
        (&[], "MAIL FROM:<a@b>", "503 5.5.1"),
        (&[], "STARTTLS", "503 5.5.1"),
        (&[], "AUTH PLAIN", "503 5.5.1"),
        (&[], "RCPT TO:<a@b>", "503 5.5.1"),
        (&[], "DATA", "503 5.5.1"),
        (&[], "NOOP", "ok"),
        (&[], "VRFY a", "ok"),
        (&[], "QUIT", "ok"),
        (&["HELO a"], "STARTTLS", "503 5.5.1"),
        (&["EHLO a"], "AUTH PLAIN", "538 5.7.11"),
        (&["EHLO a"], "MAIL FROM:<a@b>", "530 5.7.0"),
        (&["EHLO a", "STARTTLS"], "MAIL FROM:<a@b>", "503 5.5.1"),
        (&["EHLO a", "STARTTLS"], "AUTH PLAIN", "503 5.5.1"),
        (secured, "STARTTLS", "503 5.5.1"),
        (secured, "MAIL FROM:<a@b>", "530 5.7.0"),
        (secured, "XCLIENT NAME=x", "550 5.7.0"),
        (authenticated, "AUTH PLAIN", "503 5.5.1"),
        (authenticated, "RCPT TO:<a@b>", "503 5.5.1"),
        (authenticated, "DATA", "503 5.5.1"),
        (authenticated, "BDAT 5 LAST", "503 5.5.1"),
        (in_mail, "MAIL FROM:<a@b>", "503 5.5.1"),
        (in_mail, "DATA", "554 5.5.1"),
        (in_mail, "BDAT 5 LAST", "554 5.5.1"),
        (in_mail, "RCPT TO:<用户@b>", "553 5.6.7"),
        (in_mail, "RCPT TO:<a@b> NOTIFY=NEVER", "ok"),
    ];
    for (before, line, reply) in cases {
        assert_eq!(
            ask(&after(SUBMISSION, before), line),
            reply,
            "{before:?} {line}"
        );
    }
}

#[test]
fn refuses_within_a_transaction_what_would_change_who_speaks() {
    let session = after(OPEN, &["EHLO a", "MAIL FROM:<a@b> SMTPUTF8"]);
    for line in ["STARTTLS", "AUTH PLAIN", "XCLIENT NAME=x"] {
        assert_eq!(ask(&session, line), "503 5.5.1", "{line}");
    }
    assert_eq!(ask(&session, "RCPT TO:<用户@b>"), "ok");
}

#[test]
fn a_message_that_comes_by_bdat_comes_by_nothing_else() {
    let envelope: &[&str] = &["EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<c@d>"];
    let mut session = after(OPEN, envelope);
    assert_eq!(ask(&session, "BDAT 5"), "ok");
    session.chunk_begun();
    for line in ["DATA", "RCPT TO:<e@f>", "MAIL FROM:<a@b>"] {
        assert_eq!(ask(&session, line), "503 5.5.1", "{line}");
    }
    for line in ["BDAT 0", "BDAT 5 LAST", "RSET", "NOOP"] {
        assert_eq!(ask(&session, line), "ok", "{line}");
    }
    session.transaction_ended();
    assert_eq!(ask(&session, "BDAT 5 LAST"), "503 5.5.1");
    let session = after(OPEN, &["HELO a", "MAIL FROM:<a@b>", "RCPT TO:<c@d>"]);
    assert_eq!(ask(&session, "BDAT 5 LAST"), "502 5.5.1");
}

#[test]
fn what_is_off_is_not_implemented() {
    let demands = Demands {
        tls: Demand::Off,
        auth: Demand::Off,
        ..OPEN
    };
    let session = after(demands, &["EHLO a"]);
    assert_eq!(
        (ask(&session, "STARTTLS"), ask(&session, "AUTH PLAIN")),
        ("502 5.5.1".into(), "502 5.5.1".into())
    );
    assert!(!session.offers_starttls() && !session.offers_auth());
}

#[test]
fn parameters_need_ehlo() {
    let session = after(OPEN, &["HELO a"]);
    assert_eq!(ask(&session, "MAIL FROM:<a@b> SIZE=1"), "555 5.5.4");
    let session = after(OPEN, &["HELO a", "MAIL FROM:<a@b>"]);
    assert_eq!(ask(&session, "RCPT TO:<a@b> NOTIFY=NEVER"), "555 5.5.4");
}

#[test]
fn tls_forgets_everything() {
    let mut session = after(OPEN, &["EHLO a", "AUTH PLAIN"]);
    assert!(session.is_authenticated());
    play(&mut session, "STARTTLS");
    assert_eq!(session, Session::new(OPEN, Transport::Tls));
    assert!(!session.offers_starttls());
}

#[test]
fn xclient_starts_over() {
    let mut session = after(OPEN, &["EHLO a", "XCLIENT NAME=x"]);
    assert_eq!(
        (session.greeting(), session.is_authenticated()),
        (None, false)
    );
    session.xclient_applied(XclientLogin::Given);
    assert!(session.is_authenticated() && !session.offers_auth());
    session.xclient_applied(XclientLogin::Untouched);
    assert!(session.is_authenticated());
    session.xclient_applied(XclientLogin::Cleared);
    assert!(!session.is_authenticated());
}

#[test]
fn offers_what_can_be_used() {
    let session = Session::new(SUBMISSION, Transport::Plain);
    assert!(session.offers_starttls() && !session.offers_auth() && !session.offers_xclient());
    let session = Session::new(SUBMISSION, Transport::Tls);
    assert!(!session.offers_starttls() && session.offers_auth());
}

#[test]
fn what_changes_the_meaning_of_octets_ends_a_group() {
    let session = after(OPEN, &["EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<c@d>"]);
    for line in ["STARTTLS", "AUTH PLAIN", "DATA", "XCLIENT NAME=x"] {
        let refusal = session
            .check(&Command::parse(line.as_bytes()).unwrap(), Buffered::More)
            .unwrap_err();
        assert_eq!(
            (refusal.reply.code(), refusal.then),
            (503, Then::Close),
            "{line}"
        );
    }
    for line in [
        "EHLO a",
        "RCPT TO:<e@f>",
        "BDAT 5 LAST",
        "RSET",
        "NOOP",
        "QUIT",
    ] {
        assert_eq!(
            session.check(&Command::parse(line.as_bytes()).unwrap(), Buffered::More),
            Ok(()),
            "{line}"
        );
    }
}
