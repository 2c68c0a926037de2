//! What a client may cost: how long each wait lasts, and how much of anything a session may have.

use std::time::Duration;

/// Bounds of a session. The defaults suit every honest mail program; tests shorten them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// For the PROXY header, which a load balancer sends with the connection.
    pub preamble: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For the next command, or the next line of an AUTH exchange (RFC 5321 4.5.3.2.7: at least 5 minutes).
    pub command: Duration,
    /// For the next octets of a message (RFC 5321 4.5.3.2.5).
    pub data_block: Duration,
    /// For a whole message: what trickles in longer than this holds a connection of the next hop too long.
    pub data_total: Duration,
    /// For a client to take the replies that wait for it.
    pub reply: Duration,
    /// For a whole session.
    pub session: Duration,
    /// For a next hop to answer to the envelope; mail programs wait about 100 seconds for a reply.
    pub envelope: Duration,
    /// For a client within a transaction to keep its connection to the next hop. Those are few, and whoever thinks longer
    /// gets one again when it goes on; otherwise one idle account could hold all of a pool's.
    pub hop: Duration,
    /// After which next hops that nobody has talked to are asked what they offer, once or twice this long after a new
    /// snapshot.
    pub probe: Duration,
    /// For which a content engine that fails again and again is left alone at first.
    pub engine_pause: Duration,
    /// For a password to be checked, the wait for its turn included.
    pub login: Duration,
    /// Commands out of order or malformed, after which the session ends with 421.
    pub errors: u32,
    /// Commands that lead nowhere (NOOP, RSET, VRFY, HELP, EHLO), counted anew after each message.
    pub idle_commands: u32,
    /// Failed logins, after which the session ends with 421.
    pub failed_logins: u32,
    /// Recipients refused, counted anew after each message: who asks so many is looking for addresses.
    pub refused_recipients: u32,
    /// Recipients of one message, where the policy sets no smaller bound.
    pub recipients: usize,
    /// Octets of a message held in memory while its verdict is awaited; what is more goes to an unlinked file.
    pub held_in_memory: usize,
    /// The largest message, where the policy sets no smaller bound.
    pub message: u64,
    /// Octets of a message that is refused already, which are read to its end before the session is closed instead.
    pub drained: u64,
    /// The longest pause that a verdict may impose.
    pub delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            preamble: Duration::from_secs(5),
            handshake: Duration::from_secs(30),
            command: 5 * MINUTE,
            data_block: 3 * MINUTE,
            data_total: 60 * MINUTE,
            reply: MINUTE,
            session: 12 * 60 * MINUTE,
            envelope: MINUTE,
            hop: Duration::from_secs(10),
            probe: Duration::from_secs(1),
            engine_pause: Duration::from_secs(1),
            login: Duration::from_secs(30),
            errors: 10,
            idle_commands: 200,
            failed_logins: 3,
            refused_recipients: 100,
            recipients: 10_000,
            held_in_memory: 256 * 1024,
            message: 1024 * 1024 * 1024,
            drained: 100 * 1024 * 1024,
            delay: Duration::from_secs(30),
        }
    }
}
