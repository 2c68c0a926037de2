//! The exchange of RFC 7677 section 3, and those that must not succeed.

use super::*;

const NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SALT_OF_RFC: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";

fn verifier() -> Verifier {
    Verifier::of(b"pencil", &STANDARD.decode(SALT_OF_RFC).unwrap(), 4096)
}

fn account() -> Account {
    Account::canonical("user", None)
}

fn start(first: &str, known: &Known<'_>, channel: &[u8]) -> (Scram, String) {
    let first = ClientFirst::parse(&first.into()).unwrap();
    let key = FleetKey::new([7; 32]);
    let (exchange, challenge) = Scram::start(&first, account(), known, channel, NONCE, &key);
    (
        exchange,
        String::from_utf8(challenge.expose().to_vec()).unwrap(),
    )
}

#[test]
fn the_exchange_of_the_rfc() {
    let (exchange, challenge) = start(FIRST, &Known::Yes(&verifier()), b"");
    assert_eq!(
        challenge,
        format!("r=rOprNGfwEbeRWgbNEkqO{NONCE},s={SALT_OF_RFC},i=4096")
    );
    let Turn::Proven {
        account: whose,
        last,
    } = exchange.respond(&LAST.into())
    else {
        panic!("refused")
    };
    assert_eq!(whose, account());
    assert_eq!(
        last,
        Some("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".into())
    );
}

#[test]
fn nothing_else_is_believed() {
    let good = verifier();
    let tampered = [
        LAST.replace("p=d", "p=e"),
        LAST.replace("c=biws", "c=eSws"),
        LAST.replace("NlF$k0", "NlF$k1"),
        LAST.replace("dVQ=", "dVQA"),
        "c=biws,r=x,p=".to_owned(),
        String::new(),
    ];
    for text in tampered {
        let (exchange, _) = start(FIRST, &Known::Yes(&good), b"");
        let turn = exchange.respond(&text.as_str().into());
        assert!(matches!(turn, Turn::Refused), "{text}");
    }
    let (exchange, _) = start(FIRST, &Known::Yes(&good), b"channel");
    assert!(matches!(exchange.respond(&LAST.into()), Turn::Refused));
    let other = Verifier::of(b"pen", &good.salt, 4096);
    let (exchange, _) = start(FIRST, &Known::Yes(&other), b"");
    assert!(matches!(exchange.respond(&LAST.into()), Turn::Refused));
}

#[test]
fn a_stranger_is_asked_the_same_each_time_and_never_believed() {
    let like = verifier();
    let (exchange, challenge) = start(FIRST, &Known::No(&like), b"");
    let (_, again) = start(FIRST, &Known::No(&like), b"");
    assert_eq!(challenge, again, "the salt of one account does not change");
    assert!(challenge.ends_with(",i=4096") && !challenge.contains(SALT_OF_RFC));
    assert_eq!(exchange.verifier.salt.len(), like.salt.len());
    let nobody = Verifier::nobodys(&account(), &like, &FleetKey::new([7; 32]));
    // Even with the right keys: a stranger is a stranger.
    let lucky = Scram {
        verifier: like,
        ..exchange
    };
    assert!(matches!(lucky.respond(&LAST.into()), Turn::Refused));
    let other = Verifier::nobodys(&account(), &nobody, &FleetKey::new([8; 32]));
    assert_ne!(
        nobody.salt, other.salt,
        "nobody else can tell it from a real one"
    );
    assert_ne!(nobody.stored_key[..16], nobody.salt[..]);
}

#[test]
fn verifiers_are_written_and_read() {
    let good = verifier();
    let text = good.to_string();
    assert!(
        text.starts_with("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"),
        "{text}"
    );
    let read = Verifier::parse(&text).unwrap();
    assert!(read.matches(b"pencil") && !read.matches(b"Pencil"));
    assert_eq!(read.to_string(), text);
    let table = [
        (
            "SCRAM-SHA-1$4096:AAAA$AAAA:AAAA".to_owned(),
            HashFault::Kind,
        ),
        (text.replace("4096", "1000001"), HashFault::TooCostly),
        (text.replace("4096", "4095"), HashFault::Malformed),
        (text.replace("4096", "x"), HashFault::Malformed),
        (
            text.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "W22Z"),
            HashFault::Malformed,
        ),
        (text[..text.len() - 4].to_owned(), HashFault::Malformed),
        ("SCRAM-SHA-256$4096".to_owned(), HashFault::Malformed),
    ];
    for (text, fault) in table {
        assert_eq!(Verifier::parse(&text).err(), Some(fault), "{text}");
    }
    let new = Verifier::make(b"pencil").unwrap();
    assert!(new.matches(b"pencil") && new.iterations == ITERATIONS && new.salt != good.salt);
}

#[test]
fn a_stand_in_looks_like_the_server_that_it_stands_for() {
    let client = "rOprNGfwEbeRWgbNEkqO";
    let shape = |server: &str, salt: &[u8], iterations| {
        let salt = STANDARD.encode(salt);
        let challenge = format!("r={client}{server},s={salt},i={iterations}");
        Shape::of(&Secret::from(challenge.as_str()), client)
    };
    let plain = shape("abcdefgh", &[1; 12], 4096).unwrap();
    let any = shape("a!~#$%&*", &[1; 12], 4096).unwrap();
    let first = ClientFirst::parse(&FIRST.into()).unwrap();
    let key = FleetKey::new([7; 32]);
    for (seen, all_of_base64) in [(plain, true), (any, false)] {
        let nonce: String = (0..40).map(|_| seen.draw_nonce().unwrap()).collect();
        let of_base64 = |c: char| c.is_ascii_alphanumeric() || "+/".contains(c);
        assert_eq!(nonce.chars().all(of_base64), all_of_base64, "{nonce}");
        assert!(nonce.chars().all(|c| c.is_ascii_graphic() && c != ','));
        let nonce = seen.draw_nonce().unwrap();
        let like = Verifier::shaped(seen);
        let (_, challenge) = Scram::start(&first, account(), &Known::No(&like), b"", &nonce, &key);
        let shown = Shape::of(&challenge, client).unwrap();
        assert_eq!((shown.salt, shown.nonce, shown.iterations), (12, 8, 4096));
    }
    for not in [
        "r=other,s=AAAA,i=1",
        "r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=1",
        "",
    ] {
        assert_eq!(Shape::of(&not.into(), client), None, "{not}");
    }
}
