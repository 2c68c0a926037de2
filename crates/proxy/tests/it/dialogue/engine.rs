//! Content engines that answer as the script says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::pattern;

const PATIENCE: Duration = Duration::from_secs(5);
/// What engines that are slow take.
const MOMENT: Duration = Duration::from_millis(100);

/// Engines by name.
#[derive(Debug, Default)]
pub(super) struct Engines(BTreeMap<String, Engine>);

#[derive(Debug)]
struct Engine {
    address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    asked: watch::Receiver<Vec<String>>,
    /// Takes connections; `None` where nobody does, and the socket that keeps the port from others.
    serving: Result<JoinHandle<()>, TcpSocket>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Ok(serving) = &self.serving {
            serving.abort();
        }
    }
}

/// What it does once it was asked.
#[derive(Clone, Debug)]
enum Manner {
    Say(Vec<u8>),
    /// It says this after a moment.
    SayLate(Vec<u8>),
    /// It says this octet by octet, each after a moment.
    Trickle(Vec<u8>),
    /// It says nothing and keeps the connection.
    Hang,
    /// It hangs up.
    Close,
    /// It says this, and then never stops.
    Endless(Vec<u8>),
}

impl Engines {
    /// `@engine NAME PROTOCOL ANSWER`: a new one, or another answer of one that is there.
    pub(super) async fn set(
        &mut self,
        name: &str,
        protocol: &str,
        answer: &str,
    ) -> Result<(), String> {
        if answer == "absent" {
            let socket = TcpSocket::new_v4().map_err(|error| error.to_string())?;
            socket
                .bind(([127, 0, 0, 1], 0).into())
                .map_err(|error| error.to_string())?;
            let engine = Engine {
                address: socket.local_addr().map_err(|error| error.to_string())?,
                manner: Arc::new(Mutex::new(Manner::Close)),
                asked: watch::channel(Vec::new()).1,
                serving: Err(socket),
            };
            self.0.insert(name.to_owned(), engine);
            return Ok(());
        }
        let manner = manner(protocol, answer)?;
        if let Some(engine) = self.0.get(name) {
            *engine.manner.lock().unwrap() = manner;
            return Ok(());
        }
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let (manner, (note, asked)) = (Arc::new(Mutex::new(manner)), watch::channel(Vec::new()));
        let serving = Ok(tokio::spawn(serve(listener, manner.clone(), note)));
        let engine = Engine {
            address,
            manner,
            asked,
            serving,
        };
        self.0.insert(name.to_owned(), engine);
        Ok(())
    }

    /// As they are named in objects: `engine:NAME`.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (String, SocketAddr)> + '_ {
        self.0
            .iter()
            .map(|(name, engine)| (format!("engine:{name}"), engine.address))
    }

    /// `E: NAME asked N`: it has been asked so often.
    pub(super) async fn expect_count(&mut self, name: &str, count: usize) -> Result<(), String> {
        let asked = &mut self.engine(name)?.asked;
        if count > 0 {
            let _ = timeout(PATIENCE, asked.wait_for(|all| all.len() >= count)).await;
        }
        match asked.borrow().len() {
            length if length == count => Ok(()),
            length => Err(format!("{name} was asked {length} times")),
        }
    }

    /// `E: NAME told PATTERN`: its last question had such a line.
    pub(super) fn expect_told(&mut self, name: &str, pattern: &str) -> Result<(), String> {
        let asked = self.engine(name)?.asked.borrow();
        let last = asked
            .last()
            .ok_or_else(|| format!("{name} was not asked"))?;
        if last.lines().any(|line| pattern::matches(pattern, line)) {
            Ok(())
        } else {
            Err(format!("{name} was told {last}"))
        }
    }

    fn engine(&mut self, name: &str) -> Result<&mut Engine, String> {
        self.0
            .get_mut(name)
            .ok_or_else(|| format!("there is no engine {name}"))
    }
}

fn manner(protocol: &str, answer: &str) -> Result<Manner, String> {
    let slow = |answer| match manner(protocol, answer)? {
        Manner::Say(octets) => Ok(octets),
        _ => Err(format!("{answer} cannot be said slowly")),
    };
    if let Some(answer) = answer.strip_prefix("late ") {
        return Ok(Manner::SayLate(slow(answer)?));
    }
    if let Some(answer) = answer.strip_prefix("trickle ") {
        return Ok(Manner::Trickle(slow(answer)?));
    }
    Ok(match (answer, protocol) {
        ("hang", _) => Manner::Hang,
        ("close", _) => Manner::Close,
        ("huge", "rspamd") => {
            Manner::Endless(b"HTTP/1.1 200 OK\r\nContent-Length: 4000000000\r\n\r\n".to_vec())
        }
        ("huge", "spamd") => Manner::Endless(b"SPAMD/1.1 0 EX_OK\r\n".to_vec()),
        ("garbage", _) => Manner::Say(b"220 mail.example.net ESMTP Postfix\r\n".to_vec()),
        ("error", "rspamd") => Manner::Say(http(
            "500 Internal",
            r#"{"error":"cannot load","score":0,"action":"no action"}"#,
        )),
        ("error", "spamd") => Manner::Say(b"SPAMD/1.0 75 EX_TEMPFAIL\r\n\r\n".to_vec()),
        (json, "rspamd") => Manner::Say(http("200 OK", json)),
        (json, "spamd") => Manner::Say(spamd(json)?),
        _ => return Err(format!("{protocol} is none of rspamd and spamd")),
    })
}

fn http(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// `{"score": 7.2, "symbols": ["A", "B"]}` as spamd says it.
fn spamd(json: &str) -> Result<Vec<u8>, String> {
    let answer: Value = serde_json::from_str(json).map_err(|error| format!("{error} in {json}"))?;
    let names: Vec<&str> = answer["symbols"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let (score, body) = (&answer["score"], names.join(",") + "\r\n");
    let length = body.len();
    let text = format!(
        "SPAMD/1.1 0 EX_OK\r\nContent-length: {length}\r\nSpam: True ; {score} / 5.0\r\n\r\n{body}"
    );
    Ok(text.into_bytes())
}

async fn serve(
    listener: TcpListener,
    manner: Arc<Mutex<Manner>>,
    note: watch::Sender<Vec<String>>,
) {
    let (note, mut open) = (Arc::new(note), tokio::task::JoinSet::new());
    while let Ok((stream, _)) = listener.accept().await {
        open.spawn(converse(stream, manner.clone(), note.clone()));
    }
}

/// Answers one question after the other, until somebody hangs up.
async fn converse(
    mut stream: TcpStream,
    manner: Arc<Mutex<Manner>>,
    note: Arc<watch::Sender<Vec<String>>>,
) {
    while let Some(question) = question(&mut stream).await {
        let is_spamd = question.starts_with("SYMBOLS ");
        note.send_modify(|asked| asked.push(question));
        let mut manner = manner.lock().unwrap().clone();
        if let Manner::SayLate(octets) = manner {
            tokio::time::sleep(MOMENT).await;
            manner = Manner::Say(octets);
        }
        match manner {
            Manner::Say(octets) if stream.write_all(&octets).await.is_ok() && !is_spamd => {}
            Manner::Say(_) | Manner::SayLate(_) | Manner::Close => return,
            Manner::Trickle(octets) => {
                for octet in octets {
                    if stream.write_all(&[octet]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(MOMENT).await;
                }
                return;
            }
            Manner::Hang => std::future::pending().await,
            Manner::Endless(start) => {
                let _ = stream.write_all(&start).await;
                while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
                return;
            }
        }
    }
}

/// One question, head and body.
async fn question(stream: &mut TcpStream) -> Option<String> {
    let mut received = Vec::new();
    loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))?;
            let length: usize = length.trim().parse().ok()?;
            if received.len() >= end + 4 + length {
                return Some(String::from_utf8_lossy(&received).into_owned());
            }
        }
        if stream.read_buf(&mut received).await.ok()? == 0 {
            return None;
        }
    }
}
