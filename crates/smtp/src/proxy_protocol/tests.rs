//! Examples of the specification, faults, and round trips.

use proptest::prelude::*;

use super::*;

fn done(buffer: &[u8]) -> (usize, ProxyHeader) {
    match parse(buffer) {
        Ok(ProxyStep::Done { consumed, header }) => (consumed, header),
        other => panic!("{other:?}"),
    }
}

fn proxied(source: &str, destination: &str) -> ProxyHeader {
    ProxyHeader::Proxied {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = v2::SIGNATURE.to_vec();
    header.extend([command, family]);
    header.extend((payload.len() as u16).to_be_bytes());
    header.extend(payload);
    header
}

const INET: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x1F, 0x90, 0x02, 0x4B];

#[test]
fn reads_version_1() {
    let line = b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\nEHLO x\r\n";
    assert_eq!(
        done(line),
        (
            56,
            proxied("255.255.255.255:65535", "255.255.255.255:65535")
        )
    );
    let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n";
    assert_eq!(
        done(line).1,
        proxied("[2001:db8::1]:56324", "[2001:db8::2]:443")
    );
    assert_eq!(done(b"PROXY UNKNOWN\r\n"), (15, ProxyHeader::Unknown));
    let longest = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(done(longest.as_bytes()), (MAX_V1, ProxyHeader::Unknown));
}

#[test]
fn refuses_version_1_faults() {
    let cases: [(&[u8], Error); 13] = [
        (b"EHLO x\r\n", Error::ProxySignature),
        (b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", Error::ProxySignature),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", Error::ProxyAddress),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rX", Error::ProxyAddress),
        (
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            Error::ProxyAddress,
        ),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", Error::ProxyAddress),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", Error::ProxyAddress),
        (b"PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n", Error::ProxyAddress),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", Error::ProxyAddress),
        (b"PROXY TCP4 ::1 ::1 1 2\r\n", Error::ProxyAddress),
        (b"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n", Error::ProxyAddress),
        (b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", Error::ProxyKind),
        (
            &[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 100]].concat(),
            Error::ProxyLength,
        ),
    ];
    for (line, error) in cases {
        assert_eq!(parse(line), Err(error), "{}", line.escape_ascii());
    }
}

#[test]
fn reads_version_2() {
    let bytes = [v2(0x21, 0x11, &INET), b"EHLO".to_vec()].concat();
    assert_eq!(
        done(&bytes),
        (28, proxied("192.0.2.1:8080", "198.51.100.2:587"))
    );
    assert_eq!(done(&v2(0x20, 0x00, b"")), (16, ProxyHeader::Local));
    // HAProxy's health checks carry a family and addresses in LOCAL; they mean nothing.
    assert_eq!(done(&v2(0x20, 0x11, &INET)).1, ProxyHeader::Local);
    assert_eq!(done(&v2(0x21, 0x31, &[0; 216])).1, ProxyHeader::Unknown);
    let with_tlv = [INET.as_slice(), &[0x04, 0, 2, 9, 9], &[0xEA, 0, 0]].concat();
    assert_eq!(
        done(&v2(0x21, 0x11, &with_tlv)).1,
        proxied("192.0.2.1:8080", "198.51.100.2:587")
    );
}

#[test]
fn refuses_version_2_faults() {
    let tlv = |tail: &[u8]| v2(0x21, 0x11, &[INET.as_slice(), tail].concat());
    let cases = [
        (v2(0x11, 0x11, &INET), Error::ProxyKind),
        (v2(0x22, 0x11, &INET), Error::ProxyKind),
        (v2(0x21, 0x12, &INET), Error::ProxyKind),
        (v2(0x21, 0x41, &INET), Error::ProxyKind),
        (v2(0x21, 0x11, &INET[..11]), Error::ProxyLength),
        (v2(0x21, 0x21, &INET), Error::ProxyLength),
        (
            v2(0x20, 0x00, &[0; 4097])[..16].to_vec(),
            Error::ProxyLength,
        ),
        (tlv(&[0x04, 0, 3, 1, 2]), Error::ProxyTlv),
        (tlv(&[0x04, 0]), Error::ProxyTlv),
        (tlv(&[0x03, 0, 3, 1, 2, 3]), Error::ProxyTlv),
        (tlv(&[0x03, 0, 4, 1, 2, 3, 4]), Error::ProxyChecksum),
        (b"\r\n\r\n\0\r\nQUIT\r".to_vec(), Error::ProxySignature),
    ];
    for (bytes, error) in cases {
        assert_eq!(parse(&bytes), Err(error), "{}", bytes.escape_ascii());
    }
}

#[test]
fn writes_mixed_families_as_ipv6() {
    let mut line = Vec::new();
    write_v1(&proxied("192.0.2.1:1", "[2001:db8::2]:2"), &mut line);
    assert_eq!(line, b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n");
}

fn addresses() -> impl Strategy<Value = ProxyHeader> {
    let v4 = (any::<([u8; 4], u16, [u8; 4], u16)>())
        .prop_map(|(a, p, b, q)| (SocketAddr::from((a, p)), SocketAddr::from((b, q))));
    let v6 = (any::<([u8; 16], u16, [u8; 16], u16)>())
        .prop_filter("not mapped", |(a, _, b, _)| a[0] != 0 && b[0] != 0)
        .prop_map(|(a, p, b, q)| (SocketAddr::from((a, p)), SocketAddr::from((b, q))));
    prop_oneof![v4, v6].prop_map(|(source, destination)| ProxyHeader::Proxied {
        source,
        destination,
    })
}

proptest! {
    /// What is written is read, needs each of its octets, and is broken by any flipped bit that a checksum can see.
    #[test]
    fn round_trips(header in addresses(), flip in any::<(prop::sample::Index, u8)>(), tail: Vec<u8>) {
        for write in [write_v1, write_v2] {
            let mut bytes = Vec::new();
            write(&header, &mut bytes);
            let length = bytes.len();
            for short in 0..length {
                prop_assert_eq!(parse(&bytes[..short]), Ok(ProxyStep::NeedMore));
            }
            bytes.extend(&tail);
            prop_assert_eq!(parse(&bytes), Ok(ProxyStep::Done { consumed: length, header }));
        }
        let mut bytes = Vec::new();
        write_v2(&header, &mut bytes);
        let at = 16 + flip.0.index(bytes.len() - 16 - 7);
        bytes[at] ^= 1 << (flip.1 % 8);
        prop_assert_eq!(parse(&bytes), Err(Error::ProxyChecksum));
    }
}
