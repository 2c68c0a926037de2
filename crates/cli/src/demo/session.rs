//! One conversation of a built-in relay: it refuses no mail, and answers commands that come together in one piece.

use std::net::SocketAddr;
use std::time::Duration;

use sekisho_api::Arrived;
use sekisho_policy::Timestamp;
use sekisho_runtime::Shutdown;
use sekisho_smtp::data::DataProgress;
use sekisho_smtp::ehlo::SizeLimit;
use sekisho_smtp::grammar::{
    AuthOver, Buffered, Demand, Demands, Greeting, Session, Transport, Xclient,
};
use sekisho_smtp::line::{self, Expect, LineReader, LineStep};
use sekisho_smtp::reply::{Refusal, Then};
use sekisho_smtp::{Capabilities, Command, Reply, ReversePath};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Relay;
use super::message::Message;

/// A client that says nothing for so long is gone (RFC 5321 4.5.3.2.7).
const IDLE: Duration = Duration::from_secs(5 * 60);
/// Recipients of one message that are kept; RFC 5321 4.5.3.1.8 wants 100 at least.
const MAX_RECIPIENTS: usize = 1000;
const READ: usize = 16 * 1024;

const DEMANDS: Demands = Demands {
    tls: Demand::Off,
    auth: Demand::Off,
    auth_over: AuthOver::AnyTransport,
    xclient: Xclient::Refused,
};

/// What the next octets are.
enum Expecting {
    Commands,
    Message(Box<Message>),
}

struct Conversation<'a> {
    relay: &'a Relay,
    peer: SocketAddr,
    session: Session,
    lines: LineReader,
    expecting: Expecting,
    helo: String,
    sender: String,
    recipients: Vec<String>,
    replies: Vec<u8>,
    closing: bool,
}

/// Talks until the client leaves, falls silent, or the process drains.
pub(super) async fn serve(
    mut stream: TcpStream,
    peer: SocketAddr,
    relay: &Relay,
    shutdown: &Shutdown,
) -> std::io::Result<()> {
    let mut talk = Conversation::new(relay, peer);
    let mut buffer = Vec::with_capacity(READ);
    talk.say(&Reply::plain(
        220,
        format!("{} ESMTP demo relay", relay.settings.name),
    ));
    loop {
        stream.write_all(&talk.replies).await?;
        talk.replies.clear();
        if talk.closing {
            return stream.shutdown().await;
        }
        let read = tokio::select! {
            read = timeout(IDLE, stream.read_buf(&mut buffer)) => read,
            () = shutdown.draining(), if talk.is_idle() => {
                talk.close(&Reply::new(421, (4, 3, 2), "The demo relay is going away"));
                continue;
            }
            () = shutdown.aborting() => return Ok(()),
        };
        match read {
            Ok(Ok(0)) => return Ok(()),
            Ok(Ok(_)) => talk.take(&mut buffer),
            Ok(Err(error)) => return Err(error),
            Err(_) => talk.close(&Reply::new(421, (4, 4, 2), "Nothing was said for too long")),
        }
    }
}

impl<'a> Conversation<'a> {
    fn new(relay: &'a Relay, peer: SocketAddr) -> Self {
        Self {
            relay,
            peer,
            session: Session::new(DEMANDS, Transport::Plain),
            lines: LineReader::new(),
            expecting: Expecting::Commands,
            helo: String::new(),
            sender: String::new(),
            recipients: Vec::new(),
            replies: Vec::new(),
            closing: false,
        }
    }

    fn is_idle(&self) -> bool {
        matches!(self.expecting, Expecting::Commands) && !self.session.in_transaction()
    }

    /// Works through everything that was received, and leaves what is incomplete.
    fn take(&mut self, buffer: &mut Vec<u8>) {
        while !self.closing {
            let consumed = match &mut self.expecting {
                Expecting::Commands => self.take_line(buffer),
                Expecting::Message(message) => match message.feed(buffer) {
                    DataProgress::More => {
                        buffer.clear();
                        None
                    }
                    DataProgress::End { consumed } => {
                        self.end_message();
                        Some(consumed)
                    }
                },
            };
            match consumed {
                Some(consumed) => drop(buffer.drain(..consumed)),
                None => return,
            }
        }
    }

    /// Takes one line; `None` when there is none yet.
    fn take_line(&mut self, buffer: &[u8]) -> Option<usize> {
        match self.lines.next(buffer, Expect::Command) {
            LineStep::NeedMore { consumed: 0 } => None,
            LineStep::NeedMore { consumed } => Some(consumed),
            LineStep::Line { line, consumed } => {
                let buffered = if buffer.len() > consumed {
                    Buffered::More
                } else {
                    Buffered::Nothing
                };
                match Command::parse(line).and_then(|command| self.act(&command, buffered)) {
                    Ok(reply) => self.say(&reply),
                    Err(refusal) => self.refuse(&refusal),
                }
                Some(consumed)
            }
            LineStep::Fault { error, consumed } => {
                self.refuse(&line::refusal(error));
                Some(consumed)
            }
        }
    }

    fn act(&mut self, command: &Command, buffered: Buffered) -> Result<Reply, Refusal> {
        self.session.check(command, buffered)?;
        Ok(match command {
            Command::Ehlo(name) => {
                self.greet(Greeting::Ehlo, name.as_str());
                capabilities().to_reply(&self.relay.settings.name, "takes everything")
            }
            Command::Helo(name) => {
                self.greet(Greeting::Helo, name.as_str());
                Reply::plain(250, self.relay.settings.name.clone())
            }
            Command::Mail(mail) => {
                self.session.mail_accepted(mail);
                self.sender = match &mail.path {
                    ReversePath::Null => String::new(),
                    ReversePath::Mailbox(mailbox) => mailbox.to_string(),
                };
                Reply::new(250, (2, 1, 0), "Sender taken")
            }
            Command::Rcpt(_) if self.recipients.len() == MAX_RECIPIENTS => {
                Reply::new(452, (4, 5, 3), "Too many recipients")
            }
            Command::Rcpt(rcpt) => {
                self.session.recipient_accepted();
                self.recipients.push(
                    rcpt.path
                        .mailbox()
                        .map_or_else(|| "postmaster".to_owned(), ToString::to_string),
                );
                Reply::new(250, (2, 1, 5), "Recipient taken")
            }
            Command::Data => {
                self.expecting = Expecting::Message(Box::new(Message::new()));
                Reply::plain(354, "End with a dot on a line of its own")
            }
            Command::Rset => {
                self.forget_transaction();
                Reply::new(250, (2, 0, 0), "Forgotten")
            }
            Command::Noop => Reply::new(250, (2, 0, 0), "Nothing done"),
            Command::Vrfy(_) => Reply::new(252, (2, 0, 0), "Send it, and see"),
            Command::Help => Reply::new(
                214,
                (2, 0, 0),
                "A demo relay: it takes everything and delivers nothing",
            ),
            Command::Quit => {
                self.closing = true;
                Reply::new(221, (2, 0, 0), "Goodbye")
            }
            Command::StartTls | Command::Auth(_) | Command::Bdat(_) | Command::Xclient(_) => {
                Reply::new(502, (5, 5, 1), "The demo relay does not offer this")
            }
        })
    }

    fn greet(&mut self, greeting: Greeting, name: &str) {
        self.session.greeted(greeting);
        self.forget_transaction();
        name.clone_into(&mut self.helo);
    }

    fn end_message(&mut self) {
        let Expecting::Message(message) =
            std::mem::replace(&mut self.expecting, Expecting::Commands)
        else {
            return;
        };
        let queue_id = self.relay.next_queue_id();
        self.relay.inbox.push(Arrived {
            at: Timestamp(self.relay.clock.now_ms()),
            relay: self.relay.settings.name.clone(),
            class: None,
            record: None,
            from_address: self.peer.ip(),
            helo: self.helo.clone(),
            sender: std::mem::take(&mut self.sender),
            recipients: std::mem::take(&mut self.recipients),
            subject: message.subject(),
            size: message.size(),
            queue_id: queue_id.clone(),
        });
        self.session.transaction_ended();
        self.say(&Reply::new(
            250,
            (2, 0, 0),
            format!("Ok: queued as {queue_id}"),
        ));
    }

    fn forget_transaction(&mut self) {
        self.session.transaction_ended();
        self.sender.clear();
        self.recipients.clear();
    }

    fn say(&mut self, reply: &Reply) {
        reply.write_to(&mut self.replies);
    }

    fn refuse(&mut self, refusal: &Refusal) {
        self.say(&refusal.reply);
        self.closing |= refusal.then == Then::Close;
    }

    fn close(&mut self, reply: &Reply) {
        self.say(reply);
        self.closing = true;
    }
}

fn capabilities() -> Capabilities {
    Capabilities {
        size: Some(SizeLimit::Unstated),
        pipelining: true,
        eight_bit_mime: true,
        smtputf8: true,
        dsn: true,
        enhanced_status_codes: true,
        ..Capabilities::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use sekisho_api::Inbox;
    use sekisho_runtime::Clock;

    use super::*;
    use sekisho_compile::files::DemoRelay;

    fn relay() -> Relay {
        Relay {
            settings: DemoRelay {
                name: "clean".into(),
                address: "127.0.0.1:1".parse().unwrap(),
            },
            clock: Clock::manual(1),
            inbox: Inbox::default(),
            queued: AtomicU64::new(0),
        }
    }

    /// Feeds each flight in pieces of `size`, and returns the codes of the replies. A flight ends where a client waits.
    fn codes(flights: &[&str], size: usize) -> Vec<String> {
        let relay = relay();
        let mut talk = Conversation::new(&relay, "127.0.0.2:5".parse().unwrap());
        let mut buffer = Vec::new();
        for piece in flights
            .iter()
            .flat_map(|flight| flight.as_bytes().chunks(size))
        {
            buffer.extend_from_slice(piece);
            talk.take(&mut buffer);
        }
        let replies = String::from_utf8(talk.replies).unwrap();
        replies
            .lines()
            .filter(|line| line.as_bytes()[3] == b' ')
            .map(|line| line[..3].to_owned())
            .collect()
    }

    #[test]
    fn a_pipelined_conversation_gets_the_same_answers_however_it_is_cut() {
        let flights = [
            "EHLO me\r\n",
            "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<bad>\r\nDATA\r\n",
            "Subject: x\r\n\r\n..\r\n.\r\nRSET\r\nQUIT\r\n",
        ];
        let whole = codes(&flights, usize::MAX);
        assert_eq!(
            whole,
            ["250", "250", "250", "501", "354", "250", "250", "221"].map(str::to_owned)
        );
        for size in 1..8 {
            assert_eq!(codes(&flights, size), whole, "in pieces of {size}");
        }
    }

    #[test]
    fn a_transaction_needs_its_commands_in_order() {
        let flights = [
            "EHLO me\r\n",
            "RCPT TO:<a@b.example>\r\n",
            "NOOP\r\n",
            "DATA\r\n",
        ];
        assert_eq!(
            codes(&flights, 9),
            ["250", "503", "250", "503"].map(str::to_owned)
        );
    }
}
