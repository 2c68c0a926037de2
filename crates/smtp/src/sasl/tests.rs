//! Exchanges of RFC 4616 and RFC 4954, and hostile ones.

use proptest::prelude::*;

use super::*;

fn credentials(authorization: Option<&str>, authentication: &str, password: &str) -> Credentials {
    Credentials {
        authorization: authorization.map(str::to_owned),
        authentication: authentication.to_owned(),
        password: password.into(),
    }
}

fn respond(exchange: &mut ServerExchange, line: &[u8]) -> Result<ServerStep, Error> {
    exchange.respond(&read_response(line)?)
}

fn plain(message: &[u8]) -> Result<Credentials, Error> {
    match ServerExchange::start(Mechanism::Plain, Some(Secret::new(message.to_vec())))?.1 {
        ServerStep::Done(credentials) => Ok(credentials),
        ServerStep::Challenge(_) => panic!("PLAIN has one message"),
    }
}

#[test]
fn plain_of_the_rfc() {
    assert_eq!(
        plain(b"\0tim\0tanstaaftanstaaf"),
        Ok(credentials(None, "tim", "tanstaaftanstaaf"))
    );
    assert_eq!(
        plain(b"Ursel\0Kurt\0xipj3plmq"),
        Ok(credentials(Some("Ursel"), "Kurt", "xipj3plmq"))
    );
}

#[test]
fn plain_refuses_what_is_ambiguous() {
    for message in [
        &b""[..],
        b"\0",
        b"\0\0",
        b"tim\0pass",
        b"\0tim\0",
        b"\0\0pass",
        b"\0tim\0pa\0ss",
        b"\0tim\0pass\0",
        b"\0t\xFFm\0pass",
        b"\0t\nm\0pass",
    ] {
        assert_eq!(
            plain(message),
            Err(Error::SaslResponse),
            "{}",
            message.escape_ascii()
        );
    }
    let long = [b"\0".as_slice(), &[b'x'; 256], b"\0pass"].concat();
    assert_eq!(plain(&long), Err(Error::SaslResponse));
}

#[test]
fn plain_without_initial_response() {
    let (mut exchange, step) = ServerExchange::start(Mechanism::Plain, None).unwrap();
    assert_eq!(step, ServerStep::Challenge(""));
    let step = respond(&mut exchange, b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm").unwrap();
    assert_eq!(
        step,
        ServerStep::Done(credentials(None, "tim", "tanstaaftanstaaf"))
    );
    assert_eq!(
        respond(&mut exchange, b"AHRpbQB0YW5zdGFhZnRhbnN0YWFm"),
        Err(Error::SaslResponse),
        "an exchange ends once"
    );
}

#[test]
fn login_asks_twice() {
    let (mut exchange, step) = ServerExchange::start(Mechanism::Login, None).unwrap();
    assert_eq!(step, ServerStep::Challenge("VXNlcm5hbWU6"));
    assert_eq!(
        respond(&mut exchange, b"dGFybw=="),
        Ok(ServerStep::Challenge("UGFzc3dvcmQ6"))
    );
    assert_eq!(
        respond(&mut exchange, b"aGltaXRzdQ=="),
        Ok(ServerStep::Done(credentials(None, "taro", "himitsu")))
    );

    let (mut exchange, step) =
        ServerExchange::start(Mechanism::Login, Some("taro".into())).unwrap();
    assert_eq!(step, ServerStep::Challenge("UGFzc3dvcmQ6"));
    assert!(matches!(
        respond(&mut exchange, b"aGltaXRzdQ=="),
        Ok(ServerStep::Done(_))
    ));
}

#[test]
fn faults_end_an_exchange() {
    for (line, error, code) in [
        (&b"*"[..], Error::SaslCancelled, 501),
        (b"dGFybw", Error::Base64, 501),
        (b"dGFyb===", Error::Base64, 501),
        (b"dGFy bw==", Error::Base64, 501),
        (b"dGFyb2==\r", Error::Base64, 501),
        (b"dGFybx==", Error::Base64, 501),
        (b"-_-_", Error::Base64, 501),
        (b"", Error::SaslResponse, 501),
        (b"=", Error::Base64, 501),
        (&[b'A'; 12_288], Error::LineTooLong, 500),
    ] {
        let (mut exchange, _) = ServerExchange::start(Mechanism::Login, None).unwrap();
        assert_eq!(
            respond(&mut exchange, line),
            Err(error),
            "{}",
            line.escape_ascii()
        );
        assert_eq!(refusal(error).reply.code(), code);
    }
}

#[test]
fn secrets_do_not_show() {
    let shown = format!("{:?}", credentials(None, "taro", "himitsu"));
    assert!(
        shown.contains("taro") && !shown.contains("himitsu"),
        "{shown}"
    );
    let (mut exchange, _) = ServerExchange::start(Mechanism::Login, None).unwrap();
    respond(&mut exchange, b"dGFybw==").unwrap();
    assert!(!format!("{exchange:?}").contains("himitsu"));
    let (client, _) =
        ClientExchange::start(Mechanism::Login, &credentials(None, "taro", "himitsu"));
    assert!(!format!("{client:?}").contains("aGltaXRzdQ"));
}

#[test]
fn a_client_whose_command_would_be_too_long_waits_for_the_challenge() {
    let long = credentials(None, "taro", &"x".repeat(400));
    let (mut exchange, command) = ClientExchange::start(Mechanism::Plain, &long);
    assert_eq!(command.expose(), b"AUTH PLAIN\r\n");
    assert!(
        matches!(exchange.answer(), ClientStep::Send(line) if line.expose().ends_with(b"\r\n"))
    );
    assert_eq!(exchange.answer(), ClientStep::Cancel(b"*\r\n"));
}

/// Lets a client and a server talk until the server knows.
fn talk(mechanism: Mechanism, credentials: &Credentials) -> Credentials {
    let (mut client, command) = ClientExchange::start(mechanism, credentials);
    let line = command.expose().strip_suffix(b"\r\n").unwrap();
    let crate::Command::Auth(auth) = crate::Command::parse(line).unwrap() else {
        panic!()
    };
    let mechanism = Mechanism::from_name(&auth.mechanism).unwrap();
    let (mut server, mut step) = ServerExchange::start(mechanism, auth.initial).unwrap();
    loop {
        step = match step {
            ServerStep::Done(credentials) => return credentials,
            ServerStep::Challenge(_) => {
                let ClientStep::Send(line) = client.answer() else {
                    panic!()
                };
                respond(&mut server, line.expose().strip_suffix(b"\r\n").unwrap()).unwrap()
            }
        };
    }
}

proptest! {
    #[test]
    fn client_and_server_agree(
        authorization in proptest::option::of("[a-z@.é]{1,30}"),
        authentication in "[a-z@.é]{1,60}",
        password in prop::collection::vec(1..=255_u8, 1..600),
    ) {
        let given = Credentials { authorization, authentication, password: Secret::new(password) };
        prop_assert_eq!(talk(Mechanism::Plain, &given), given.clone());
        let without = Credentials { authorization: None, ..given };
        prop_assert_eq!(talk(Mechanism::Login, &without), without);
    }
}
