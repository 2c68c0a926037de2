//! What clients of a gateway may cost.

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// Bounds of connections, of sessions, and of what is kept of messages. A snapshot without them means the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayLimits {
    /// Connections at once.
    pub connections: u32,
    /// Connections at once from one source.
    pub connections_per_source: u32,
    /// Connections at once from one source that are in a TLS handshake.
    pub handshakes_per_source: u32,
    /// Bits of an IPv6 address that make a source, 128 at most.
    pub source_ipv6_prefix: u8,
    /// Commands out of order or malformed, after which a session ends.
    pub errors: u32,
    /// Commands without effect, after which a session ends; counted anew after each message.
    pub idle_commands: u32,
    /// Logins that failed, after which a session ends.
    pub auth_attempts: u32,
    /// Recipients refused, after which a session ends; counted anew after each message.
    pub refused_recipients: u32,
    /// MAIL commands of one session.
    pub transactions_per_session: u32,
    /// How long a session may last.
    pub session_duration: Millis,
    /// How long a client may take for a message.
    pub message_duration: Millis,
    /// Octets of a message in a second, over the whole of it, that a client must send at least.
    pub min_bytes_per_second: u32,
    /// Octets that clients make a proxy keep in memory; the process says if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_buffered_bytes: Option<u64>,
    /// Octets of messages in files.
    pub max_spooled_bytes: u64,
    /// When replies wait.
    pub tarpit: Tarpit,
}

impl GatewayLimits {
    /// Whether these are the bounds of a gateway that names none.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            connections: 50_000,
            connections_per_source: 2_000,
            handshakes_per_source: 200,
            source_ipv6_prefix: 64,
            errors: 10,
            idle_commands: 200,
            auth_attempts: 3,
            refused_recipients: 100,
            transactions_per_session: 1_000,
            session_duration: Millis(12 * 60 * 60 * 1000),
            message_duration: Millis(60 * 60 * 1000),
            min_bytes_per_second: 100,
            max_buffered_bytes: None,
            max_spooled_bytes: 16 << 30,
            tarpit: Tarpit::default(),
        }
    }
}

/// When replies to errors wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tarpit {
    /// Whether they do at all.
    pub mode: TarpitMode,
    /// Errors of a session from which on they wait.
    pub after: u32,
    /// How long the first one waits; each further one twice as long.
    pub delay: Millis,
    /// How long one waits at most.
    pub max_delay: Millis,
    /// Percent of the connections that a gateway may have which may wait at once.
    pub max_percent: u8,
}

impl Default for Tarpit {
    fn default() -> Self {
        Self {
            mode: TarpitMode::default(),
            after: 3,
            delay: Millis(1_000),
            max_delay: Millis(10_000),
            max_percent: 10,
        }
    }
}

/// Whether replies to errors wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TarpitMode {
    /// They do.
    #[default]
    Delay,
    /// They do not.
    Never,
}
