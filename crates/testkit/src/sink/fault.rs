//! Ways in which a next hop misbehaves.

/// Where in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Greeting,
    Ehlo,
    StartTls,
    Auth,
    Xclient,
    Mail,
    Rcpt,
    /// The reply to DATA itself.
    Data,
    /// The reply to the final dot.
    Final,
    Rset,
    Quit,
}

/// How. What follows the fault goes on as if nothing had been, unless the fault ends the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This reply (or several lines, or several replies) in place of the right one; CRLF is added at the end.
    Reply(String),
    /// This reply, then the connection closes: `421 4.3.2 going down`.
    ReplyAndClose(String),
    /// The right reply, and then this one too, that nobody asked for.
    Twice(String),
    /// The connection stays open and nothing is said any more.
    Silence,
    /// The connection closes without a reply. At `Final` the message is not kept.
    Close,
    /// At `Final`: the message is kept, and the connection closes before the reply.
    KeepAndClose,
}
