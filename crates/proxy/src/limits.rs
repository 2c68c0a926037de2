//! What a client may cost beside what `limits` of the gateway says: how long each wait lasts, and how much of anything a
//! session may have.

use std::time::Duration;

/// Bounds of a session. The defaults suit every honest mail program; tests shorten them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// For the PROXY header, which a load balancer sends with the connection.
    pub preamble: Duration,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For which a greeting waits for a client that talks before it, where a rule asks about that.
    pub early_talk: Duration,
    /// For the next command, or the next line of an AUTH exchange (RFC 5321 4.5.3.2.7: at least 5 minutes).
    pub command: Duration,
    /// For the next octets of a message (RFC 5321 4.5.3.2.5).
    pub data_block: Duration,
    /// For an AUTH exchange from its first challenge on: mail programs know the password before they ask.
    pub exchange: Duration,
    /// For the client's part of SCRAM or CRAM-MD5, from the beginning of the exchange to its last answer: a server behind us waits
    /// with it.
    pub contest: Duration,
    /// Before a client must send a message as fast as `minBytesPerSecond` of the gateway's limits has it.
    pub grace: Duration,
    /// For a client to take the replies that wait for it.
    pub reply: Duration,
    /// For a session that has neither logged in nor begun a message.
    pub unproven: Duration,
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
    /// The longest that an event waits for shared counters.
    pub counters: Duration,
    /// For a password to be checked, the wait for its turn included.
    pub login: Duration,
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
    /// How fast a client must be, in octets of a message in a second, for its message to pass while it comes in: that takes
    /// a connection of the next hop for as long. What is slower is held.
    pub streaming: u32,
}

impl Default for Limits {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            preamble: Duration::from_secs(5),
            handshake: Duration::from_secs(30),
            early_talk: Duration::from_millis(200),
            command: 5 * MINUTE,
            data_block: 3 * MINUTE,
            exchange: MINUTE,
            contest: Duration::from_secs(30),
            grace: MINUTE,
            reply: MINUTE,
            unproven: 15 * MINUTE,
            envelope: MINUTE,
            hop: Duration::from_secs(10),
            probe: Duration::from_secs(1),
            engine_pause: Duration::from_secs(1),
            counters: Duration::from_millis(250),
            login: Duration::from_secs(30),
            recipients: 10_000,
            held_in_memory: 256 * 1024,
            message: 1024 * 1024 * 1024,
            drained: 100 * 1024 * 1024,
            delay: Duration::from_secs(30),
            streaming: 32 * 1024,
        }
    }
}
