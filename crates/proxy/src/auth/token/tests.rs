//! Tokens as attackers make them.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sekisho_policy::snapshot::EmailVerification;
use serde_json::{Value, json};
use sha2::Sha256;

use super::TokenFault as Fault;
use super::claims::{Claims, Expected};
use super::json;
use super::jws::Jws;
use super::keys::{Keys, KeysFault};
use super::minted::{Minter, NOW, claims, set};

const ISSUER: &str = "https://id.example";

struct Issuer {
    rsa: Minter,
    p256: Minter,
    ed25519: Minter,
    keys: Keys,
    set: String,
}

static ISSUED: LazyLock<Issuer> = LazyLock::new(|| {
    let (rsa, p256, ed25519) = (Minter::rsa(), Minter::p256(), Minter::ed25519());
    let set = set(&[rsa.public("r"), p256.public("p"), ed25519.public("e")]);
    Issuer {
        keys: Keys::parse(set.as_bytes()).unwrap(),
        rsa,
        p256,
        ed25519,
        set,
    }
});

fn check_at(token: &str, now: u64) -> Result<Claims, Fault> {
    let (audiences, scopes) = (["sekisho".to_owned()], ["smtp".to_owned()]);
    let expected = Expected {
        issuer: ISSUER,
        audiences: &audiences,
        scopes: &scopes,
    };
    Claims::of_signed(&Jws::parse(token.as_bytes())?, &ISSUED.keys, expected, now)
}

fn check(token: &str) -> Result<String, Fault> {
    check_as(token, EmailVerification::Required)
}

fn check_as(token: &str, verification: EmailVerification) -> Result<String, Fault> {
    let claims = check_at(token, NOW)?;
    claims.account("email", verification).map(str::to_owned)
}

fn with(changes: Value) -> Result<String, Fault> {
    check(&ISSUED.p256.token("p", &claims(ISSUER, changes)))
}

#[test]
fn good_tokens_of_each_kind_of_key() {
    let issued = &*ISSUED;
    let good = claims(ISSUER, Value::Null);
    let account = Ok("Tanaka@example.jp".to_owned());
    for (id, minter) in [
        ("r", &issued.rsa),
        ("p", &issued.p256),
        ("e", &issued.ed25519),
    ] {
        assert_eq!(check(&minter.token(id, &good)), account, "{id}");
    }
    let headers = [
        json!({ "alg": "PS256", "kid": "r" }),
        json!({ "alg": "RS256", "kid": "r", "typ": "JWT" }),
        // The only key for that algorithm.
        json!({ "alg": "RS256" }),
        json!({ "alg": "RS256", "kid": "r", "typ": "application/at+jwt", "jku": "https://evil.example" }),
    ];
    for header in headers {
        assert_eq!(check(&issued.rsa.sign(&header, &good)), account, "{header}");
    }
}

#[test]
fn headers_of_attackers() {
    let issued = &*ISSUED;
    let good = claims(ISSUER, Value::Null);
    let es = |header: Value| check(&issued.p256.sign(&header, &good));
    let rs = |header: Value| check(&issued.rsa.sign(&header, &good));
    let table = [
        (es(json!({ "alg": "none", "kid": "p" })), Fault::Algorithm),
        (es(json!({ "alg": "None", "kid": "p" })), Fault::Algorithm),
        (es(json!({ "alg": "HS256", "kid": "p" })), Fault::Algorithm),
        (es(json!({ "alg": "ES256K", "kid": "p" })), Fault::Algorithm),
        (es(json!({ "alg": 1, "kid": "p" })), Fault::Malformed),
        (es(json!({ "kid": "p" })), Fault::Algorithm),
        (
            es(json!({ "alg": "ES256", "kid": ["p"] })),
            Fault::Malformed,
        ),
        // A key of another kind, another algorithm than the key's own, and no key at all.
        (es(json!({ "alg": "ES256", "kid": "r" })), Fault::UnknownKey),
        (es(json!({ "alg": "ES384", "kid": "p" })), Fault::UnknownKey),
        (es(json!({ "alg": "ES256", "kid": "q" })), Fault::UnknownKey),
        (rs(json!({ "alg": "RS512", "kid": "r" })), Fault::Signature),
        (
            es(json!({ "alg": "ES256", "kid": "p", "crit": ["exp"] })),
            Fault::Unsupported,
        ),
        (
            es(json!({ "alg": "ES256", "kid": "p", "crit": null })),
            Fault::Unsupported,
        ),
        (
            es(json!({ "alg": "ES256", "kid": "p", "b64": false })),
            Fault::Unsupported,
        ),
        (
            es(json!({ "alg": "ES256", "kid": "p", "zip": "DEF" })),
            Fault::Unsupported,
        ),
        (
            es(json!({ "alg": "ES256", "kid": "p", "typ": "logout+jwt" })),
            Fault::Type,
        ),
        (
            es(json!({ "alg": "ES256", "kid": "p", "typ": "dpop+jwt" })),
            Fault::Type,
        ),
    ];
    for (index, (said, fault)) in table.into_iter().enumerate() {
        assert_eq!(said, Err(fault), "{index}");
    }
    // Its own key, brought along.
    let own = Minter::p256();
    let header = json!({ "alg": "ES256", "kid": "p", "jwk": own.public("p") });
    assert_eq!(check(&own.sign(&header, &good)), Err(Fault::Signature));
    let twice = r#"{"alg":"ES256","kid":"p","alg":"none"}"#;
    let twice = issued.p256.sign_text(twice, &good.to_string());
    assert_eq!(check(&twice), Err(Fault::Malformed));
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let encode = |octets: &[u8]| BASE64URL.encode(octets);
    let header = encode(br#"{"alg":"HS256","kid":"r"}"#);
    let signed = format!(
        "{header}.{}",
        encode(claims(ISSUER, Value::Null).to_string().as_bytes())
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(ISSUED.set.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    let token = format!("{signed}.{}", encode(&mac.finalize().into_bytes()));
    assert_eq!(check(&token), Err(Fault::Algorithm));
}

#[test]
fn shapes_that_are_no_token() {
    let good = ISSUED.p256.token("p", &claims(ISSUER, Value::Null));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let mut wrong = BASE64URL.decode(signature).unwrap();
    wrong[7] ^= 1;
    let other = ISSUED
        .p256
        .token("p", &claims(ISSUER, json!({ "email": "a@example.jp" })));
    let borrowed = format!("{signed}.{}", other.rsplit_once('.').unwrap().1);
    let table = [
        (signed.to_owned(), Fault::Malformed),
        (format!("{signed}."), Fault::Signature),
        (format!("{good}."), Fault::Malformed),
        (format!("{good}.{signature}"), Fault::Malformed),
        (format!("{good}.."), Fault::Malformed),
        (format!(" {good}"), Fault::Malformed),
        (format!("{good}\n"), Fault::Malformed),
        (format!("{header}. {payload}.{signature}"), Fault::Malformed),
        (format!("{good}="), Fault::Malformed),
        (
            format!("{signed}.{}", BASE64URL.encode(wrong)),
            Fault::Signature,
        ),
        (borrowed, Fault::Signature),
        (
            format!("{header}.{payload}.{}", "A".repeat(8192)),
            Fault::TooLong,
        ),
        ("..".to_owned(), Fault::Malformed),
        (String::new(), Fault::Malformed),
    ];
    for (token, fault) in table {
        assert_eq!(check(&token), Err(fault), "{token:.40}");
    }
}

#[test]
fn claims_of_attackers_and_of_others() {
    let table = [
        (json!({ "iss": "https://evil.example" }), Fault::Issuer),
        (json!({ "iss": "https://id.example/" }), Fault::Issuer),
        (json!({ "iss": null }), Fault::Issuer),
        (json!({ "aud": "other" }), Fault::Audience),
        (json!({ "aud": "sekisho other" }), Fault::Audience),
        (json!({ "aud": ["other", ["sekisho"]] }), Fault::Audience),
        (json!({ "aud": null }), Fault::Audience),
        (json!({ "aud": {} }), Fault::Audience),
        (json!({ "exp": null }), Fault::Expired),
        (json!({ "exp": NOW - 60 }), Fault::Expired),
        (json!({ "exp": (NOW + 60).to_string() }), Fault::Expired),
        (json!({ "exp": -1 }), Fault::Expired),
        (json!({ "exp": 1e300 }), Fault::Expired),
        (json!({ "nbf": NOW + 61 }), Fault::TooEarly),
        (json!({ "nbf": "now" }), Fault::TooEarly),
        (json!({ "scope": "openid" }), Fault::Scope),
        (json!({ "scope": "openid smtps" }), Fault::Scope),
        (json!({ "scope": null }), Fault::Scope),
        (json!({ "cnf": { "jkt": "x" } }), Fault::Bound),
        (json!({ "events": {} }), Fault::Purpose),
        (json!({ "email": null }), Fault::Account),
        (json!({ "email": "" }), Fault::Account),
        (json!({ "email": ["a@example.jp"] }), Fault::Account),
        (json!({ "email": "a@example.jp b" }), Fault::Account),
        (json!({ "email": "a@example.jp\r\nx" }), Fault::Account),
        (json!({ "email": "*@example.jp" }), Fault::Account),
        (json!({ "email": "a".repeat(321) }), Fault::Account),
        (json!({ "email_verified": false }), Fault::Unverified),
        (json!({ "email_verified": "false" }), Fault::Unverified),
        (json!({ "email_verified": 1 }), Fault::Unverified),
        (json!({ "email_verified": "TRUE" }), Fault::Unverified),
        (json!({ "email_verified": [true] }), Fault::Unverified),
        (json!({ "email_verified": null }), Fault::Unverified),
    ];
    for (changes, fault) in table {
        assert_eq!(with(changes.clone()), Err(fault), "{changes}");
    }
    let fine = [
        json!({ "aud": ["other", "sekisho"] }),
        json!({ "exp": NOW - 59 }),
        json!({ "exp": (NOW + 5) as f64 + 0.5 }),
        json!({ "nbf": NOW + 60 }),
        json!({ "scope": null, "scp": ["smtp"] }),
        json!({ "scope": null, "scp": "a smtp" }),
        json!({ "email_verified": "true" }),
    ];
    for changes in fine {
        assert!(with(changes.clone()).is_ok(), "{changes}");
    }
    let twice = claims(ISSUER, Value::Null).to_string();
    let twice = twice.replacen('{', r#"{"email":"root@example.jp","#, 1);
    let header = r#"{"alg":"ES256","kid":"p"}"#;
    assert_eq!(
        check(&ISSUED.p256.sign_text(header, &twice)),
        Err(Fault::Malformed)
    );
}

#[test]
fn an_address_is_believed_when_its_issuer_has_verified_it() {
    let said = |said: Value| {
        let changes = json!({ "email_verified": said });
        let token = ISSUED.p256.token("p", &claims(ISSUER, changes));
        let other = check_at(&token, NOW).unwrap();
        assert!(
            other.account("sub", EmailVerification::Required).is_ok(),
            "no other claim asks for it"
        );
        [EmailVerification::Required, EmailVerification::Waived]
            .map(|verification| check_as(&token, verification).is_ok())
    };
    // Null takes it away.
    assert_eq!(said(Value::Null), [false, true]);
    for yes in [json!(true), json!("true")] {
        assert_eq!(said(yes), [true, true]);
    }
    for no in [json!(false), json!("false"), json!(""), json!(0), json!({})] {
        assert_eq!(said(no), [false, false]);
    }
    let null = claims(ISSUER, Value::Null).to_string();
    let null = null.replace(r#""email_verified":true"#, r#""email_verified":null"#);
    let token = ISSUED.p256.sign_text(r#"{"alg":"ES256","kid":"p"}"#, &null);
    assert_eq!(
        check_as(&token, EmailVerification::Waived),
        Err(Fault::Unverified)
    );
}

#[test]
fn a_token_lasts_as_long_as_it_says_and_a_minute() {
    let token = ISSUED
        .ed25519
        .token("e", &claims(ISSUER, json!({ "exp": NOW + 300 })));
    for (now, fine) in [(NOW, true), (NOW + 359, true), (NOW + 360, false)] {
        assert_eq!(check_at(&token, now).is_ok(), fine, "{now}");
    }
}

#[test]
fn sets_of_keys() {
    let parse = |keys: &[Value]| Keys::parse(set(keys).as_bytes());
    let good = ISSUED.rsa.public("r");
    let changed = |name: &str, value: Value| {
        let mut key = good.clone();
        key[name] = value;
        key
    };
    for useless in [
        changed("use", json!("enc")),
        changed("alg", json!("RS1")),
        changed("alg", json!("ES256")),
        changed("kty", json!("oct")),
        changed("n", json!("AQAB")),
        changed("e", json!("")),
        changed("n", json!("A".repeat(2000))),
        changed("kid", json!(7)),
        changed("key_ops", json!(["encrypt"])),
        json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }),
        json!({ "kty": "oct", "k": "c2VjcmV0" }),
        json!("key"),
    ] {
        assert_eq!(
            parse(std::slice::from_ref(&useless)),
            Err(KeysFault::None),
            "{useless}"
        );
        assert!(parse(&[useless, good.clone()]).is_ok());
    }
    assert_eq!(parse(&vec![good; 65]), Err(KeysFault::TooMany));
    for malformed in [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[],"keys":[]}"#,
        "{\"keys\":[]} x",
    ] {
        let said = Keys::parse(malformed.as_bytes());
        assert_eq!(said, Err(KeysFault::Malformed), "{malformed}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(Keys::parse(deep.as_bytes()), Err(KeysFault::Malformed));
}

#[test]
fn a_point_that_is_on_no_curve_verifies_nothing() {
    let encode = |octets: &[u8]| BASE64URL.encode(octets);
    let point = encode(&[1; 32]);
    let key = json!({ "kty": "EC", "crv": "P-256", "kid": "p", "x": point, "y": point });
    let keys = Keys::parse(set(&[key]).as_bytes()).unwrap();
    let token = ISSUED.p256.token("p", &claims(ISSUER, Value::Null));
    let token = Jws::parse(token.as_bytes()).unwrap();
    assert_eq!(keys.verify(&token), Err(Fault::Signature));
}

#[test]
fn what_an_issuer_says_of_a_token() {
    let audiences = ["sekisho".to_owned()];
    let expected = Expected {
        issuer: ISSUER,
        audiences: &audiences,
        scopes: &[],
    };
    let said = |text: &str| {
        let said = json::object(text.as_bytes()).ok_or(Fault::Malformed)?;
        let claims = Claims::of_introspection(said, expected, NOW)?;
        claims
            .map(|claims| {
                claims
                    .account("username", EmailVerification::Required)
                    .map(str::to_owned)
            })
            .transpose()
    };
    let table = [
        (
            r#"{"active":true,"aud":"sekisho","username":"tanaka"}"#.to_owned(),
            Ok(Some("tanaka".to_owned())),
        ),
        (r#"{"active":false}"#.to_owned(), Ok(None)),
        (
            r#"{"active":false,"active":true,"aud":"sekisho","username":"a"}"#.to_owned(),
            Err(Fault::Malformed),
        ),
        (
            r#"{"active":"true","aud":"sekisho","username":"a"}"#.to_owned(),
            Err(Fault::Malformed),
        ),
        (
            r#"{"aud":"sekisho","username":"a"}"#.to_owned(),
            Err(Fault::Malformed),
        ),
        (
            r#"{"active":true,"username":"a"}"#.to_owned(),
            Err(Fault::Audience),
        ),
        (
            r#"{"active":true,"aud":"sekisho","iss":"https://evil.example","username":"a"}"#
                .to_owned(),
            Err(Fault::Issuer),
        ),
        (
            format!(
                r#"{{"active":true,"aud":"sekisho","exp":{},"username":"a"}}"#,
                NOW - 60
            ),
            Err(Fault::Expired),
        ),
        (
            r#"{"active":true,"aud":"sekisho"}"#.to_owned(),
            Err(Fault::Account),
        ),
    ];
    for (text, expected) in table {
        assert_eq!(said(&text), expected, "{text}");
    }
}
