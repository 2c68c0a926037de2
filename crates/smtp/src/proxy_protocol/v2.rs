//! Version 2: binary, with a list of typed values after the addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{MAX_V2, ProxyHeader, ProxyStep, crc32c, one_family};
use crate::Error;

pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

const FIXED: usize = 16;
const TYPE_CRC32C: u8 = 0x03;
const TLV_CRC32C: usize = 3 + 4;

pub(super) fn parse(buffer: &[u8]) -> Result<ProxyStep, Error> {
    let Some((fixed, rest)) = buffer.split_first_chunk::<FIXED>() else {
        return Ok(ProxyStep::NeedMore);
    };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if FIXED + length > MAX_V2 {
        return Err(Error::ProxyLength);
    }
    let family = Family::parse(fixed[13])?;
    let local = match fixed[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err(Error::ProxyKind),
    };
    let Some(payload) = rest.get(..length) else {
        return Ok(ProxyStep::NeedMore);
    };
    let header = if local {
        // The proxy's own check: the family says nothing, and what follows is to be skipped.
        ProxyHeader::Local
    } else {
        let (addresses, tlvs) = payload
            .split_at_checked(family.address_octets())
            .ok_or(Error::ProxyLength)?;
        check_tlvs(fixed, payload, addresses.len(), tlvs)?;
        family.header(addresses)?
    };
    Ok(ProxyStep::Done {
        consumed: FIXED + length,
        header,
    })
}

/// The families that a stream can have. UDP is refused: no mail comes by it.
#[derive(Debug, Clone, Copy)]
enum Family {
    Unspecified,
    Inet,
    Inet6,
    Unix,
}

impl Family {
    fn parse(octet: u8) -> Result<Self, Error> {
        match octet {
            0x00 => Ok(Self::Unspecified),
            0x11 => Ok(Self::Inet),
            0x21 => Ok(Self::Inet6),
            0x31 => Ok(Self::Unix),
            _ => Err(Error::ProxyKind),
        }
    }

    fn address_octets(self) -> usize {
        match self {
            Self::Unspecified => 0,
            Self::Inet => 12,
            Self::Inet6 => 36,
            Self::Unix => 216,
        }
    }

    fn header(self, addresses: &[u8]) -> Result<ProxyHeader, Error> {
        match self {
            Self::Unspecified | Self::Unix => Ok(ProxyHeader::Unknown),
            Self::Inet => proxied::<4>(addresses, |octets| Ipv4Addr::from(octets).into()),
            Self::Inet6 => proxied::<16>(addresses, |octets| Ipv6Addr::from(octets).into()),
        }
    }
}

fn proxied<const N: usize>(
    addresses: &[u8],
    ip: fn([u8; N]) -> IpAddr,
) -> Result<ProxyHeader, Error> {
    let (from, rest) = addresses
        .split_first_chunk::<N>()
        .ok_or(Error::ProxyLength)?;
    let (to, ports) = rest.split_first_chunk::<N>().ok_or(Error::ProxyLength)?;
    let &[a, b, c, d] = ports else {
        return Err(Error::ProxyLength);
    };
    Ok(ProxyHeader::Proxied {
        source: SocketAddr::new(ip(*from), u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(ip(*to), u16::from_be_bytes([c, d])),
    })
}

/// Walks the list, which must fill its space exactly, and verifies a checksum if there is one.
fn check_tlvs(fixed: &[u8; FIXED], payload: &[u8], start: usize, tlvs: &[u8]) -> Result<(), Error> {
    let mut rest = tlvs;
    let mut position = start;
    while let Some((&[kind, high, low], after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, next) = after.split_at_checked(length).ok_or(Error::ProxyTlv)?;
        if kind == TYPE_CRC32C {
            let stated = u32::from_be_bytes(value.try_into().map_err(|_| Error::ProxyTlv)?);
            if stated != checksum_without(fixed, payload, position + 3) {
                return Err(Error::ProxyChecksum);
            }
        }
        position += 3 + length;
        rest = next;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(Error::ProxyTlv)
    }
}

/// The checksum of the whole header with the four octets at `hole` of the payload taken as zero.
fn checksum_without(fixed: &[u8], payload: &[u8], hole: usize) -> u32 {
    let zeroed = payload
        .iter()
        .enumerate()
        .map(|(i, b)| if (hole..hole + 4).contains(&i) { 0 } else { *b });
    crc32c::checksum(fixed.iter().copied().chain(zeroed))
}

pub(super) fn write(header: &ProxyHeader, out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(36 + TLV_CRC32C);
    let (command, family) = match header {
        ProxyHeader::Local => (0x20, 0x00),
        ProxyHeader::Unknown => (0x21, 0x00),
        ProxyHeader::Proxied {
            source,
            destination,
        } => (0x21, write_addresses(*source, *destination, &mut payload)),
    };
    let hole = payload.len() + 3;
    payload.extend_from_slice(&[TYPE_CRC32C, 0, 4, 0, 0, 0, 0]);
    let mut fixed = [0; FIXED];
    fixed[..12].copy_from_slice(&SIGNATURE);
    fixed[12] = command;
    fixed[13] = family;
    // At most 36 octets of addresses and 7 of checksum.
    fixed[15] = payload.len() as u8;
    let checksum = checksum_without(&fixed, &payload, hole);
    payload[hole..].copy_from_slice(&checksum.to_be_bytes());
    out.extend_from_slice(&fixed);
    out.extend_from_slice(&payload);
}

/// Appends addresses and ports, and returns the family octet.
fn write_addresses(source: SocketAddr, destination: SocketAddr, payload: &mut Vec<u8>) -> u8 {
    let (from, to) = one_family(source, destination);
    for ip in [from, to] {
        match ip {
            IpAddr::V4(v4) => payload.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => payload.extend_from_slice(&v6.octets()),
        }
    }
    payload.extend_from_slice(&source.port().to_be_bytes());
    payload.extend_from_slice(&destination.port().to_be_bytes());
    if from.is_ipv4() { 0x11 } else { 0x21 }
}
