//! One session: connect, TLS, login, messages.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::HandshakeKind;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::options::Tls;

/// What every session does.
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) begins: Tls,
    /// Name and password; {n} in the name is a number.
    pub(crate) login: Option<(String, String)>,
    pub(crate) accounts: u64,
    pub(crate) per_session: u64,
    /// As DATA carries it, with its final dot.
    pub(crate) message: Vec<u8>,
}

trait Transport: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Transport for T {}

/// A session that may send.
pub(crate) struct Client {
    stream: Box<dyn Transport>,
    input: Vec<u8>,
    /// Whether TLS took up an earlier session.
    pub(crate) resumed: bool,
    pub(crate) sent: u64,
}

impl Client {
    /// Connects, and does all that comes before MAIL. `number` chooses the account.
    pub(crate) async fn open(plan: &Plan, number: u64) -> Self {
        let tcp = TcpStream::connect(plan.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let mut client = Self {
            stream: Box::new(tokio::io::empty()),
            input: Vec::new(),
            resumed: false,
            sent: 0,
        };
        match (plan.begins, &plan.tls) {
            (Tls::Implicit, Some(tls)) => client.secure(tcp, tls).await,
            (Tls::Starttls, Some(tls)) => {
                let mut plain = Self {
                    stream: Box::new(tcp),
                    ..client
                };
                plain.expect(220).await;
                plain.ask(b"EHLO bench.test\r\n", 250).await;
                plain.ask(b"STARTTLS\r\n", 220).await;
                client = plain;
                let stream = std::mem::replace(&mut client.stream, Box::new(tokio::io::empty()));
                client.secure(stream, tls).await;
            }
            _ => client.stream = Box::new(tcp),
        }
        if plan.begins != Tls::Starttls {
            client.expect(220).await;
        }
        client.ask(b"EHLO bench.test\r\n", 250).await;
        if let Some((name, password)) = &plan.login {
            let name = name.replace("{n}", &(number % plan.accounts).to_string());
            let response = BASE64_STANDARD.encode(format!("\0{name}\0{password}"));
            let command = format!("AUTH PLAIN {response}\r\n");
            client.ask(command.as_bytes(), 235).await;
        }
        client
    }

    async fn secure(&mut self, stream: impl Transport + 'static, tls: &TlsConnector) {
        let name = ServerName::try_from("bench.test").unwrap();
        let secured = tls.connect(name, stream).await.unwrap();
        self.resumed = secured.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        self.stream = Box::new(secured);
    }

    /// Sends one message, its envelope in one group.
    pub(crate) async fn send(&mut self, plan: &Plan) {
        const ENVELOPE: &[u8] =
            b"MAIL FROM:<bench@example.jp>\r\nRCPT TO:<someone@example.net>\r\nDATA\r\n";
        self.stream.write_all(ENVELOPE).await.unwrap();
        self.stream.flush().await.unwrap();
        for code in [250, 250, 354] {
            self.expect(code).await;
        }
        self.ask(&plan.message, 250).await;
        self.sent += 1;
    }

    pub(crate) async fn quit(mut self) {
        self.ask(b"QUIT\r\n", 221).await;
        let _ = self.stream.shutdown().await;
    }

    async fn ask(&mut self, octets: &[u8], code: u16) {
        self.stream.write_all(octets).await.unwrap();
        self.stream.flush().await.unwrap();
        self.expect(code).await;
    }

    /// Reads one reply.
    ///
    /// # Panics
    /// It is another one: a bench that is refused measures nothing.
    async fn expect(&mut self, code: u16) {
        loop {
            let line = self.line().await;
            let text = String::from_utf8_lossy(&line);
            assert!(
                text.starts_with(&code.to_string()),
                "expected {code}: {text}"
            );
            if line.get(3) != Some(&b'-') {
                return;
            }
        }
    }

    async fn line(&mut self) -> Vec<u8> {
        loop {
            if let Some(end) = self.input.iter().position(|octet| *octet == b'\n') {
                return self.input.drain(..=end).collect();
            }
            let read = self.stream.read_buf(&mut self.input).await.unwrap();
            assert!(read > 0, "the server closed the connection");
        }
    }
}
