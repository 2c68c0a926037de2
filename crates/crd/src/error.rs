//! What a value of these kinds can be refused for.

/// A value that the schema would have refused, met while reading an object into its Rust type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not hours, minutes and seconds in that order, or nothing at all.
    #[error(
        "`{0}` is no duration: write hours, minutes and seconds in that order, like 24h, 1h30m or 45s"
    )]
    Duration(String),
    /// Not a whole number of bytes with a known suffix, or more than 2^63.
    #[error(
        "`{0}` is no size: write a whole number of bytes, or one with k, M, G, Ki, Mi or Gi, like 25Mi"
    )]
    ByteSize(String),
    /// Not a network in CIDR notation, or one with bits set after its prefix.
    #[error(
        "`{0}` is no network: write a network address and its prefix length, like 192.0.2.0/24 or 2001:db8::/32"
    )]
    Cidr(String),
    /// Not `host:port`, with an IPv6 host in brackets.
    #[error(
        "`{0}` is no address: write host:port, like postfix.mail:25, 192.0.2.1:25 or [2001:db8::1]:25"
    )]
    HostPort(String),
    /// Neither `unix:` with an absolute path nor `host:port`.
    #[error(
        "`{0}` is no address of a service: write unix: and an absolute path of at most 107 octets, like unix:/run/dovecot/auth-client, or host:port"
    )]
    ServiceAddress(String),
    /// No kind of this group has that name.
    #[error("`{0}` is no kind of sekisho.dev")]
    UnknownKind(String),
}
