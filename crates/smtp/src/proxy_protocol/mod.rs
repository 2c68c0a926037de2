//! The PROXY protocol, versions 1 and 2. A header is demanded or there is none: nothing is guessed.

use std::net::SocketAddr;

use crate::Error;

/// Octets of a version 1 header, CRLF included.
pub const MAX_V1: usize = 107;
/// Octets of a version 2 header that are taken, its 16 fixed ones included.
pub const MAX_V2: usize = 16 + 4096;

/// What a PROXY header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyHeader {
    /// A check of the proxy's own; the connection's addresses are the real ones.
    Local,
    /// The proxy does not know, or the family is not of IP.
    Unknown,
    /// The connection as the proxy accepted it.
    Proxied {
        /// The client.
        source: SocketAddr,
        /// Where it connected to.
        destination: SocketAddr,
    },
}

/// What [`parse`] made of the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyStep {
    /// A header has begun, and is not complete.
    NeedMore,
    /// A complete header.
    Done {
        /// Octets to drop from the front of the buffer.
        consumed: usize,
        /// What it says.
        header: ProxyHeader,
    },
}

/// Reads a header at the front of `buffer`, which is everything received so far.
///
/// # Errors
/// Any [`Error`] named `Proxy…`: close the connection without a word.
pub fn parse(buffer: &[u8]) -> Result<ProxyStep, Error> {
    let _ = buffer;
    unimplemented!()
}

/// Appends a version 1 header.
pub fn write_v1(header: &ProxyHeader, out: &mut Vec<u8>) {
    let _ = (header, out);
    unimplemented!()
}

/// Appends a version 2 header with a checksum.
pub fn write_v2(header: &ProxyHeader, out: &mut Vec<u8>) {
    let _ = (header, out);
    unimplemented!()
}
