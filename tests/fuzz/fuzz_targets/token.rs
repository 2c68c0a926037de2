//! Signed tokens, sets of keys and what issuers say: whatever they are, nothing is accepted that no key has signed, and nothing that
//! is read could be read in two ways.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// The readers alone: the proxy around them would bring a tree of dependencies. They are visible to the module that this one
/// stands for.
#[path = "."]
mod auth {
    #[path = "../../../crates/proxy/src/auth/token/mod.rs"]
    #[allow(dead_code, reason = "the proxy looks at more")]
    mod token;

    use sekisho_policy::snapshot::EmailVerification;
    use token::claims::{Claims, Expected};
    use token::json;
    use token::jws::Jws;
    use token::keys::Keys;

    const NOW: u64 = 1_800_000_000;
    /// The key of RFC 8037 appendix A; whoever has it is not in here.
    const SET: &[u8] = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    pub fn read(octets: &[u8]) {
        let audiences = ["sekisho".to_owned()];
        let expected = Expected {
            issuer: "https://id.example",
            audiences: &audiences,
            scopes: &[],
        };
        let keys = Keys::parse(SET).expect("a good set");
        if let Ok(token) = Jws::parse(octets) {
            assert!(Claims::of_signed(&token, &keys, expected, NOW).is_err(), "nobody signed it");
        }
        let own = Keys::parse(octets);
        assert_eq!(own, Keys::parse(octets));
        if let Some(said) = json::object(octets) {
            let again = serde_json::to_vec(&said).expect("JSON");
            assert_eq!(json::object(&again), Some(said.clone()));
            if let Ok(Some(claims)) = Claims::of_introspection(said, expected, NOW) {
                for claim in ["email", "sub", "username"] {
                    let [strict, lax] = [EmailVerification::Required, EmailVerification::Waived]
                        .map(|verification| claims.account(claim, verification).ok());
                    assert!(strict.is_none() || strict == lax, "what is waived refuses nothing more");
                    let account = lax.unwrap_or("a");
                    assert!((1..=320).contains(&account.len()) && !account.contains(char::is_whitespace));
                }
            }
        }
    }
}

fuzz_target!(|octets: &[u8]| auth::read(octets));
