//! SASL: an exchange ends once; what it yields can be sent again and yields the same; and what mechanisms that are held elsewhere say
//! is read in one way only.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_smtp::Command;
use sekisho_smtp::sasl::{
    ClientExchange, ClientFinal, ClientFirst, ClientStep, CramResponse, Credentials, Mechanism, Secret,
    ServerExchange, ServerStep, TokenMechanism, read_response,
};

fn line_of(octets: &[u8]) -> &[u8] {
    octets.strip_suffix(b"\r\n").unwrap()
}

fn send_again(mechanism: Mechanism, credentials: &Credentials) -> Credentials {
    let (mut client, command) = ClientExchange::start(mechanism, credentials);
    let Ok(Command::Auth(auth)) = Command::parse(line_of(command.expose())) else { panic!() };
    let (mut server, mut step) = ServerExchange::start(mechanism, auth.initial).unwrap();
    loop {
        step = match (step, client.answer()) {
            (ServerStep::Done(credentials), _) => return credentials,
            (ServerStep::Challenge(_), ClientStep::Send(line)) => {
                server.respond(&read_response(line_of(line.expose())).unwrap()).unwrap()
            }
            (ServerStep::Challenge(_), ClientStep::Cancel(_)) => panic!(),
        };
    }
}

fn passwords(mechanism: Mechanism, lines: &[u8]) {
    let (mut exchange, _) = ServerExchange::start(mechanism, None).unwrap();
    let mut over = false;
    for line in lines.split(|octet| *octet == b'\n') {
        let Ok(response) = read_response(line) else { return };
        let step = exchange.respond(&response);
        assert!(!over || step.is_err());
        match step {
            Ok(ServerStep::Challenge(_)) => {}
            Ok(ServerStep::Done(credentials)) => {
                over = true;
                assert!(!credentials.authentication.is_empty() && !credentials.password.is_empty());
                assert!(!credentials.password.expose().contains(&0));
                assert_eq!(send_again(mechanism, &credentials), credentials);
            }
            Err(_) => over = true,
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && !name.chars().any(char::is_control)
}

fn token(mechanism: TokenMechanism, message: &Secret) {
    let Ok(token) = mechanism.parse(message) else { return };
    assert!(token.account.as_deref().is_none_or(is_name) && token.host.as_deref().is_none_or(is_name));
    assert!(token.token.expose().iter().all(u8::is_ascii_graphic) && !token.token.is_empty());
    assert!(mechanism == TokenMechanism::Oauthbearer || token.account.is_some());
}

fn scram(message: &Secret) {
    if let Ok(first) = ClientFirst::parse(message) {
        assert!(is_name(&first.authentication));
        // What the client proves is what it said, octet by octet.
        assert_eq!([first.header_octets.as_slice(), &first.bare].concat(), message.expose());
        assert!(!first.nonce.contains(','));
    }
    if let Ok(last) = ClientFinal::parse(message) {
        assert!(message.expose().starts_with(&last.without_proof));
        assert!(last.without_proof.starts_with(b"c="));
    }
}

fuzz_target!(|data: &[u8]| {
    let [first, rest @ ..] = data else { return };
    let message = Secret::new(rest.to_vec());
    match first % 6 {
        0 => passwords(Mechanism::Plain, rest),
        1 => passwords(Mechanism::Login, rest),
        2 => token(TokenMechanism::Xoauth2, &message),
        3 => token(TokenMechanism::Oauthbearer, &message),
        4 => scram(&message),
        _ => {
            if let Ok(response) = CramResponse::parse(&message) {
                assert!(is_name(&response.authentication));
            }
        }
    }
});
