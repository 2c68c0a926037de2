//! A plain SMTP client: one line out, one reply in, STARTTLS without asking who the server is.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use sekisho_testkit::{PATIENCE, trusting_client};

trait Wire: Read + Write + Send {}
impl<S: Read + Write + Send> Wire for S {}

/// A conversation.
pub(crate) struct Client {
    wire: BufReader<Box<dyn Wire>>,
}

impl Client {
    /// Connects, takes the greeting, begins TLS and says EHLO again under it.
    pub(crate) fn secure(address: SocketAddr) -> Self {
        let stream = connect(address);
        let mut plain = Self {
            wire: BufReader::new(Box::new(stream.try_clone().unwrap())),
        };
        plain.expect("220");
        plain.say("EHLO client.example", "250");
        plain.say("STARTTLS", "220");
        let mut client = Self {
            wire: BufReader::new(Box::new(under_tls(stream))),
        };
        client.say("EHLO client.example", "250");
        client
    }

    /// Connects under TLS from the first byte.
    pub(crate) fn implicit(address: SocketAddr) -> Self {
        let mut client = Self {
            wire: BufReader::new(Box::new(under_tls(connect(address)))),
        };
        client.expect("220");
        client.say("EHLO client.example", "250");
        client
    }

    /// AUTH PLAIN.
    pub(crate) fn log_in(&mut self, account: &str, password: &str) -> String {
        let response = base64(format!("\0{account}\0{password}").as_bytes());
        self.ask(&format!("AUTH PLAIN {response}"))
    }

    /// Sends a message and returns the reply to its final dot.
    pub(crate) fn send(&mut self, from: &str, to: &str, subject: &str) -> String {
        self.say(&format!("MAIL FROM:<{from}>"), "250");
        self.say(&format!("RCPT TO:<{to}>"), "250");
        self.say("DATA", "354");
        self.ask(&format!(
            "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nbody\r\n."
        ))
    }

    /// One line, and the reply to it.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        let wire = self.wire.get_mut();
        wire.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        wire.flush().unwrap();
        self.reply()
    }

    /// One line, whose reply must begin like this.
    pub(crate) fn say(&mut self, line: &str, begins: &str) -> String {
        let reply = self.ask(line);
        assert!(reply.starts_with(begins), "{line}: {reply}");
        reply
    }

    pub(crate) fn expect(&mut self, begins: &str) -> String {
        let reply = self.reply();
        assert!(reply.starts_with(begins), "{reply}");
        reply
    }

    fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            self.wire.read_line(&mut line).unwrap();
            assert!(
                !line.is_empty(),
                "the server closed the connection after {reply:?}"
            );
            let more = line.as_bytes().get(3) == Some(&b'-');
            reply.push_str(&line);
            if !more {
                return reply.trim_end().to_owned();
            }
        }
    }
}

/// The decision id at the end of a reply.
pub(crate) fn id_of(reply: &str) -> &str {
    reply
        .rsplit_once('[')
        .and_then(|(_, id)| id.strip_suffix(']'))
        .unwrap_or_else(|| panic!("no id: {reply}"))
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn under_tls(stream: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(
        ClientConnection::new(Arc::new(trusting_client()), name).unwrap(),
        stream,
    )
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
