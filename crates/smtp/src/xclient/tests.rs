//! Examples of the XCLIENT readme, faults, and round trips.

use proptest::prelude::*;

use super::*;

fn all() -> Vec<String> {
    ATTRIBUTES.map(str::to_owned).to_vec()
}

#[test]
fn reads_the_examples_of_the_readme() {
    let read = XclientAttributes::parse("NAME=spike.porcupine.org ADDR=168.100.189.2").unwrap();
    assert_eq!(
        read.name,
        Some(Told::Known("spike.porcupine.org".to_owned()))
    );
    assert_eq!(
        read.addr,
        Some(Told::Known("168.100.189.2".parse().unwrap()))
    );
    let read = XclientAttributes::parse(
        "name=[TEMPUNAVAIL] addr=IPv6:2001:db8::1 proto=ESMTP login=[unavailable] PORT=25",
    );
    let read = read.unwrap();
    assert_eq!(read.name, Some(Told::TemporarilyUnavailable));
    assert_eq!(
        read.addr.unwrap().known(),
        Some(&"2001:db8::1".parse().unwrap())
    );
    assert_eq!(
        (read.proto, read.login, read.port),
        (
            Some(Told::Known(Proto::Esmtp)),
            Some(Told::Unavailable),
            Some(Told::Known(25))
        )
    );
    let read = XclientAttributes::parse("LOGIN=taro+20yamada HELO=[192.0.2.1]").unwrap();
    assert_eq!(read.login, Some(Told::Known("taro yamada".to_owned())));
}

#[test]
fn refuses_what_is_malformed() {
    for arguments in [
        "",
        "NAME",
        "NAME=",
        "FOO=1",
        "NAME=a NAME=b",
        "ADDR=a",
        "ADDR=2001:db8::1",
        "ADDR=IPV6:192.0.2.1",
        "PORT=65536",
        "PORT=+5",
        "PORT=",
        "PROTO=LMTP",
        "HELO=a+20b",
        "LOGIN=a+00b",
        "LOGIN=+0D+0A",
        "LOGIN=+ff",
        "LOGIN=+FF",
    ] {
        assert!(XclientAttributes::parse(arguments).is_err(), "{arguments}");
    }
}

#[test]
fn later_commands_add_and_replace() {
    let mut told = XclientAttributes::parse("ADDR=192.0.2.1 LOGIN=a").unwrap();
    told.merge(XclientAttributes::parse("LOGIN=[UNAVAILABLE] PORT=1").unwrap());
    assert_eq!(
        told,
        XclientAttributes::parse("ADDR=192.0.2.1 PORT=1 LOGIN=[UNAVAILABLE]").unwrap()
    );
}

#[test]
fn tells_only_what_is_offered_and_splits_what_is_long() {
    let told = XclientAttributes {
        name: Some(Told::Known("n".repeat(255))),
        addr: Some(Told::Known("2001:db8::1".parse().unwrap())),
        login: Some(Told::Known("l".repeat(255))),
        ..XclientAttributes::default()
    };
    let commands = told.to_commands(&all()).unwrap();
    assert_eq!(commands.len(), 2);
    assert!(
        commands
            .iter()
            .all(|c| c.len() <= MAX_COMMAND && c.starts_with(b"XCLIENT ") && c.ends_with(b"\r\n"))
    );
    let commands = told.to_commands(&["addr".to_owned()]).unwrap();
    assert_eq!(commands, [b"XCLIENT ADDR=IPV6:2001:db8::1\r\n"]);
    assert!(told.to_commands(&[]).unwrap().is_empty());
    let long = XclientAttributes {
        login: Some(Told::Known("é".repeat(127))),
        ..XclientAttributes::default()
    };
    assert_eq!(long.to_commands(&all()), Err(Error::LineTooLong));
}

#[test]
fn a_login_that_looks_like_the_word_is_told_from_it() {
    let told = XclientAttributes {
        login: Some(Told::Known("[UNAVAILABLE]".to_owned())),
        ..XclientAttributes::default()
    };
    assert_eq!(
        told.to_commands(&all()).unwrap(),
        [b"XCLIENT LOGIN=+5BUNAVAILABLE]\r\n"]
    );
}

fn told<T: Clone + std::fmt::Debug>(
    values: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<Told<T>>> {
    prop_oneof![
        Just(None),
        Just(Some(Told::Unavailable)),
        Just(Some(Told::TemporarilyUnavailable)),
        values.prop_map(|value| Some(Told::Known(value))),
    ]
}

proptest! {
    #[test]
    fn round_trips(
        name in told("[!-~]{1,60}"),
        addr in told(any::<IpAddr>()),
        ports in (told(any::<u16>()), told(any::<u16>())),
        proto in told(prop_oneof![Just(Proto::Smtp), Just(Proto::Esmtp)]),
        helo in told("[!-~]{1,40}".prop_map(|name| ClientName::new(&name).unwrap())),
        login in told("[ -~é用]{1,40}"),
        destaddr in told(any::<IpAddr>()),
    ) {
        let (port, destport) = ports;
        let attributes = XclientAttributes { name, addr, port, proto, helo, login, destaddr, destport };
        let mut read = XclientAttributes::default();
        for command in attributes.to_commands(&all()).unwrap() {
            prop_assert!(command.len() <= MAX_COMMAND);
            let text = std::str::from_utf8(&command).unwrap();
            read.merge(XclientAttributes::parse(text.strip_prefix("XCLIENT ").unwrap().trim_end()).unwrap());
        }
        prop_assert_eq!(read, attributes);
    }

    #[test]
    fn xtext_round_trips(octets: Vec<u8>) {
        let text = xtext::encode(&octets);
        prop_assert!(text.bytes().all(|b| b.is_ascii_graphic() && b != b'='));
        prop_assert_eq!(xtext::decode(&text), Ok(octets));
    }
}
