//! PROXY headers: each octet of one is needed, what follows does not matter, and what is read can be written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_smtp::proxy_protocol::{MAX_V2, ProxyHeader, ProxyStep, parse, write_v1, write_v2};

fuzz_target!(|bytes: &[u8]| {
    let step = parse(bytes);
    let Ok(ProxyStep::Done { consumed, header }) = step else {
        // A fault is final: more octets do not mend it.
        if step.is_err() {
            assert_eq!(parse(&[bytes, b"\r\n\0\0\0"].concat()).is_err(), true);
        }
        assert!(step.is_err() || bytes.len() < MAX_V2);
        return;
    };
    assert!(consumed <= bytes.len() && consumed <= MAX_V2);
    assert_eq!(parse(&bytes[..consumed]), step);
    for short in (0..consumed).rev().take(64) {
        assert_eq!(parse(&bytes[..short]), Ok(ProxyStep::NeedMore));
    }
    for (version, write) in [(1, write_v1 as fn(&ProxyHeader, &mut Vec<u8>)), (2, write_v2)] {
        let mut written = Vec::new();
        write(&header, &mut written);
        let Ok(ProxyStep::Done { consumed, header: read }) = parse(&written) else { panic!() };
        assert_eq!(consumed, written.len());
        match (header, read) {
            (ProxyHeader::Local, ProxyHeader::Unknown) if version == 1 => {}
            // IPv4 mapped into IPv6 is written as IPv4 where both are.
            (
                ProxyHeader::Proxied { source, destination },
                ProxyHeader::Proxied { source: from, destination: to },
            ) => {
                assert_eq!((source.ip().to_canonical(), source.port()), (from.ip().to_canonical(), from.port()));
                assert_eq!((destination.ip().to_canonical(), destination.port()), (to.ip().to_canonical(), to.port()));
            }
            (header, read) => assert_eq!(read, header),
        }
    }
});
