//! The client's end of a conversation, and that of a next hop: lines with a patience that ends.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

/// How long anybody may take. Only a dialogue that goes wrong waits for so long.
const PATIENCE: Duration = Duration::from_secs(5);

trait Pipe: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Pipe for S {}

/// One end of a connection.
pub(super) struct End {
    stream: Box<dyn Pipe>,
    received: Vec<u8>,
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("End")
            .field("received", &String::from_utf8_lossy(&self.received))
            .finish_non_exhaustive()
    }
}

impl End {
    pub(super) fn new(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            received: Vec::new(),
        }
    }

    pub(super) async fn send(&mut self, octets: &[u8]) -> Result<(), String> {
        let sending = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        match timeout(PATIENCE, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("cannot send: {error}")),
            Err(_) => Err("nobody takes what is sent".into()),
        }
    }

    /// The next line without its CRLF; `None` at the end of the stream.
    pub(super) async fn line(&mut self) -> Result<Option<String>, String> {
        loop {
            if let Some(at) = self.received.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.received.drain(..at + 2).collect();
                return Ok(Some(show(&line[..at])));
            }
            let mut chunk = [0; 4096];
            match timeout(PATIENCE, self.stream.read(&mut chunk)).await {
                Err(_) => return Err(format!("nothing came; so far {:?}", show(&self.received))),
                Ok(Err(_) | Ok(0)) if self.received.is_empty() => return Ok(None),
                Ok(Err(_) | Ok(0)) => {
                    return Err(format!(
                        "the connection ended within {:?}",
                        show(&self.received)
                    ));
                }
                Ok(Ok(count)) => self.received.extend_from_slice(&chunk[..count]),
            }
        }
    }

    pub(super) async fn expect(&mut self, pattern: &str) -> Result<(), String> {
        match self.line().await? {
            Some(line) if super::pattern::matches(pattern, &line) => Ok(()),
            Some(line) => Err(format!("expected {pattern:?}, got {line:?}")),
            None => Err(format!("expected {pattern:?}, and the connection ended")),
        }
    }

    /// As [`End::expect`], of a reply to a client: each carries an enhanced code of its class (RFC 2034) but the greeting, the
    /// reply to EHLO or HELO, and 3xx.
    pub(super) async fn expect_reply(&mut self, pattern: &str, hello: bool) -> Result<(), String> {
        let line = self.line().await?;
        match &line {
            Some(line) if !super::pattern::matches(pattern, line) => {
                Err(format!("expected {pattern:?}, got {line:?}"))
            }
            Some(line) if !carries_code(line, hello) => Err(format!(
                "{line:?} carries no enhanced status code of its class"
            )),
            Some(_) => Ok(()),
            None => Err(format!("expected {pattern:?}, and the connection ended")),
        }
    }

    pub(super) async fn expect_closed(&mut self) -> Result<(), String> {
        match self.line().await? {
            None => Ok(()),
            Some(line) => Err(format!("expected the end, got {line:?}")),
        }
    }

    /// Reads to the end, which must come without a final dot.
    pub(super) async fn expect_cut(&mut self) -> Result<(), String> {
        let reading = self.stream.read_to_end(&mut self.received);
        // A reset is an end too.
        let _ = timeout(PATIENCE, reading)
            .await
            .map_err(|_| "the connection stays open")?;
        let whole = self.received.ends_with(b"\r\n.\r\n");
        if whole {
            Err("a final dot was sent".into())
        } else {
            Ok(())
        }
    }

    /// Whether nothing has arrived that was not looked at.
    pub(super) async fn is_idle(&mut self) -> bool {
        let mut chunk = [0; 1];
        self.received.is_empty()
            && timeout(Duration::from_millis(1), self.stream.read(&mut chunk))
                .await
                .is_err()
    }

    pub(super) async fn close(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    pub(super) fn into_stream(self) -> impl AsyncRead + AsyncWrite + Unpin + Send + 'static {
        self.stream
    }
}

fn carries_code(line: &str, hello: bool) -> bool {
    let (Some(code), Some(text)) = (line.get(..3), line.get(4..)) else {
        return false;
    };
    let class = &code[..1];
    let greets = code == "220" && text.contains(" ESMTP ");
    let exempt = class == "3" || greets || (code == "250" && hello);
    let word = text.split(' ').next().unwrap_or_default();
    exempt || (word.starts_with(class) && sekisho_smtp::reply::EnhancedCode::parse(word).is_some())
}

/// Text as it is; every other octet visibly.
fn show(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) if !text.contains(|c: char| c.is_control() && c != '\t') => text.to_owned(),
        _ => octets.escape_ascii().to_string(),
    }
}
