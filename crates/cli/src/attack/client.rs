//! One SMTP session that sends one message, as a mail program or a bot would.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use sekisho_policy::DecisionId;
use sekisho_smtp::Reply;
use sekisho_smtp::data::Encoder;
use sekisho_smtp::proxy_protocol::{self, ProxyHeader};
use sekisho_smtp::reply::{ReplyLimits, ReplyParser, ReplyProgress};
use sekisho_smtp::sasl::{ClientExchange, ClientStep, Credentials, Mechanism, Secret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A session that takes longer has failed.
const WITHIN: Duration = Duration::from_secs(30);

/// One message to be submitted.
#[derive(Debug, Clone)]
pub(super) struct Submission<'a> {
    pub(super) to: SocketAddr,
    /// The address that the client comes from.
    pub(super) from: IpAddr,
    pub(super) login: &'a str,
    pub(super) password: &'a str,
    pub(super) recipients: &'a [String],
    pub(super) message: &'a [u8],
}

/// What became of it, as the client sees it.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// The last word: the final reply, or the one after which there was nothing left to do.
    pub(super) code: u16,
    /// The decision or record that the reply names.
    pub(super) id: Option<DecisionId>,
    /// Recipients that were taken, if the message was.
    pub(super) reached: usize,
    /// The first refusal of a recipient of a message that was taken all the same.
    pub(super) held_back: Option<DecisionId>,
}

impl Submission<'_> {
    /// Goes through the session.
    ///
    /// # Errors
    /// The connection fails, which is nobody's refusal.
    pub(super) async fn run(&self) -> Result<Answer> {
        timeout(WITHIN, self.converse())
            .await
            .unwrap_or_else(|_| bail!("no answer within {} s", WITHIN.as_secs()))
            .with_context(|| self.to.to_string())
    }

    async fn converse(&self) -> Result<Answer> {
        let mut wire = Wire::connect(self.to, self.from).await?;
        let greeting = wire.read().await?;
        if !greeting.is_completion() {
            return Ok(last_word(&greeting));
        }
        wire.ask(b"EHLO [192.0.2.25]\r\n").await?;
        let credentials = Credentials {
            authorization: None,
            authentication: self.login.to_owned(),
            password: Secret::new(self.password.as_bytes().to_vec()),
        };
        let (mut exchange, command) = ClientExchange::start(Mechanism::Plain, &credentials);
        let mut reply = wire.ask(command.expose()).await?;
        while let (true, ClientStep::Send(line)) = (reply.is_intermediate(), exchange.answer()) {
            reply = wire.ask(line.expose()).await?;
        }
        if !reply.is_completion() {
            return Ok(last_word(&reply));
        }
        let size = self.message.len();
        let reply = wire
            .ask(format!("MAIL FROM:<{}> SIZE={size}\r\n", self.login).as_bytes())
            .await?;
        if !reply.is_completion() {
            return Ok(last_word(&reply));
        }
        let (mut reached, mut refused) = (0, None);
        for recipient in self.recipients {
            let reply = wire
                .ask(format!("RCPT TO:<{recipient}>\r\n").as_bytes())
                .await?;
            if reply.is_completion() {
                reached += 1;
            } else {
                refused.get_or_insert(reply);
            }
        }
        if let (0, Some(refused)) = (reached, &refused) {
            return Ok(last_word(refused));
        }
        let held_back = refused.as_ref().and_then(id);
        let reply = wire.ask(b"DATA\r\n").await?;
        if !reply.is_intermediate() {
            return Ok(last_word(&reply));
        }
        let reply = wire.message(self.message).await?;
        let reached = if reply.is_completion() { reached } else { 0 };
        Ok(Answer {
            reached,
            held_back,
            ..last_word(&reply)
        })
    }
}

fn last_word(reply: &Reply) -> Answer {
    Answer {
        code: reply.code(),
        id: id(reply),
        reached: 0,
        held_back: None,
    }
}

/// The id in brackets at the end of a reply.
fn id(reply: &Reply) -> Option<DecisionId> {
    let text = reply.text();
    let (_, tail) = text.rsplit_once('[')?;
    tail.trim_end().strip_suffix(']')?.parse().ok()
}

struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Wire {
    async fn connect(to: SocketAddr, from: IpAddr) -> Result<Self> {
        let mut stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let mut header = Vec::new();
        let proxied = ProxyHeader::Proxied {
            source: SocketAddr::new(from, 40_000),
            destination: to,
        };
        proxy_protocol::write_v2(&proxied, &mut header);
        stream.write_all(&header).await?;
        Ok(Self {
            stream,
            received: Vec::new(),
        })
    }

    async fn ask(&mut self, line: &[u8]) -> Result<Reply> {
        self.stream.write_all(line).await?;
        self.read().await
    }

    async fn message(&mut self, message: &[u8]) -> Result<Reply> {
        let (mut encoder, mut octets) = (Encoder::new(), Vec::with_capacity(message.len() + 64));
        encoder.encode_into(message, &mut octets);
        octets.extend_from_slice(encoder.finish());
        self.stream.write_all(&octets).await?;
        self.read().await
    }

    async fn read(&mut self) -> Result<Reply> {
        let mut parser = ReplyParser::new(ReplyLimits::default());
        loop {
            match parser.feed(&self.received)? {
                ReplyProgress::Done { consumed, reply } => {
                    self.received.drain(..consumed);
                    return Ok(reply);
                }
                ReplyProgress::NeedMore => self.received.clear(),
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                bail!("the connection was closed");
            }
        }
    }
}
