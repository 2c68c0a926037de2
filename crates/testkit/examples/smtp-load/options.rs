//! What is asked of the load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::client::Plan;
use crate::tls;

/// Sends messages to an SMTP server on loopback, and says how fast it took them.
#[derive(Parser)]
pub(crate) struct Options {
    /// Where the server listens; loopback only.
    address: SocketAddr,
    /// Sessions at once.
    #[arg(long, default_value_t = 20)]
    pub(crate) sessions: usize,
    /// Messages in all, as fast as they go.
    #[arg(long, default_value_t = 1000)]
    messages: u64,
    /// Messages a second, whatever the server answers, instead of as fast as they go.
    #[arg(long, requires = "seconds")]
    rate: Option<f64>,
    /// For how long, with --rate.
    #[arg(long)]
    seconds: Option<u64>,
    /// Messages of one session; 0 means that sessions are kept to the end.
    #[arg(long, default_value_t = 0)]
    per_session: u64,
    /// Octets of one message, its header included.
    #[arg(long, default_value_t = 4096)]
    size: usize,
    /// How TLS begins.
    #[arg(long, value_enum, default_value_t = Tls::Off)]
    tls: Tls,
    /// Whether a session may take up the TLS session of one before it.
    #[arg(long, value_enum, default_value_t = Handshake::Full)]
    handshake: Handshake,
    /// Logs in with AUTH PLAIN; {n} in the name is replaced by a number below --accounts.
    #[arg(long, requires = "password")]
    account: Option<String>,
    /// The password of every account.
    #[arg(long)]
    password: Option<String>,
    /// How many accounts take turns.
    #[arg(long, default_value_t = 1)]
    accounts: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tls {
    Off,
    Starttls,
    Implicit,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Handshake {
    Full,
    Resumed,
}

pub(crate) enum Pace {
    AsFastAsItGoes { messages: u64 },
    Rate { per_second: f64, during: Duration },
}

impl Options {
    pub(crate) fn pace(&self) -> Pace {
        match (self.rate, self.seconds) {
            (Some(per_second), Some(seconds)) => Pace::Rate {
                per_second,
                during: Duration::from_secs(seconds),
            },
            _ => Pace::AsFastAsItGoes {
                messages: self.messages,
            },
        }
    }

    /// What each session does.
    ///
    /// # Panics
    /// The address is not on loopback.
    pub(crate) fn plan(&self) -> Arc<Plan> {
        assert!(
            self.address.ip().is_loopback(),
            "load goes to loopback only"
        );
        Arc::new(Plan {
            address: self.address,
            tls: (self.tls != Tls::Off).then(|| tls::connector(self.handshake)),
            begins: self.tls,
            login: self.account.clone().zip(self.password.clone()),
            accounts: self.accounts.max(1),
            per_session: match self.per_session {
                0 => u64::MAX,
                some => some,
            },
            message: message(self.size),
        })
    }
}

/// A message of so many octets, framed for DATA, with its final dot.
fn message(size: usize) -> Vec<u8> {
    let mut octets =
        b"From: <bench@example.jp>\r\nTo: <someone@example.net>\r\nSubject: A measured message\r\n\
        Date: Sun, 22 Nov 2026 09:00:00 +0900\r\nMessage-ID: <1@bench.test>\r\n\r\n"
            .to_vec();
    while octets.len() < size {
        let line = (size - octets.len()).saturating_sub(2).min(76);
        octets.extend(std::iter::repeat_n(b'm', line));
        octets.extend_from_slice(b"\r\n");
    }
    octets.extend_from_slice(b".\r\n");
    octets
}
