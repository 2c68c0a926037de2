//! A client that sends each message until it was told 250, and notes what became of each attempt.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use sekisho_testkit::PATIENCE;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::dice::Dice;

/// So many attempts, and a message that did not pass never will.
const MOST_ATTEMPTS: u64 = 200;

/// What a client knows of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// 250 to the end of the message.
    Taken,
    /// Another whole reply.
    Refused(String),
    /// The connection broke before anything of the message's end was written.
    Unsent,
    /// It broke after that and before a whole reply: nobody can say.
    Unanswered,
}

/// One attempt to send one message.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) message: u64,
    /// `MESSAGE.NUMBER`: no other is called so.
    pub(super) name: String,
    pub(super) told: Told,
    /// Those that were accepted.
    pub(super) recipients: Vec<String>,
}

pub(super) struct Client {
    doors: Vec<SocketAddr>,
    dice: Dice,
    wire: Option<BufReader<TcpStream>>,
    /// Of the attempt that is under way.
    recipients: Vec<String>,
    end_is_out: bool,
}

impl Client {
    pub(super) fn new(doors: Vec<SocketAddr>, dice: Dice) -> Self {
        Self {
            doors,
            dice,
            wire: None,
            recipients: Vec::new(),
            end_is_out: false,
        }
    }

    /// Sends these messages one after another; counts each attempt.
    pub(super) async fn send_all(
        mut self,
        messages: impl Iterator<Item = u64>,
        made: watch::Sender<u64>,
    ) -> Vec<Attempt> {
        let mut attempts = Vec::new();
        for message in messages {
            for number in 0.. {
                assert!(
                    number < MOST_ATTEMPTS,
                    "message {message} does not pass: {:?}",
                    attempts.last()
                );
                let attempt = self.attempt(message, number).await;
                made.send_modify(|made| *made += 1);
                let is_taken = attempt.told == Told::Taken;
                attempts.push(attempt);
                if is_taken {
                    break;
                }
                // Nobody tries again at once.
                sleep(Duration::from_millis(5 + self.dice.below(20))).await;
            }
        }
        attempts
    }

    async fn attempt(&mut self, message: u64, number: u64) -> Attempt {
        let name = format!("{message}.{number}");
        (self.recipients, self.end_is_out) = (Vec::new(), false);
        let told = match self.send(message, &name).await {
            Ok(told) => told,
            Err(_) if self.end_is_out => Told::Unanswered,
            Err(_) => Told::Unsent,
        };
        if told != Told::Taken {
            self.wire = None;
        }
        Attempt {
            message,
            name,
            told,
            recipients: std::mem::take(&mut self.recipients),
        }
    }

    async fn send(&mut self, message: u64, name: &str) -> io::Result<Told> {
        if self.wire.is_none() {
            self.connect().await?;
        }
        let chunked = self.dice.one_in(4);
        let mut commands = vec!["MAIL FROM:<a@example.jp>".to_owned()];
        let recipients = recipients(message);
        commands.extend(recipients.iter().map(|to| format!("RCPT TO:<{to}>")));
        if !chunked {
            commands.push("DATA".to_owned());
        }
        let pipelined = self.dice.one_in(2);
        if pipelined {
            self.write(format!("{}\r\n", commands.join("\r\n")).as_bytes())
                .await?;
        }
        for command in &commands {
            if !pipelined {
                self.write(format!("{command}\r\n").as_bytes()).await?;
            }
            let reply = self.reply().await?;
            let recipient = command
                .strip_prefix("RCPT TO:<")
                .map(|to| to.trim_end_matches('>'));
            match (recipient, reply.as_bytes().first()) {
                (Some(to), Some(b'2')) => self.recipients.push(to.to_owned()),
                (Some(_), Some(b'5')) | (None, Some(b'2' | b'3')) => {}
                _ => return Ok(Told::Refused(reply)),
            }
        }
        let content = content(message, name);
        if chunked {
            self.send_chunks(&content).await
        } else {
            self.send_lines(&content).await
        }
    }

    /// With DATA; half of the time the dot comes by itself.
    async fn send_lines(&mut self, content: &[u8]) -> io::Result<Told> {
        let text = String::from_utf8_lossy(content);
        let mut stuffed = text.replace("\r\n.", "\r\n..").into_bytes();
        if self.dice.one_in(2) {
            self.write(&stuffed).await?;
            stuffed.clear();
        }
        stuffed.extend_from_slice(b".\r\n");
        self.end_is_out = true;
        self.write(&stuffed).await?;
        self.verdict().await
    }

    /// With BDAT, in two chunks.
    async fn send_chunks(&mut self, content: &[u8]) -> io::Result<Told> {
        let (first, last) = content.split_at(content.len() / 2);
        self.write(format!("BDAT {}\r\n", first.len()).as_bytes())
            .await?;
        self.write(first).await?;
        let reply = self.reply().await?;
        if !reply.starts_with("250") {
            return Ok(Told::Refused(reply));
        }
        self.end_is_out = true;
        self.write(format!("BDAT {} LAST\r\n", last.len()).as_bytes())
            .await?;
        self.write(last).await?;
        self.verdict().await
    }

    async fn verdict(&mut self) -> io::Result<Told> {
        let reply = self.reply().await?;
        Ok(if reply.starts_with("250") {
            Told::Taken
        } else {
            Told::Refused(reply)
        })
    }

    async fn connect(&mut self) -> io::Result<()> {
        let door = self.dice.below(self.doors.len() as u64);
        let stream = TcpStream::connect(self.doors[usize::try_from(door).unwrap()]).await?;
        stream.set_nodelay(true)?;
        self.wire = Some(BufReader::new(stream));
        for (command, code) in [("", "220"), ("EHLO client.example\r\n", "250")] {
            self.write(command.as_bytes()).await?;
            if !self.reply().await?.starts_with(code) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
        }
        Ok(())
    }

    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let wire = self.wire.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        timeout(PATIENCE, wire.get_mut().write_all(octets)).await?
    }

    /// The last line of a whole reply.
    async fn reply(&mut self) -> io::Result<String> {
        let wire = self.wire.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        loop {
            let mut line = String::new();
            timeout(PATIENCE, wire.read_line(&mut line)).await??;
            let Some(text) = line.strip_suffix("\r\n") else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            if text.as_bytes().get(3) != Some(&b'-') {
                return Ok(text.to_owned());
            }
        }
    }
}

/// One or two, and sometimes one whom the next hops do not know.
fn recipients(message: u64) -> Vec<String> {
    let mut dice = Dice::of(message, 1);
    let mut to: Vec<String> = (0..=dice.below(2))
        .map(|n| format!("to{n}@example.net"))
        .collect();
    if dice.one_in(8) {
        to.push("nobody@example.net".to_owned());
    }
    to
}

/// What is sent in an attempt of this name.
fn content(message: u64, name: &str) -> Vec<u8> {
    let head = format!("From: <a@example.jp>\r\nX-Attempt: {name}\r\n\r\n");
    let mut content = head.into_bytes();
    content.extend(body(message));
    content
}

/// Some lines, now and then so many that they pass while they come in; some begin with a dot.
pub(super) fn body(message: u64) -> Vec<u8> {
    let mut dice = Dice::of(message, 2);
    let lines = if dice.one_in(40) {
        2_000 + dice.below(2_000)
    } else {
        1 + dice.below(30)
    };
    let line = |number| {
        let dot = if dice.one_in(10) { "." } else { "" };
        format!(
            "{dot}line {number} of message {message}: {}\r\n",
            dice.below(1 << 40)
        )
    };
    (0..lines).map(line).collect::<String>().into_bytes()
}
