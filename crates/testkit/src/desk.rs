//! A desk: whom notifications are posted to. It answers as it was told to, and remembers what it heard.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use hmac::{Hmac, KeyInit as _, Mac as _};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::PATIENCE;

/// A server of HTTP on the loopback.
#[derive(Debug)]
pub struct Desk {
    address: SocketAddr,
    scheme: &'static str,
    answers: Arc<Mutex<Answers>>,
    heard: Receiver<Heard>,
}

/// Statuses, and whatever header comes after one on a line of its own.
#[derive(Debug)]
struct Answers {
    first: VecDeque<String>,
    then: String,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The request line and its headers.
    pub head: String,
    /// What was posted.
    pub body: Value,
    text: String,
}

impl Desk {
    /// One that takes what it hears.
    pub fn open() -> Self {
        Self::start(None)
    }

    /// The same over TLS, and the authority of its certificate, in PEM.
    pub fn open_tls() -> (Self, String) {
        let (config, authority) = certified();
        (Self::start(Some(config)), authority)
    }

    fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(Mutex::new(Answers {
            first: VecDeque::new(),
            then: "204 No Content".to_owned(),
        }));
        let (says, heard) = channel();
        let scheme = tls.as_ref().map_or("http", |_| "https");
        let given = answers.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let goes_on = match &tls {
                    None => serve(stream, &given, &says),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls.clone()).unwrap();
                        serve(StreamOwned::new(connection, stream), &given, &says)
                    }
                };
                if !goes_on {
                    return;
                }
            }
        });
        Self {
            address,
            scheme,
            answers,
            heard,
        }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL that it is told at.
    pub fn url(&self) -> String {
        format!("{}://{}/heard", self.scheme, self.address)
    }

    /// What it answers from now on, such as `503 Service Unavailable`.
    pub fn answers(&self, status: &str) {
        self.answers.lock().unwrap().then = status.to_owned();
    }

    /// What it answers to the next request, before it goes on as it was told.
    pub fn answers_first(&self, status: &str) {
        let mut answers = self.answers.lock().unwrap();
        answers.first.push_back(status.to_owned());
    }

    /// Waits for the next request.
    ///
    /// # Panics
    /// There is none for long.
    #[track_caller]
    pub fn next(&self) -> Heard {
        let heard = self.heard.recv_timeout(PATIENCE * 3);
        heard.expect("the desk hears of something")
    }

    /// Whether everything that it heard was taken from it.
    pub fn has_heard_no_more(&self) -> bool {
        self.heard.try_recv().is_err()
    }
}

impl Heard {
    /// A header's value, by its name in lower case.
    ///
    /// # Panics
    /// There is none of that name.
    #[track_caller]
    pub fn field(&self, name: &str) -> &str {
        let named = |line: &str| -> Option<usize> {
            let (own, _) = line.split_once(": ")?;
            own.eq_ignore_ascii_case(name).then_some(own.len() + 2)
        };
        let mut lines = self.head.lines();
        let value = lines.find_map(|line| named(line).map(|at| &line[at..]));
        value.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    /// Whether it is signed with that, as the documentation has receivers verify it.
    pub fn is_signed_by(&self, secret: &[u8]) -> bool {
        let signature = self.field("sekisho-signature");
        let parts = signature.strip_prefix("t=");
        let Some((at, hex)) = parts.and_then(|parts| parts.split_once(",v1=")) else {
            return false;
        };
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
        mac.update(format!("{at}.{}", self.text).as_bytes());
        let digest = mac.finalize().into_bytes();
        let own: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
        own == hex
    }
}

/// Hears one request and answers it; whether there is somebody left to tell of it.
fn serve(mut stream: impl Read + Write, answers: &Mutex<Answers>, says: &Sender<Heard>) -> bool {
    // Who does not trust our certificate, or goes away, has said nothing.
    let Some(heard) = request(&mut stream) else {
        return true;
    };
    let status = {
        let mut answers = answers.lock().unwrap();
        let first = answers.first.pop_front();
        first.unwrap_or_else(|| answers.then.clone())
    };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    let _ = stream.write_all(answer.as_bytes());
    let _ = stream.flush();
    says.send(heard).is_ok()
}

fn request(stream: &mut impl Read) -> Option<Heard> {
    let mut octets = Vec::new();
    loop {
        let mut more = [0; 4096];
        let count = stream.read(&mut more).ok().filter(|count| *count > 0)?;
        octets.extend_from_slice(&more[..count]);
        let text = String::from_utf8_lossy(&octets);
        if let Some((head, text)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(text)
        {
            return Some(Heard {
                head: head.to_owned(),
                body,
                text: text.to_owned(),
            });
        }
    }
}

/// A certificate for the loopback, and who signed it.
fn certified() -> (Arc<ServerConfig>, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let own = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&own, &issuer).unwrap().pem();
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(own.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    (Arc::new(config), authority)
}
