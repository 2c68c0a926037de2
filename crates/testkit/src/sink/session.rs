//! One session of the sink.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::fault::{At, Fault};
use super::{Received, Shared, SinkSetup};

pub(super) struct About {
    pub(super) client: SocketAddr,
    pub(super) connection: u64,
    pub(super) setup: Arc<SinkSetup>,
    pub(super) shared: Arc<Shared>,
}

/// What to do after a command.
enum Next {
    GoOn,
    UpgradeToTls,
    End,
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Wire for S {}

struct Session<'a> {
    wire: BufReader<Box<dyn Wire>>,
    about: &'a About,
    tls: bool,
    helo: String,
    user: Option<String>,
    xclient: Vec<String>,
    mail: Option<String>,
    rcpts: Vec<String>,
}

/// Serves until the client leaves; errors of the wire end the session like a client that left.
pub(super) async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, about: About) {
    let _ = converse(stream, acceptor, &about).await;
}

async fn converse(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    about: &About,
) -> io::Result<()> {
    let mut session = Session::over(Box::new(stream), about, false);
    if let Next::End = session.answer(At::Greeting, "220 sink.test ESMTP").await? {
        return Ok(());
    }
    match (session.commands().await?, acceptor) {
        (Next::UpgradeToTls, Some(acceptor)) => {
            let stream = acceptor.accept(session.wire.into_inner()).await?;
            Session::over(Box::new(stream), about, true)
                .commands()
                .await
                .map(|_| ())
        }
        _ => Ok(()),
    }
}

impl<'a> Session<'a> {
    fn over(wire: Box<dyn Wire>, about: &'a About, tls: bool) -> Self {
        Session {
            wire: BufReader::new(wire),
            about,
            tls,
            helo: String::new(),
            user: None,
            xclient: Vec::new(),
            mail: None,
            rcpts: Vec::new(),
        }
    }

    async fn commands(&mut self) -> io::Result<Next> {
        loop {
            let line = self.line().await?;
            self.about.shared.state().commands.push(line.clone());
            match self.command(&line).await? {
                Next::GoOn => {}
                end => return Ok(end),
            }
        }
    }

    async fn command(&mut self, line: &str) -> io::Result<Next> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" | "HELO" => self.ehlo(verb, rest).await,
            "STARTTLS" if self.about.setup.tls.is_some() && !self.tls => {
                match self.answer(At::StartTls, "220 2.0.0 go ahead").await? {
                    Next::GoOn => Ok(Next::UpgradeToTls),
                    end => Ok(end),
                }
            }
            "AUTH" => self.auth(rest).await,
            "XCLIENT" => {
                self.xclient.push(rest.to_owned());
                // As Postfix does: the session begins anew, with a greeting.
                self.reset();
                self.answer(At::Xclient, "220 sink.test ESMTP").await
            }
            "MAIL" => self.mail(rest).await,
            "RCPT" => self.rcpt(rest).await,
            "DATA" => self.data().await,
            "RSET" => {
                self.reset();
                self.answer(At::Rset, "250 2.0.0 ok").await
            }
            "NOOP" => self.say("250 2.0.0 ok").await,
            "QUIT" => {
                self.answer(At::Quit, "221 2.0.0 bye").await?;
                Ok(Next::End)
            }
            _ => self.say("502 5.5.1 not here").await,
        }
    }

    async fn ehlo(&mut self, verb: &str, name: &str) -> io::Result<Next> {
        self.helo = name.to_owned();
        self.reset();
        if verb.eq_ignore_ascii_case("HELO") {
            return self.answer(At::Ehlo, "250 sink.test").await;
        }
        let setup = &self.about.setup;
        let mut lines = vec!["sink.test".to_owned()];
        lines.extend(setup.keywords.iter().cloned());
        if setup.tls.is_some() && !self.tls {
            lines.push("STARTTLS".to_owned());
        }
        if !setup.accounts.is_empty() {
            lines.push("AUTH PLAIN LOGIN".to_owned());
        }
        let last = lines.pop().unwrap_or_default();
        let mut reply: String = lines.iter().map(|l| format!("250-{l}\r\n")).collect();
        reply.push_str(&format!("250 {last}"));
        self.answer(At::Ehlo, &reply).await
    }

    async fn auth(&mut self, arguments: &str) -> io::Result<Next> {
        let (mechanism, initial) = arguments.split_once(' ').unwrap_or((arguments, ""));
        let (user, password) = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => {
                let response = if initial.is_empty() {
                    self.challenge("").await?
                } else {
                    decode(initial)
                };
                let mut fields = response.splitn(3, |b| *b == 0).skip(1).map(text);
                (
                    fields.next().unwrap_or_default(),
                    fields.next().unwrap_or_default(),
                )
            }
            "LOGIN" => {
                let user = if initial.is_empty() {
                    self.challenge("Username:").await?
                } else {
                    decode(initial)
                };
                (text(&user), text(&self.challenge("Password:").await?))
            }
            _ => return self.say("504 5.5.4 unknown mechanism").await,
        };
        if self.about.setup.accounts.get(&user) == Some(&password) {
            self.user = Some(user);
            self.answer(At::Auth, "235 2.7.0 welcome").await
        } else {
            self.answer(At::Auth, "535 5.7.8 no").await
        }
    }

    async fn challenge(&mut self, prompt: &str) -> io::Result<Vec<u8>> {
        self.say(&format!("334 {}", STANDARD.encode(prompt)))
            .await?;
        Ok(decode(&self.line().await?))
    }

    async fn mail(&mut self, rest: &str) -> io::Result<Next> {
        let Some(path) = argument(rest, "FROM:") else {
            return self.say("501 5.5.4 MAIL FROM:<>").await;
        };
        if self.mail.is_some() {
            return self.say("503 5.5.1 nested MAIL").await;
        }
        self.mail = Some(path.to_owned());
        self.answer(At::Mail, "250 2.1.0 ok").await
    }

    async fn rcpt(&mut self, rest: &str) -> io::Result<Next> {
        let Some(path) = argument(rest, "TO:") else {
            return self.say("501 5.5.4 RCPT TO:<>").await;
        };
        if self.mail.is_none() {
            return self.say("503 5.5.1 MAIL first").await;
        }
        let address = path
            .trim_start_matches('<')
            .split('>')
            .next()
            .unwrap_or_default();
        let refusal = self
            .about
            .shared
            .state()
            .refused_recipients
            .get(address)
            .cloned();
        if let Some(reply) = refusal {
            return self.say(&reply).await;
        }
        self.rcpts.push(path.to_owned());
        self.answer(At::Rcpt, "250 2.1.5 ok").await
    }

    async fn data(&mut self) -> io::Result<Next> {
        if self.rcpts.is_empty() {
            return self.say("503 5.5.1 RCPT first").await;
        }
        match self.fault(At::Data) {
            None => {}
            Some(Fault::Twice(second)) => {
                self.say(&format!("354 go on\r\n{second}")).await?;
                return self.message().await;
            }
            Some(fault) => return self.misbehave(fault, "354 go on").await,
        }
        self.say("354 go on").await?;
        self.message().await
    }

    async fn message(&mut self) -> io::Result<Next> {
        let data = self.unstuffed().await?;
        let fault = self.fault(At::Final);
        let kept = matches!(fault, None | Some(Fault::KeepAndClose | Fault::Twice(_)));
        if kept {
            self.keep(data);
        }
        self.reset();
        match fault {
            None => self.say("250 2.0.0 kept").await,
            Some(fault) => self.misbehave(fault, "250 2.0.0 kept").await,
        }
    }

    /// The message up to CRLF.CRLF and nothing else: a bare LF ends no line here.
    async fn unstuffed(&mut self) -> io::Result<Vec<u8>> {
        let mut data = Vec::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            while !line.ends_with(b"\r\n") {
                if self.wire.read_until(b'\n', &mut line).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            if line == b".\r\n" {
                return Ok(data);
            }
            data.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
    }

    fn keep(&mut self, data: Vec<u8>) {
        let received = Received {
            helo: self.helo.clone(),
            mail: self.mail.clone().unwrap_or_default(),
            rcpts: self.rcpts.clone(),
            data,
            client: self.about.client,
            xclient: self.xclient.clone(),
            user: self.user.clone(),
            tls: self.tls,
            connection: self.about.connection,
        };
        self.about.shared.state().messages.push(received);
        self.about.shared.arrived.notify_waiters();
    }

    fn reset(&mut self) {
        self.mail = None;
        self.rcpts.clear();
    }

    fn fault(&self, at: At) -> Option<Fault> {
        let state = self.about.shared.state();
        state
            .faults
            .iter()
            .find(|(where_, _)| *where_ == at)
            .map(|(_, fault)| fault.clone())
    }

    async fn answer(&mut self, at: At, reply: &str) -> io::Result<Next> {
        match self.fault(at) {
            None => self.say(reply).await,
            Some(fault) => self.misbehave(fault, reply).await,
        }
    }

    async fn misbehave(&mut self, fault: Fault, right: &str) -> io::Result<Next> {
        match fault {
            Fault::Reply(reply) => self.say(&reply).await,
            Fault::ReplyAndClose(reply) => {
                self.say(&reply).await?;
                Ok(Next::End)
            }
            Fault::Twice(second) => self.say(&format!("{right}\r\n{second}")).await,
            Fault::Silence => std::future::pending().await,
            Fault::Close | Fault::KeepAndClose => Ok(Next::End),
        }
    }

    async fn say(&mut self, reply: &str) -> io::Result<Next> {
        self.wire
            .write_all(format!("{reply}\r\n").as_bytes())
            .await?;
        self.wire.flush().await?;
        Ok(Next::GoOn)
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        if self.wire.read_until(b'\n', &mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(text(line.strip_suffix(b"\r\n").unwrap_or(&line)))
    }
}

fn argument<'l>(rest: &'l str, keyword: &str) -> Option<&'l str> {
    let (head, tail) = rest.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then_some(tail)
}

fn decode(line: &str) -> Vec<u8> {
    STANDARD.decode(line).unwrap_or_default()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
