//! Commands of RFC 5321, 1870, 3461, 4954 and 6531, and what is wrong with others.

use proptest::prelude::*;

use super::*;
use crate::ehlo::SizeLimit;
use crate::reply::Then;
use crate::{Capabilities, sasl};

fn refusal(line: &str) -> String {
    match Command::parse(line.as_bytes()) {
        Ok(command) => panic!("{line} is {command:?}"),
        Err(refusal) => {
            let enhanced = refusal.reply.enhanced().unwrap();
            format!("{} {enhanced}", refusal.reply.code())
        }
    }
}

fn mail(line: &str) -> MailCommand {
    match Command::parse(line.as_bytes()) {
        Ok(Command::Mail(mail)) => mail,
        other => panic!("{line}: {other:?}"),
    }
}

fn rcpt(line: &str) -> RcptCommand {
    match Command::parse(line.as_bytes()) {
        Ok(Command::Rcpt(rcpt)) => rcpt,
        other => panic!("{line}: {other:?}"),
    }
}

/// The line as we write it.
fn rewritten(line: &str) -> String {
    let command = Command::parse(line.as_bytes()).unwrap_or_else(|r| panic!("{line}: {}", r.reply));
    let mut out = Vec::new();
    command.write_to(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn reads_commands() {
    for (line, written) in [
        ("EHLO mail.example.jp", "EHLO mail.example.jp\r\n"),
        ("ehlo [192.0.2.1]  ", "EHLO [192.0.2.1]\r\n"),
        ("HELO my_pc", "HELO my_pc\r\n"),
        ("DATA", "DATA\r\n"),
        ("data ", "DATA\r\n"),
        ("RSET", "RSET\r\n"),
        ("NOOP anything é", "NOOP\r\n"),
        ("QUIT", "QUIT\r\n"),
        ("HELP mail", "HELP\r\n"),
        ("VRFY taro", "VRFY taro\r\n"),
        ("StartTLS", "STARTTLS\r\n"),
        ("BDAT 1000 last", "BDAT 1000 LAST\r\n"),
        ("BDAT 0", "BDAT 0\r\n"),
        ("AUTH login", "AUTH LOGIN\r\n"),
        (
            "AUTH PLAIN AHRpbQB0YW5zdGFhZg==",
            "AUTH PLAIN AHRpbQB0YW5zdGFhZg==\r\n",
        ),
        ("AUTH EXTERNAL =", "AUTH EXTERNAL =\r\n"),
        ("MAIL FROM:<>", "MAIL FROM:<>\r\n"),
        (
            "mail from:  <Smith@bar.com>  size=500000",
            "MAIL FROM:<Smith@bar.com> SIZE=500000\r\n",
        ),
        (
            "MAIL FROM:<a@b> RET=hdrs ENVID=QQ314159 BODY=8bitmime SMTPUTF8 AUTH=e+3Dmc2@example.com",
            "MAIL FROM:<a@b> BODY=8BITMIME SMTPUTF8 AUTH=e+3Dmc2@example.com RET=HDRS ENVID=QQ314159\r\n",
        ),
        (
            "MAIL FROM:<用户@例え.jp> SMTPUTF8 AUTH=<>",
            "MAIL FROM:<用户@例え.jp> SMTPUTF8 AUTH=<>\r\n",
        ),
        (
            "RCPT TO:<@hosta.int,@jkl.org:userc@d.bar.org>",
            "RCPT TO:<userc@d.bar.org>\r\n",
        ),
        ("RCPT TO:<postmaster>", "RCPT TO:<Postmaster>\r\n"),
        (
            "RCPT TO:<Bob@Big-Bucks.com> NOTIFY=success,FAILURE ORCPT=rfc822;Bob+20B@Big-Bucks.com",
            "RCPT TO:<Bob@Big-Bucks.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+20B@Big-Bucks.com\r\n",
        ),
        (
            "RCPT TO:<a@b> NOTIFY=never",
            "RCPT TO:<a@b> NOTIFY=NEVER\r\n",
        ),
        (
            "XCLIENT ADDR=192.0.2.1 NAME=[UNAVAILABLE]",
            "XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.1\r\n",
        ),
    ] {
        assert_eq!(rewritten(line), written, "{line}");
    }
}

#[test]
fn refuses_commands() {
    for (line, reply) in [
        ("", "500 5.5.2"),
        ("FOO", "500 5.5.2"),
        ("EHLOX a", "500 5.5.2"),
        ("MAILFROM:<a@b>", "500 5.5.2"),
        ("NOOP \0", "500 5.5.2"),
        ("EHLO\tx", "500 5.5.2"),
        ("ＥＨＬＯ x", "500 5.5.2"),
        ("GET / HTTP/1.1", "500 5.5.2"),
        ("EXPN list", "502 5.5.1"),
        ("ETRN x", "502 5.5.1"),
        ("TURN", "502 5.5.1"),
        ("EHLO", "501 5.5.4"),
        ("EHLO a b", "501 5.5.4"),
        ("HELO é", "501 5.5.4"),
        ("DATA x", "501 5.5.4"),
        ("STARTTLS now", "501 5.5.4"),
        ("VRFY", "501 5.5.4"),
        ("BDAT", "501 5.5.4"),
        ("BDAT -1", "501 5.5.4"),
        ("BDAT 18446744073709551616", "501 5.5.4"),
        ("BDAT 1 LAST 2", "501 5.5.4"),
        ("AUTH", "501 5.5.4"),
        ("AUTH PLA/IN", "501 5.5.4"),
        ("AUTH PLAIN AA== x", "501 5.5.4"),
        ("AUTH PLAIN A", "501 5.5.2"),
        ("AUTH PLAIN AA", "501 5.5.2"),
        ("AUTH PLAIN AB==", "501 5.5.2"),
        ("MAIL", "501 5.5.4"),
        ("MAIL FROM <a@b>", "501 5.5.4"),
        ("MAIL FROM :<a@b>", "501 5.5.4"),
        ("MAIL FROM:a@b", "501 5.1.7"),
        ("MAIL FROM:<a@b", "501 5.1.7"),
        ("MAIL FROM:<a@b>SIZE=1", "501 5.5.4"),
        ("MAIL FROM:<a@b> SIZE=1 size=2", "501 5.5.4"),
        ("MAIL FROM:<a@b> SIZE=", "501 5.5.4"),
        ("MAIL FROM:<a@b> SIZE=1x", "501 5.5.4"),
        ("MAIL FROM:<a@b> SIZE=+1", "501 5.5.4"),
        ("MAIL FROM:<a@b> SIZE=99999999999999999999", "552 5.3.4"),
        ("MAIL FROM:<a@b> SIZE=100000000000000000000", "501 5.5.4"),
        ("MAIL FROM:<a@b> BODY=BINARYMIME", "504 5.5.4"),
        ("MAIL FROM:<a@b> SMTPUTF8=1", "501 5.5.4"),
        ("MAIL FROM:<a@b> SMTPUTF8 SMTPUTF8", "501 5.5.4"),
        ("MAIL FROM:<a@b> AUTH=a+0Db", "501 5.5.4"),
        ("MAIL FROM:<a@b> RET=BODY", "501 5.5.4"),
        ("MAIL FROM:<a@b> ENVID=+0A", "501 5.5.4"),
        ("MAIL FROM:<a@b> ENVID=a=b", "501 5.5.4"),
        ("MAIL FROM:<a@b> NOTIFY=NEVER", "555 5.5.4"),
        ("MAIL FROM:<a@b> MT-PRIORITY=3", "555 5.5.4"),
        ("MAIL FROM:<用户@example.jp>", "550 5.6.7"),
        ("RCPT TO:<>", "501 5.1.3"),
        ("RCPT TO:<a@b..c>", "501 5.1.3"),
        ("RCPT FROM:<a@b>", "501 5.5.4"),
        ("RCPT TO:<a@b> SIZE=1", "555 5.5.4"),
        ("RCPT TO:<a@b> NOTIFY=NEVER,DELAY", "501 5.5.4"),
        ("RCPT TO:<a@b> NOTIFY=DELAY,DELAY", "501 5.5.4"),
        ("RCPT TO:<a@b> NOTIFY=", "501 5.5.4"),
        ("RCPT TO:<a@b> ORCPT=rfc822", "501 5.5.4"),
        ("RCPT TO:<a@b> ORCPT=rfc822;", "501 5.5.4"),
        ("RCPT TO:<a@b> ORCPT=rfc822;a+0", "501 5.5.4"),
        ("RCPT TO:<a@b> ORCPT=rfc822;a ORCPT=rfc822;a", "501 5.5.4"),
        ("XCLIENT", "501 5.5.4"),
        ("XCLIENT FOO=bar", "501 5.5.4"),
    ] {
        assert_eq!(refusal(line), reply, "{line}");
    }
    assert!(Command::parse(b"EHLO \xFF").is_err());
}

#[test]
fn a_chunk_of_unknown_length_closes_the_connection() {
    for line in [&b"BDAT x"[..], b"BDAT", b"BDAT 99999999999999999999"] {
        assert_eq!(Command::parse(line).unwrap_err().then, Then::Close);
    }
}

#[test]
fn decodes_parameters() {
    let params = mail("MAIL FROM:<a@b> ENVID=a+20b AUTH=+3Cx+3E SIZE=18446744073709551615").params;
    assert_eq!(params.envid.as_deref(), Some("a b"));
    assert_eq!(params.auth, Some(Submitter::Claimed("<x>".to_owned())));
    assert_eq!(params.size, Some(u64::MAX));
    let params = rcpt("RCPT TO:<a@b> ORCPT=utf-8;用户@例え.jp NOTIFY=DELAY").params;
    let orcpt = params.orcpt.unwrap();
    assert_eq!(
        (orcpt.address_type(), orcpt.encoded()),
        ("utf-8", "用户@例え.jp")
    );
    assert_eq!(
        params.notify,
        Some(Notify::On {
            success: false,
            failure: false,
            delay: true
        })
    );
    assert!(!rcpt("RCPT TO:<a@b> ORCPT=utf-8;用户@例え.jp").is_ascii());
}

#[test]
fn secrets_do_not_show() {
    let command = Command::parse(b"AUTH PLAIN AHRpbQB0YW5zdGFhZg==").unwrap();
    assert_eq!(
        format!("{command:?}"),
        "Auth(AuthCommand { mechanism: \"PLAIN\", initial: Some(Secret(..)) })"
    );
    let Command::Auth(AuthCommand {
        initial: Some(initial),
        ..
    }) = command
    else {
        panic!()
    };
    assert_eq!(initial.expose(), b"\0tim\0tanstaaf");
    assert_eq!(
        sasl::encode_base64(initial.expose()).expose(),
        b"AHRpbQB0YW5zdGFhZg=="
    );
}

#[test]
fn leaves_out_what_the_next_hop_does_not_offer() {
    let full = mail("MAIL FROM:<a@b> SIZE=1000 BODY=8BITMIME AUTH=<> RET=FULL ENVID=x");
    let bare = Capabilities::default();
    assert_eq!(full.for_next_hop(&bare).unwrap(), mail("MAIL FROM:<a@b>"));
    let all = Capabilities {
        size: Some(SizeLimit::Octets(1000)),
        eight_bit_mime: true,
        dsn: true,
        auth: vec!["PLAIN".to_owned()],
        ..Capabilities::default()
    };
    assert_eq!(full.for_next_hop(&all).unwrap(), full);
    let small = Capabilities {
        size: Some(SizeLimit::Octets(999)),
        ..Capabilities::default()
    };
    assert_eq!(full.for_next_hop(&small), Err(Missing::Size));
    let international = mail("MAIL FROM:<é@b> SMTPUTF8");
    assert_eq!(international.for_next_hop(&all), Err(Missing::SmtpUtf8));
    let dsn = rcpt("RCPT TO:<a@b> NOTIFY=NEVER ORCPT=rfc822;x");
    assert_eq!(dsn.for_next_hop(&bare), rcpt("RCPT TO:<a@b>"));
    assert_eq!(dsn.for_next_hop(&all), dsn);
}

proptest! {
    /// A command that parses is one line, and parses to itself when written.
    #[test]
    fn rewriting_is_stable(line in "(MAIL FROM:|RCPT TO:|EHLO |AUTH PLAIN |XCLIENT |BDAT )(<[a-c@.\"é]{0,6}>|[a-c0-9=]{1,9})( [A-Z]{2,5}=?[ -~é]{0,8}| SMTPUTF8| ORCPT=utf-8;é| NAME=[+A-F0-9]{1,6}){0,3}") {
        if let Ok(command) = Command::parse(line.as_bytes()) {
            let mut out = Vec::new();
            command.write_to(&mut out).unwrap();
            let text = out.strip_suffix(b"\r\n").unwrap();
            prop_assert!(memchr::memchr3(b'\r', b'\n', 0, text).is_none());
            prop_assert_eq!(Command::parse(text), Ok(command));
        }
    }
}
