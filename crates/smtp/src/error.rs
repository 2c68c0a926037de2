//! What can be wrong with bytes from a peer. One enum for the crate; a fault that a client must hear about comes as a [`Refusal`](crate::Refusal).

/// A fault in what a peer sent. None of the variants carries what was sent, so an error can always be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A line exceeded its limit (RFC 5321 4.5.3.1, RFC 4954 4.9).
    #[error("line is too long")]
    LineTooLong,
    /// A CR without LF or an LF without CR where only CRLF ends a line (RFC 5321 2.3.8).
    #[error("bare CR or LF")]
    BareNewline,

    /// The address does not follow the grammar of RFC 5321 4.1.2.
    #[error("address syntax error")]
    AddressSyntax,
    /// The part before the `@` exceeds 64 octets (RFC 5321 4.5.3.1.1).
    #[error("local part is longer than 64 octets")]
    LocalPartTooLong,
    /// The domain exceeds 255 octets, or one of its labels 63 (RFC 5321 4.5.3.1.2, RFC 1035).
    #[error("domain is too long")]
    DomainTooLong,
    /// The path exceeds 256 octets with its brackets (RFC 5321 4.5.3.1.3).
    #[error("path is longer than 256 octets")]
    PathTooLong,
    /// The domain is neither a name nor an address literal (RFC 5321 4.1.3), or has no A-label form (RFC 5891).
    #[error("domain syntax error")]
    DomainSyntax,

    /// A reply line does not begin with a code from 200 to 599 and a space, a hyphen or its end.
    #[error("reply has no valid code")]
    ReplyCode,
    /// The lines of one reply carry different codes.
    #[error("reply has mixed codes")]
    ReplyMixedCodes,
    /// A reply has more lines or octets than the limit.
    #[error("reply is too long")]
    ReplyTooLong,

    /// The stream does not begin with a PROXY header of a known version.
    #[error("PROXY header signature missing")]
    ProxySignature,
    /// Version, command, family or transport is not one that the specification defines for a stream.
    #[error("PROXY header of an unsupported kind")]
    ProxyKind,
    /// An address or port in a PROXY header is malformed.
    #[error("PROXY header address is malformed")]
    ProxyAddress,
    /// The header is longer than allowed, or shorter than its family needs.
    #[error("PROXY header length is wrong")]
    ProxyLength,
    /// The type-length-value list of a version 2 header does not fill its space exactly.
    #[error("PROXY header TLV is malformed")]
    ProxyTlv,
    /// The CRC32c of a version 2 header does not match.
    #[error("PROXY header checksum mismatch")]
    ProxyChecksum,

    /// Not xtext (RFC 3461 section 4).
    #[error("xtext is malformed")]
    Xtext,
    /// An XCLIENT attribute is unknown, repeated or has a malformed value.
    #[error("XCLIENT attribute is malformed")]
    XclientAttribute,

    /// Not canonical base64 (RFC 4648 section 4, RFC 4954 section 4).
    #[error("base64 is malformed")]
    Base64,
    /// The client cancelled the authentication with `*`.
    #[error("authentication cancelled")]
    SaslCancelled,
    /// The decoded response does not follow its mechanism.
    #[error("authentication response is malformed")]
    SaslResponse,
}
