//! What clients may cost: bounds of connections, of sessions, and of what is kept of messages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteSize, Duration};

/// What clients may cost. Each replica, or each sidecar, keeps these bounds for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.maxConnectionsPerSource <= self.maxConnections",
        "message": "one source may have more connections than all sources together",
        "fieldPath": ".maxConnectionsPerSource",
    },
    {
        "rule": "duration(self.maxSessionDuration) >= duration('1m') && duration(self.maxSessionDuration) <= duration('48h')",
        "message": "must be at least 1m and at most 48h",
        "fieldPath": ".maxSessionDuration",
    },
    {
        "rule": "duration(self.maxMessageDuration) >= duration('1m') && duration(self.maxMessageDuration) <= duration('12h')",
        "message": "must be at least 1m and at most 12h",
        "fieldPath": ".maxMessageDuration",
    },
    {
        "rule": "!has(self.maxBufferedBytes) || (quantity(self.maxBufferedBytes).compareTo(quantity('8Mi')) >= 0 && quantity(self.maxBufferedBytes).compareTo(quantity('1024Gi')) <= 0)",
        "message": "must be at least 8Mi, with which some messages can be examined at once, and at most 1024Gi",
        "fieldPath": ".maxBufferedBytes",
    },
    {
        "rule": "quantity(self.maxSpooledBytes).compareTo(quantity('1Mi')) >= 0 && quantity(self.maxSpooledBytes).compareTo(quantity('102400Gi')) <= 0",
        "message": "must be at least 1Mi and at most 102400Gi",
        "fieldPath": ".maxSpooledBytes",
    },
]))]
pub struct GatewayLimits {
    /// The most connections at once. Whoever comes then is told 421, or under TLS from the first octet finds the
    /// connection closed. From four fifths of it on, what one source may have shrinks, down to a fiftieth of it.
    #[serde(default = "GatewayLimits::default_connections")]
    #[schemars(range(min = 10, max = 1_000_000))]
    pub max_connections: u32,

    /// The most connections at once from one source: an IPv4 address, or an IPv6 network of `sourceIpv6Prefix`. A carrier's
    /// translated address can hold a thousand customers.
    #[serde(default = "GatewayLimits::default_per_source")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections_per_source: u32,

    /// The most connections at once from one source that are in a TLS handshake: they have proven nothing yet.
    #[serde(default = "GatewayLimits::default_handshakes")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_handshakes_per_source: u32,

    /// How many bits of an IPv6 address make one source. A subscriber mostly gets 56 or 64 bits.
    #[serde(default = "GatewayLimits::default_ipv6_prefix")]
    #[schemars(range(min = 16, max = 128))]
    pub source_ipv6_prefix: u8,

    /// Commands out of order or malformed, AUTH among them, after which a session ends with 421.
    #[serde(default = "GatewayLimits::default_errors")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_errors: u32,

    /// Commands without effect (NOOP, RSET, VRFY, HELP, EHLO), after which a session ends with 421. They are counted anew
    /// after each message.
    #[serde(default = "GatewayLimits::default_idle_commands")]
    #[schemars(range(min = 10, max = 100_000))]
    pub max_idle_commands: u32,

    /// Logins that failed, after which a session ends with 421: what was shown was wrong or refused, or nobody could check
    /// it. AUTH that shows nothing (cancelled, malformed, of an unknown mechanism) counts among the errors.
    #[serde(default = "GatewayLimits::default_auth_attempts")]
    #[schemars(range(min = 1, max = 100))]
    pub max_auth_attempts: u32,

    /// Recipients refused, after which a session ends with 421: who asks for so many is looking for addresses. They are
    /// counted anew after each message.
    #[serde(default = "GatewayLimits::default_refused_recipients")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_refused_recipients: u32,

    /// MAIL commands of one session; the next one is told 421. Clients that read LIMITS (RFC 9422) know it as MAILMAX.
    #[serde(default = "GatewayLimits::default_transactions")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub transactions_per_session: u32,

    /// How long a session may last; at least 1m and at most 48h.
    #[serde(default = "GatewayLimits::default_session")]
    pub max_session_duration: Duration,

    /// How long a client may take for one message from DATA on; at least 1m and at most 12h.
    #[serde(default = "GatewayLimits::default_message")]
    pub max_message_duration: Duration,

    /// How many octets of a message a client must send in a second, over the whole of the message and after its first
    /// minute. A slower one is told 421.
    #[serde(default = "GatewayLimits::default_rate")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub min_bytes_per_second: u32,

    /// What clients make one proxy keep in memory, together: messages that wait for their verdict, header sections, text
    /// that is looked at, input that was sent ahead. When it is used up, MAIL and DATA are told 452 and what runs goes on.
    /// If not given, the proxy's --message-memory, which all gateways of a process share; in a cluster half of the
    /// memory limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_buffered_bytes: Option<ByteSize>,

    /// What one proxy keeps of messages in files without a name, together, where they do not fit into memory. When it is
    /// used up, DATA is told 452.
    #[serde(default = "GatewayLimits::default_spooled")]
    pub max_spooled_bytes: ByteSize,

    /// Clients that make many errors wait for their replies.
    #[serde(default)]
    pub tarpit: Tarpit,
}

impl GatewayLimits {
    fn default_connections() -> u32 {
        50_000
    }

    fn default_per_source() -> u32 {
        2_000
    }

    fn default_handshakes() -> u32 {
        200
    }

    fn default_ipv6_prefix() -> u8 {
        64
    }

    fn default_errors() -> u32 {
        10
    }

    fn default_idle_commands() -> u32 {
        200
    }

    fn default_auth_attempts() -> u32 {
        3
    }

    fn default_refused_recipients() -> u32 {
        100
    }

    fn default_transactions() -> u32 {
        1_000
    }

    fn default_session() -> Duration {
        "12h".parse().expect("12h is a duration")
    }

    fn default_message() -> Duration {
        "1h".parse().expect("1h is a duration")
    }

    fn default_rate() -> u32 {
        100
    }

    fn default_spooled() -> ByteSize {
        "16Gi".parse().expect("16Gi is a size")
    }
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            max_connections: Self::default_connections(),
            max_connections_per_source: Self::default_per_source(),
            max_handshakes_per_source: Self::default_handshakes(),
            source_ipv6_prefix: Self::default_ipv6_prefix(),
            max_errors: Self::default_errors(),
            max_idle_commands: Self::default_idle_commands(),
            max_auth_attempts: Self::default_auth_attempts(),
            max_refused_recipients: Self::default_refused_recipients(),
            transactions_per_session: Self::default_transactions(),
            max_session_duration: Self::default_session(),
            max_message_duration: Self::default_message(),
            min_bytes_per_second: Self::default_rate(),
            max_buffered_bytes: None,
            max_spooled_bytes: Self::default_spooled(),
            tarpit: Tarpit::default(),
        }
    }
}

/// When replies wait. A session that waits holds no connection to a next hop and no buffer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "duration(self.delay) <= duration(self.maxDelay) && duration(self.maxDelay) <= duration('1m')",
    "message": "must be at most maxDelay, and maxDelay at most 1m; common clients give up after 100s",
    "fieldPath": ".delay",
}]))]
pub struct Tarpit {
    /// Delay: replies to errors wait. Never: they do not.
    #[serde(default)]
    pub mode: TarpitMode,

    /// Errors of a session from which on the replies to errors wait: wrong commands and failed logins count one each, and
    /// every tenth refused recipient counts one.
    #[serde(default = "Tarpit::default_after")]
    #[schemars(range(min = 1, max = 1000))]
    pub after: u32,

    /// How long the first of them waits, at most maxDelay; each further one waits twice as long as the one before.
    #[serde(default = "Tarpit::default_delay")]
    pub delay: Duration,

    /// How long a reply waits at most; at most 1m.
    #[serde(default = "Tarpit::default_max_delay")]
    pub max_delay: Duration,

    /// Percent of `maxConnections` that may wait at once. Whoever should wait beyond it is told 421 instead.
    #[serde(default = "Tarpit::default_percent")]
    #[schemars(range(min = 1, max = 50))]
    pub max_percent: u8,
}

impl Tarpit {
    fn default_after() -> u32 {
        3
    }

    fn default_delay() -> Duration {
        "1s".parse().expect("1s is a duration")
    }

    fn default_max_delay() -> Duration {
        "10s".parse().expect("10s is a duration")
    }

    fn default_percent() -> u8 {
        10
    }
}

impl Default for Tarpit {
    fn default() -> Self {
        Self {
            mode: TarpitMode::default(),
            after: Self::default_after(),
            delay: Self::default_delay(),
            max_delay: Self::default_max_delay(),
            max_percent: Self::default_percent(),
        }
    }
}

/// Whether replies to errors wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum TarpitMode {
    /// They do.
    #[default]
    Delay,
    /// They do not.
    Never,
}
