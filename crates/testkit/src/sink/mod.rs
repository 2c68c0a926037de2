//! A next hop that keeps whole messages byte for byte, with the envelope and the address they came from, and that
//! can be told to misbehave. Written apart from the `smtp` crate on purpose: it is the second opinion on the wire.

mod fault;
mod session;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

pub use fault::{At, Fault};

/// How long a test waits for a message.
const PATIENCE: Duration = Duration::from_secs(30);

/// One message that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What was said in EHLO or HELO.
    pub helo: String,
    /// The line after `MAIL FROM:`, parameters included.
    pub mail: String,
    /// The lines after `RCPT TO:`, those that were accepted.
    pub rcpts: Vec<String>,
    /// The message as it was on the wire, dots un-stuffed, without the final dot.
    pub data: Vec<u8>,
    /// Where the connection came from.
    pub client: SocketAddr,
    /// The XCLIENT lines of the session, without the verb.
    pub xclient: Vec<String>,
    /// The user that AUTH accepted.
    pub user: Option<String>,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Counts connections from 1: messages with the same number shared one.
    pub connection: u64,
}

/// What the sink offers.
#[derive(Clone, Debug)]
pub struct SinkSetup {
    pub address: SocketAddr,
    /// EHLO keywords with their parameters. `STARTTLS` and `AUTH` are added by the fields below.
    pub keywords: Vec<String>,
    /// Offers STARTTLS with this configuration.
    pub tls: Option<Arc<ServerConfig>>,
    /// Offers AUTH PLAIN and LOGIN to these (user, password).
    pub accounts: HashMap<String, String>,
}

impl Default for SinkSetup {
    fn default() -> Self {
        let keywords = [
            "PIPELINING",
            "SIZE 52428800",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "DSN",
        ];
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            keywords: keywords.map(str::to_owned).to_vec(),
            tls: None,
            accounts: HashMap::new(),
        }
    }
}

/// A running sink; it ends when it is dropped.
#[derive(Debug)]
pub struct Sink {
    address: SocketAddr,
    setup: Arc<SinkSetup>,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    messages: Vec<Received>,
    connections: u64,
    faults: Vec<(At, Fault)>,
    refused_recipients: HashMap<String, String>,
    /// Every command line of every session, in order.
    commands: Vec<String>,
}

impl Sink {
    /// A sink on a free port of 127.0.0.1 with the usual extensions.
    pub async fn start() -> Self {
        Self::start_with(SinkSetup::default()).await
    }

    /// # Panics
    /// The address cannot be bound.
    pub async fn start_with(setup: SinkSetup) -> Self {
        let listener = TcpListener::bind(setup.address)
            .await
            .unwrap_or_else(|e| panic!("{}: {e}", setup.address));
        let address = listener.local_addr().unwrap();
        let (setup, shared) = (Arc::new(setup), Arc::new(Shared::default()));
        let accepting = tokio::spawn(accept(listener, setup.clone(), shared.clone()));
        Self {
            address,
            setup,
            shared,
            accepting,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, misbehave like this there, until [`Sink::behave`].
    pub fn misbehave(&self, at: At, fault: Fault) {
        self.state().faults.push((at, fault));
    }

    /// No more faults, and every recipient is fine.
    pub fn behave(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.refused_recipients.clear();
    }

    /// Answers `RCPT TO:<address>` with this reply.
    pub fn refuse_recipient(&self, address: &str, reply: &str) {
        self.state()
            .refused_recipients
            .insert(address.to_owned(), reply.to_owned());
    }

    /// The messages that were accepted so far.
    pub fn messages(&self) -> Vec<Received> {
        self.state().messages.clone()
    }

    /// Takes the messages out.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.state().messages)
    }

    /// Every command line so far, over all sessions.
    pub fn commands(&self) -> Vec<String> {
        self.state().commands.clone()
    }

    /// Takes the command lines out.
    pub fn take_commands(&self) -> Vec<String> {
        std::mem::take(&mut self.state().commands)
    }

    /// Fails as a machine does: every connection breaks where it is, and nobody listens. What it kept is kept.
    pub async fn fail(&mut self) {
        self.accepting.abort();
        // An error is what an abort leads to.
        let _ = (&mut self.accepting).await;
    }

    /// Is back after [`Sink::fail`], at the same address. Give it a port that the system hands to nobody else.
    ///
    /// # Panics
    /// The address was taken meanwhile.
    pub async fn recover(&mut self) {
        let listener = TcpListener::bind(self.address)
            .await
            .unwrap_or_else(|e| panic!("{}: {e}", self.address));
        let (setup, shared) = (self.setup.clone(), self.shared.clone());
        self.accepting = tokio::spawn(accept(listener, setup, shared));
    }

    /// How many connections there were.
    pub fn connections(&self) -> u64 {
        self.state().connections
    }

    /// Waits until there are `count` messages and returns all.
    ///
    /// # Panics
    /// They do not come within 30 seconds.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let arrived = async {
            loop {
                let next = self.shared.arrived.notified();
                if self.state().messages.len() >= count {
                    return self.messages();
                }
                next.await;
            }
        };
        let waited = timeout(PATIENCE, arrived).await;
        waited.unwrap_or_else(|_| panic!("{} of {count} messages came", self.messages().len()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

async fn accept(listener: TcpListener, setup: Arc<SinkSetup>, shared: Arc<Shared>) {
    let acceptor = setup.tls.clone().map(TlsAcceptor::from);
    // Sessions end with this task, and this task with the sink.
    let mut sessions = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, client)) = listener.accept().await else {
            continue;
        };
        // Replies are small and wanted at once.
        let _ = stream.set_nodelay(true);
        let connection = {
            let mut state = shared.state();
            state.connections += 1;
            state.connections
        };
        let about = session::About {
            client,
            connection,
            setup: setup.clone(),
            shared: shared.clone(),
        };
        sessions.spawn(session::serve(stream, acceptor.clone(), about));
        while sessions.try_join_next().is_some() {}
    }
}
