//! Version 1: one line of text.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{MAX_V1, ProxyHeader, ProxyStep, one_family};
use crate::Error;

pub(super) const SIGNATURE: &[u8] = b"PROXY ";

pub(super) fn parse(buffer: &[u8]) -> Result<ProxyStep, Error> {
    let window = &buffer[..buffer.len().min(MAX_V1)];
    let Some(end) = memchr::memchr2(b'\r', b'\n', window) else {
        return if window.len() == MAX_V1 {
            Err(Error::ProxyLength)
        } else {
            Ok(ProxyStep::NeedMore)
        };
    };
    match (window[end], window.get(end + 1)) {
        (b'\r', None) if end + 1 < MAX_V1 => Ok(ProxyStep::NeedMore),
        (b'\r', None) => Err(Error::ProxyLength),
        (b'\r', Some(b'\n')) => {
            let header = parse_line(&window[SIGNATURE.len().min(end)..end])?;
            Ok(ProxyStep::Done {
                consumed: end + 2,
                header,
            })
        }
        _ => Err(Error::ProxyAddress),
    }
}

/// What follows `PROXY `, without the CRLF.
fn parse_line(line: &[u8]) -> Result<ProxyHeader, Error> {
    let text = std::str::from_utf8(line).map_err(|_| Error::ProxyAddress)?;
    let mut words = text.split(' ');
    let parse_ip: fn(&str) -> Option<IpAddr> = match words.next() {
        // What else stands on the line is to be ignored.
        Some("UNKNOWN") => return Ok(ProxyHeader::Unknown),
        Some("TCP4") => |word| word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Some("TCP6") => |word| word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return Err(Error::ProxyKind),
    };
    let mut ip = || words.next().and_then(parse_ip).ok_or(Error::ProxyAddress);
    let (source_ip, destination_ip) = (ip()?, ip()?);
    let mut port = || words.next().and_then(parse_port).ok_or(Error::ProxyAddress);
    let (source_port, destination_port) = (port()?, port()?);
    if words.next().is_some() {
        return Err(Error::ProxyAddress);
    }
    Ok(ProxyHeader::Proxied {
        source: SocketAddr::new(source_ip, source_port),
        destination: SocketAddr::new(destination_ip, destination_port),
    })
}

/// 0 to 65535 without leading zeros, as the specification has it.
fn parse_port(word: &str) -> Option<u16> {
    let digits = word.bytes().all(|b| b.is_ascii_digit());
    let padded = word.len() > 1 && word.starts_with('0');
    if digits && !padded {
        word.parse().ok()
    } else {
        None
    }
}

pub(super) fn write(header: &ProxyHeader, out: &mut Vec<u8>) {
    let ProxyHeader::Proxied {
        source,
        destination,
    } = header
    else {
        out.extend_from_slice(b"PROXY UNKNOWN\r\n");
        return;
    };
    let (from, to) = one_family(*source, *destination);
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "PROXY {family} {from} {to} {} {}\r\n",
        source.port(),
        destination.port()
    );
}
