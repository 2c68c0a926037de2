//! The PROXY protocol, versions 1 and 2. A header is demanded or there is none: nothing is guessed.

mod crc32c;
mod v1;
mod v2;

use std::net::{IpAddr, SocketAddr};

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
    /// The connection as the proxy accepted it. Both addresses are of one family.
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
    if begins(buffer, &v2::SIGNATURE) {
        v2::parse(buffer)
    } else if begins(buffer, v1::SIGNATURE) {
        v1::parse(buffer)
    } else {
        Err(Error::ProxySignature)
    }
}

/// Whether the buffer holds the signature, or as much of it as came.
fn begins(buffer: &[u8], signature: &[u8]) -> bool {
    buffer.iter().zip(signature).all(|(a, b)| a == b)
}

/// Appends a version 1 header, which has no word for `Local` but `UNKNOWN`.
pub fn write_v1(header: &ProxyHeader, out: &mut Vec<u8>) {
    v1::write(header, out);
}

/// Appends a version 2 header with a checksum.
pub fn write_v2(header: &ProxyHeader, out: &mut Vec<u8>) {
    v2::write(header, out);
}

/// Two addresses in one family: IPv4 where both can be, else IPv6 with IPv4 mapped into it.
fn one_family(source: SocketAddr, destination: SocketAddr) -> (IpAddr, IpAddr) {
    match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V6(to)) => (from.to_ipv6_mapped().into(), to.into()),
        (IpAddr::V6(from), IpAddr::V4(to)) => (from.into(), to.to_ipv6_mapped().into()),
        same => same,
    }
}

#[cfg(test)]
mod tests;
