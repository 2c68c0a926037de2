//! The PROXY header at the front of a connection. It is read to its last octet and not one further, because
//! what follows may be the first octet of a TLS handshake.

use sekisho_smtp::proxy_protocol::{self, ProxyHeader, ProxyStep};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// No header of either version is shorter.
const SHORTEST: usize = 15;
/// The fixed part of a version 2 header; its last two octets say how much follows.
const V2_FIXED: usize = 16;

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoHeader {
    #[error(transparent)]
    Malformed(#[from] sekisho_smtp::Error),
    #[error("the connection ended within the PROXY header: {0}")]
    Cut(#[from] std::io::Error),
}

/// Reads the header that the connection must begin with.
pub(crate) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<ProxyHeader, NoHeader> {
    let mut buffer = vec![0; SHORTEST];
    stream.read_exact(&mut buffer).await?;
    loop {
        match proxy_protocol::parse(&buffer)? {
            ProxyStep::Done { header, .. } => return Ok(header),
            ProxyStep::NeedMore => {
                let have = buffer.len();
                buffer.resize(have + missing(&buffer), 0);
                stream.read_exact(&mut buffer[have..]).await?;
            }
        }
    }
}

/// Octets that surely belong to the header and are not there yet; at least one.
fn missing(buffer: &[u8]) -> usize {
    let have = buffer.len();
    let version_2 = buffer[0] == b'\r';
    if !version_2 {
        // Version 1 ends with CRLF wherever that is.
        return 1;
    }
    if have < V2_FIXED {
        return V2_FIXED - have;
    }
    let follows = usize::from(u16::from_be_bytes([buffer[14], buffer[15]]));
    (V2_FIXED + follows).saturating_sub(have).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn not_one_octet_too_many_is_read() {
        let source = "203.0.113.9:40000".parse().unwrap();
        let destination = "192.0.2.1:587".parse().unwrap();
        let header = ProxyHeader::Proxied {
            source,
            destination,
        };
        type Write = fn(&ProxyHeader, &mut Vec<u8>);
        for write in [
            proxy_protocol::write_v1 as Write,
            proxy_protocol::write_v2 as Write,
        ] {
            let mut octets = Vec::new();
            write(&header, &mut octets);
            octets.extend_from_slice(b"EHLO next\r\n");
            let mut stream = octets.as_slice();
            assert_eq!(read(&mut stream).await.unwrap(), header);
            assert_eq!(stream, b"EHLO next\r\n");
        }
        let mut unknown: &[u8] = b"PROXY UNKNOWN\r\nE";
        assert_eq!(read(&mut unknown).await.unwrap(), ProxyHeader::Unknown);
        assert_eq!(unknown, b"E");
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused_and_a_cut_one_too() {
        let mut greeting: &[u8] = b"EHLO client.example\r\n";
        assert!(matches!(
            read(&mut greeting).await,
            Err(NoHeader::Malformed(_))
        ));
        let mut cut: &[u8] = b"PROXY TCP4 203.0.113.9";
        assert!(matches!(read(&mut cut).await, Err(NoHeader::Cut(_))));
        let mut lying: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff";
        assert!(read(&mut lying).await.is_err());
    }
}
