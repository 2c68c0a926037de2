//! Whole conversations, octets in and octets out, over the public API alone: RFC 5321 appendix D and RFC 2920 section 5,
//! and what happens to those that break off the path.

use sekisho_smtp::data::{BareNewlines, DataProgress, Decoder};
use sekisho_smtp::grammar::{
    AuthOver, Buffered, Demand, Demands, Greeting, Session, Transport, Xclient,
};
use sekisho_smtp::line::{self, Expect, LineReader, LineStep};
use sekisho_smtp::{Capabilities, Command, ForwardPath, Refusal, Reply, Then};

/// A server that takes any mail but Green's and Brown's, as the RFCs' examples have them.
struct Server {
    session: Session,
    lines: LineReader,
    buffer: Vec<u8>,
    data: Option<Decoder>,
    message: Vec<u8>,
    messages: Vec<Vec<u8>>,
    said: Vec<u8>,
    open: bool,
}

impl Server {
    fn new() -> Self {
        let demands = Demands {
            tls: Demand::Off,
            auth: Demand::Off,
            auth_over: AuthOver::TlsOnly,
            xclient: Xclient::Refused,
        };
        Self {
            session: Session::new(demands, Transport::Plain),
            lines: LineReader::new(),
            buffer: Vec::new(),
            data: None,
            message: Vec::new(),
            messages: Vec::new(),
            said: Vec::new(),
            open: true,
        }
    }

    fn receive(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
        while self.open
            && if self.data.is_some() {
                self.take_data()
            } else {
                self.take_line()
            }
        {}
    }

    /// Whether there may be more to take.
    fn take_data(&mut self) -> bool {
        let Some(decoder) = &mut self.data else {
            return false;
        };
        let progress = decoder.decode_into(&self.buffer, &mut self.message);
        let DataProgress::End { consumed } = progress else {
            self.buffer.clear();
            return false;
        };
        self.buffer.drain(..consumed);
        self.data = None;
        self.session.transaction_ended();
        self.messages.push(std::mem::take(&mut self.message));
        self.say(&Reply::plain(250, "OK"));
        true
    }

    fn take_line(&mut self) -> bool {
        let buffer = std::mem::take(&mut self.buffer);
        let (consumed, result) = match self.lines.next(&buffer, Expect::Command) {
            LineStep::NeedMore { consumed } => (consumed, None),
            LineStep::Line { line, consumed } => (consumed, Some(Command::parse(line))),
            LineStep::Fault { error, consumed } => (consumed, Some(Err(line::refusal(error)))),
        };
        self.buffer = buffer[consumed..].to_vec();
        let more = result.is_some() || consumed > 0;
        match result {
            Some(Ok(command)) => self.act(&command),
            Some(Err(refusal)) => self.refuse(refusal),
            None => {}
        }
        more
    }

    fn act(&mut self, command: &Command) {
        let buffered = if self.buffer.is_empty() {
            Buffered::Nothing
        } else {
            Buffered::More
        };
        if let Err(refusal) = self.session.check(command, buffered) {
            return self.refuse(refusal);
        }
        match command {
            Command::Ehlo(name) => {
                self.session.greeted(Greeting::Ehlo);
                let ours = Capabilities {
                    pipelining: true,
                    ..Capabilities::default()
                };
                self.say(&ours.to_reply("foo.com", &format!("greets {}", name.as_str())));
            }
            Command::Mail(mail) => {
                self.session.mail_accepted(mail);
                self.say(&Reply::plain(250, "OK"));
            }
            Command::Rcpt(rcpt) => match &rcpt.path {
                ForwardPath::Mailbox(mailbox) if ["Green", "Brown"].contains(&mailbox.local()) => {
                    self.say(&Reply::plain(550, "No such user here"));
                }
                _ => {
                    self.session.recipient_accepted();
                    self.say(&Reply::plain(250, "OK"));
                }
            },
            Command::Data => {
                self.data = Some(Decoder::new(BareNewlines::Normalize));
                self.say(&Reply::plain(
                    354,
                    "Start mail input; end with <CRLF>.<CRLF>",
                ));
            }
            Command::Rset => {
                self.session.transaction_ended();
                self.say(&Reply::plain(250, "OK"));
            }
            Command::Quit => {
                self.say(&Reply::plain(
                    221,
                    "foo.com Service closing transmission channel",
                ));
                self.open = false;
            }
            _ => self.say(&Reply::plain(250, "OK")),
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.open = refusal.then == Then::Continue;
        self.say(&refusal.reply);
    }

    fn say(&mut self, reply: &Reply) {
        reply.write_to(&mut self.said);
    }
}

/// Plays a script of `C:` and `S:` lines; each run of `C:` lines is one flight.
fn play(script: &str) -> Server {
    let mut server = Server::new();
    let mut lines = script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .peekable();
    while lines.peek().is_some() {
        let flight: String =
            std::iter::from_fn(|| lines.next_if(|l| l.starts_with("C: ") || *l == "C:"))
                .map(|line| line.get(3..).unwrap_or("").to_owned() + "\r\n")
                .collect();
        let expected: String = std::iter::from_fn(|| lines.next_if(|line| line.starts_with("S: ")))
            .map(|line| line[3..].to_owned() + "\r\n")
            .collect();
        server.said.clear();
        server.receive(flight.as_bytes());
        assert_eq!(
            String::from_utf8_lossy(&server.said),
            expected,
            "after {flight}"
        );
    }
    server
}

#[test]
fn a_typical_transaction() {
    let server = play(
        "C: EHLO bar.com
         S: 250-foo.com greets bar.com
         S: 250 PIPELINING
         C: MAIL FROM:<Smith@bar.com>
         S: 250 OK
         C: RCPT TO:<Jones@foo.com>
         S: 250 OK
         C: RCPT TO:<Green@foo.com>
         S: 550 No such user here
         C: RCPT TO:<Brown@foo.com>
         S: 550 No such user here
         C: DATA
         S: 354 Start mail input; end with <CRLF>.<CRLF>
         C: Blah blah blah...
         C: ...etc. etc. etc.
         C: .
         S: 250 OK
         C: QUIT
         S: 221 foo.com Service closing transmission channel",
    );
    assert_eq!(
        server.messages,
        [b"Blah blah blah...\r\n..etc. etc. etc.\r\n"]
    );
}

#[test]
fn an_aborted_transaction() {
    let server = play(
        "C: EHLO bar.com
         S: 250-foo.com greets bar.com
         S: 250 PIPELINING
         C: MAIL FROM:<Smith@bar.com>
         S: 250 OK
         C: RCPT TO:<Green@foo.com>
         S: 550 No such user here
         C: RSET
         S: 250 OK
         C: QUIT
         S: 221 foo.com Service closing transmission channel",
    );
    assert!(server.messages.is_empty());
}

#[test]
fn two_messages_in_pipelined_groups() {
    let server = play(
        "C: EHLO bar.com
         S: 250-foo.com greets bar.com
         S: 250 PIPELINING
         C: MAIL FROM:<a@bar.com>
         C: RCPT TO:<Jones@foo.com>
         C: RCPT TO:<Brown@foo.com>
         C: DATA
         S: 250 OK
         S: 250 OK
         S: 550 No such user here
         S: 354 Start mail input; end with <CRLF>.<CRLF>
         C: one
         C: .
         C: MAIL FROM:<>
         C: RCPT TO:<Brown@foo.com>
         C: DATA
         S: 250 OK
         S: 250 OK
         S: 550 No such user here
         S: 554 5.5.1 No valid recipients
         C: RSET
         C: MAIL FROM:<b@bar.com>
         C: RCPT TO:<Jones@foo.com>
         C: DATA
         S: 250 OK
         S: 250 OK
         S: 250 OK
         S: 354 Start mail input; end with <CRLF>.<CRLF>
         C: .
         C: QUIT
         S: 250 OK
         S: 221 foo.com Service closing transmission channel",
    );
    assert_eq!(server.messages, [b"one\r\n".to_vec(), Vec::new()]);
}

#[test]
fn a_body_sent_unasked_is_never_read_as_commands() {
    let server = play(
        "C: EHLO bar.com
         S: 250-foo.com greets bar.com
         S: 250 PIPELINING
         C: MAIL FROM:<a@bar.com>
         S: 250 OK
         C: DATA
         C: MAIL FROM:<evil@bar.com>
         C: .
         S: 503 5.5.1 Improper pipelining",
    );
    assert!(!server.open && server.messages.is_empty());
}

#[test]
fn a_smuggled_second_message_stays_in_the_first() {
    let mut server = Server::new();
    server.receive(b"EHLO a\r\n");
    server.receive(b"MAIL FROM:<a@bar.com>\r\nRCPT TO:<Jones@foo.com>\r\nDATA\r\n");
    server.receive(b"one\n.\nMAIL FROM:<evil@bar.com>\r\nRCPT TO:<x@foo.com>\r\nDATA\r\ntwo\r.\r\n\r\n.\r\nQUIT\r\n");
    assert_eq!(server.messages.len(), 1);
    assert!(!server.open);
}

#[test]
fn a_bare_newline_in_a_command_closes() {
    let mut server = Server::new();
    server.receive(b"EHLO a\nMAIL FROM:<a@b>\r\nQUIT\r\n");
    assert_eq!(server.said, b"500 5.5.2 Lines must end with CRLF\r\n");
    assert!(!server.open);
}
