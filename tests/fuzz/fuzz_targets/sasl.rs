//! SASL: an exchange ends once; what it yields can be sent again and yields the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sekisho_smtp::Command;
use sekisho_smtp::sasl::{ClientExchange, ClientStep, Credentials, Mechanism, ServerExchange, ServerStep, read_response};

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
            (ServerStep::Challenge(_), ClientStep::Send(line)) => server.respond(&read_response(line_of(line.expose())).unwrap()).unwrap(),
            (ServerStep::Challenge(_), ClientStep::Cancel(_)) => panic!(),
        };
    }
}

fuzz_target!(|data: &[u8]| {
    let [first, lines @ ..] = data else { return };
    let mechanism = if first % 2 == 0 { Mechanism::Plain } else { Mechanism::Login };
    let (mut exchange, _) = ServerExchange::start(mechanism, None).unwrap();
    let mut over = false;
    for line in lines.split(|octet| *octet == b'\n') {
        let step = read_response(line).and_then(|response| exchange.respond(&response));
        assert!(!over || step.is_err());
        match step {
            Ok(ServerStep::Challenge(_)) => {}
            Ok(ServerStep::Done(credentials)) => {
                over = true;
                assert!(!credentials.authentication.is_empty() && !credentials.password.is_empty());
                assert!(!credentials.password.expose().contains(&0));
                assert_eq!(send_again(mechanism, &credentials), credentials);
            }
            Err(_) => {}
        }
    }
});
