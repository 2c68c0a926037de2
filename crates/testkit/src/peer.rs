//! One end of an SMTP conversation, played line by line.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
    DuplexStream,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the other end may take for a line. Virtual in tests that pause the clock.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client or a server that says and expects what the test tells it, over any stream. Expectations that fail
/// panic with what came instead.
#[derive(Debug)]
pub struct Peer<S> {
    stream: BufReader<S>,
}

impl Peer<DuplexStream> {
    /// A peer, and the stream to give to what is tested.
    pub fn in_memory() -> (Self, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        (Self::over(ours), theirs)
    }
}

impl Peer<TcpStream> {
    /// A client of `address`.
    ///
    /// # Panics
    /// Nothing listens there.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(
            TcpStream::connect(address)
                .await
                .unwrap_or_else(|e| panic!("{address}: {e}")),
        )
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub fn over(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Sends `line` and CRLF.
    pub async fn say(&mut self, line: &str) {
        self.send(format!("{line}\r\n").as_bytes()).await;
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream
            .write_all(bytes)
            .await
            .expect("the other end takes bytes");
        self.stream
            .flush()
            .await
            .expect("the other end takes bytes");
    }

    /// The next line without its CRLF.
    pub async fn line(&mut self) -> String {
        let mut line = Vec::new();
        let read = timeout(PATIENCE, self.stream.read_until(b'\n', &mut line));
        let read = read
            .await
            .expect("a line within ten seconds")
            .expect("a line can be read");
        assert!(read > 0, "the other end closed where a line was expected");
        let text = line.strip_suffix(b"\r\n");
        let text = text
            .unwrap_or_else(|| panic!("{:?} does not end in CRLF", String::from_utf8_lossy(&line)));
        String::from_utf8_lossy(text).into_owned()
    }

    /// Expects exactly this line.
    pub async fn expect(&mut self, line: &str) {
        assert_eq!(self.line().await, line);
    }

    /// Expects a line that begins so, and returns it.
    pub async fn expect_prefix(&mut self, prefix: &str) -> String {
        let line = self.line().await;
        assert!(
            line.starts_with(prefix),
            "expected {prefix:?}, got {line:?}"
        );
        line
    }

    /// All lines of one reply, of one or several lines, with this code.
    pub async fn reply(&mut self, code: u16) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            let last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if last {
                break;
            }
        }
        let code = code.to_string();
        assert!(
            lines.iter().all(|l| l.starts_with(&code)),
            "expected {code}, got {lines:?}"
        );
        lines
    }

    /// Says `line` and expects a reply with this code; returns its lines.
    pub async fn ask(&mut self, line: &str, code: u16) -> Vec<String> {
        self.say(line).await;
        self.reply(code).await
    }

    /// A whole message, up to and with CRLF.CRLF, as it is on the wire.
    pub async fn data(&mut self) -> Vec<u8> {
        let mut message = Vec::new();
        while !message.ends_with(b"\r\n.\r\n") && message != b".\r\n" {
            let read = timeout(PATIENCE, self.stream.read_until(b'\n', &mut message));
            let read = read
                .await
                .expect("the message goes on")
                .expect("a message can be read");
            assert!(read > 0, "the other end closed within the message");
        }
        message
    }

    /// Expects that the other end closes, and says nothing before.
    pub async fn closed(&mut self) {
        let mut rest = Vec::new();
        // A reset closes as well.
        let _ = timeout(PATIENCE, self.stream.read_to_end(&mut rest))
            .await
            .expect("the other end closes");
        assert!(
            rest.is_empty(),
            "it said {:?} before it closed",
            String::from_utf8_lossy(&rest)
        );
    }

    /// Expects that nothing comes for `span`.
    pub async fn silent_for(&mut self, span: Duration) {
        if let Ok(line) = timeout(span, self.line()).await {
            panic!("expected silence, got {line:?}");
        }
    }

    /// The stream, to go on over TLS.
    ///
    /// # Panics
    /// Bytes were received that nobody asked for: they would cross into TLS.
    pub fn into_stream(self) -> S {
        assert!(
            self.stream.buffer().is_empty(),
            "bytes are left over: {:?}",
            self.stream.buffer()
        );
        self.stream.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_conversation_is_followed() {
        let (mut server, stream) = Peer::in_memory();
        let mut client = Peer::over(stream);
        let serve = async {
            server.say("220 here").await;
            server.expect("EHLO there").await;
            server.send(b"250-here\r\n250 SIZE\r\n").await;
            server.data().await
        };
        let ask = async {
            client.reply(220).await;
            assert_eq!(
                client.ask("EHLO there", 250).await,
                ["250-here", "250 SIZE"]
            );
            client.send(b"a\r\n..\r\n.\r\n").await;
        };
        let (data, ()) = tokio::join!(serve, ask);
        assert_eq!(data, b"a\r\n..\r\n.\r\n");
        drop(server);
        client.closed().await;
    }

    #[tokio::test]
    #[should_panic(expected = "does not end in CRLF")]
    async fn a_bare_newline_is_noticed() {
        let (mut server, stream) = Peer::in_memory();
        Peer::over(stream).send(b"NOOP\n").await;
        server.line().await;
    }
}
