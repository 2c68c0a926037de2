//! SCRAM-SHA-256 (RFC 5802, RFC 7677) on the server's side: verifiers, and the two turns of an exchange.
//!
//! Our own small module rather than a library's: an account is judged between the client's first message and our answer to it,
//! a stranger goes through the very same steps with a verifier that fits no password, and the client hears that it was right only after
//! rules have seen that it was. Those that we tried own the exchange from its beginning to its end.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sekisho_policy::Account;
use sekisho_smtp::sasl::{ClientFinal, ClientFirst, Secret};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::hash::HashFault;
use super::{FleetKey, Turn};

const LENGTH: usize = 32;
type Key = [u8; LENGTH];

/// Of new verifiers. A client computes as many hashes at each login; RFC 7677 asks for 4096 at least.
const ITERATIONS: u32 = 15_000;
/// What a file may say; above, a login would take a phone seconds, and a check here a second.
const ITERATIONS_ALLOWED: std::ops::RangeInclusive<u32> = 4096..=1_000_000;
const SALT: usize = 16;
const SALTS_ALLOWED: std::ops::RangeInclusive<usize> = 8..=64;

const SCHEME: &str = "SCRAM-SHA-256$";

/// What is kept of a password. Whoever has it can tell guesses from the password, and cannot log in with it.
#[derive(Clone)]
pub(super) struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

impl Verifier {
    /// Reads `SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY` (RFC 5803, as PostgreSQL writes it too).
    pub(super) fn parse(text: &str) -> Result<Self, HashFault> {
        let malformed = HashFault::Malformed;
        let rest = text.strip_prefix(SCHEME).ok_or(HashFault::Kind)?;
        let (how, keys) = rest.split_once('$').ok_or(malformed)?;
        let (iterations, salt) = how.split_once(':').ok_or(malformed)?;
        let (stored, server) = keys.split_once(':').ok_or(malformed)?;
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| malformed);
        let key = |text: &str| Key::try_from(decode(text)?).map_err(|_| malformed);
        let iterations = iterations.parse().map_err(|_| malformed)?;
        if iterations > *ITERATIONS_ALLOWED.end() {
            return Err(HashFault::TooCostly);
        }
        let salt = decode(salt)?;
        if !ITERATIONS_ALLOWED.contains(&iterations) || !SALTS_ALLOWED.contains(&salt.len()) {
            return Err(malformed);
        }
        Ok(Self {
            iterations,
            salt,
            stored_key: key(stored)?,
            server_key: key(server)?,
        })
    }

    /// A new verifier of `password`, with a salt of its own.
    pub(super) fn make(password: &[u8]) -> Result<Self, HashFault> {
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt).map_err(|_| HashFault::Unhashable)?;
        Ok(Self::of(password, &salt, ITERATIONS))
    }

    fn of(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let salted = stretch(password, salt, iterations);
        let client_key = mac(&salted[..], &[b"Client Key"]);
        Self {
            iterations,
            salt: salt.to_vec(),
            stored_key: Sha256::digest(client_key).into(),
            server_key: mac(&salted[..], &[b"Server Key"]),
        }
    }

    /// Of nobody, for exchanges that look like those of a server behind us.
    pub(super) fn shaped(shape: Shape) -> Self {
        Self {
            iterations: shape.iterations,
            salt: vec![0; shape.salt],
            ..Self::usual()
        }
    }

    /// What verifiers cost where there is none to go by.
    pub(super) fn usual() -> Self {
        Self {
            iterations: ITERATIONS,
            salt: vec![0; SALT],
            stored_key: [0; LENGTH],
            server_key: [0; LENGTH],
        }
    }

    /// Nobody's, always the same for one account, and as costly to a client as `like`.
    fn nobodys(account: &Account, like: &Self, key: &FleetKey) -> Self {
        let derive = |purpose, octets: usize| {
            let parts = octets.div_ceil(SALT);
            let mut derived: Vec<u8> = (0..parts)
                .flat_map(|part| key.stand_in(purpose, part, account))
                .collect();
            derived.truncate(octets);
            derived
        };
        let whole = |purpose| Key::try_from(derive(purpose, LENGTH)).unwrap_or([0; LENGTH]);
        Self {
            iterations: like.iterations,
            salt: derive("scram salt", like.salt.len()),
            stored_key: whole("scram stored key"),
            server_key: whole("scram server key"),
        }
    }

    /// Whether `password` is the one. As costly as at the client: not for a thread that serves sessions.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let other = Self::of(password, &self.salt, self.iterations);
        Secret::new(other.stored_key.to_vec()) == Secret::new(self.stored_key.to_vec())
    }
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (salt, stored, server) = (
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key),
        );
        write!(f, "{SCHEME}{}:{salt}${stored}:{server}", self.iterations)
    }
}

/// PBKDF2 with HMAC-SHA-256, of which SCRAM needs one block (RFC 5802, `Hi`).
fn stretch(password: &[u8], salt: &[u8], iterations: u32) -> Zeroizing<Key> {
    let keyed = keyed(password);
    let mut round: Key = finish(&keyed, &[salt, &1_u32.to_be_bytes()]);
    let mut whole = Zeroizing::new(round);
    for _ in 1..iterations {
        round = finish(&keyed, &[&round]);
        whole
            .iter_mut()
            .zip(round)
            .for_each(|(sum, octet)| *sum ^= octet);
    }
    whole
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn finish(keyed: &Hmac<Sha256>, parts: &[&[u8]]) -> Key {
    let mut mac = keyed.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Key {
    finish(&keyed(key), parts)
}

/// Whom the client says it is, as the file has it.
pub(super) enum Known<'a> {
    /// With this verifier.
    Yes(&'a Verifier),
    /// Nobody, or without a verifier; another's shows what verifiers cost here.
    No(&'a Verifier),
}

/// An exchange after the client's first message.
pub(crate) struct Scram {
    account: Account,
    verifier: Verifier,
    /// Strangers go through the same steps, and whatever comes of them is not believed.
    known: bool,
    /// What the client has to repeat: its header, and the data of the channel.
    binding: Vec<u8>,
    client_first: Vec<u8>,
    server_first: String,
    nonce: String,
}

impl std::fmt::Debug for Scram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scram")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Scram {
    /// Answers the client's first message. `channel` is the data that its header binds it to; `nonce` is random.
    pub(super) fn start(
        first: &ClientFirst,
        account: Account,
        known: &Known<'_>,
        channel: &[u8],
        nonce: &str,
        key: &FleetKey,
    ) -> (Self, Secret) {
        let (Known::Yes(like) | Known::No(like)) = known;
        // Made for those who are known as well: the work is the same.
        let nobody = std::hint::black_box(Verifier::nobodys(&account, like, key));
        let (verifier, known) = match known {
            Known::Yes(verifier) => ((*verifier).clone(), true),
            Known::No(_) => (nobody, false),
        };
        let nonce = format!("{}{nonce}", first.nonce);
        let salt = STANDARD.encode(&verifier.salt);
        let server_first = format!("r={nonce},s={salt},i={}", verifier.iterations);
        let challenge = Secret::from(server_first.as_str());
        let exchange = Self {
            account,
            verifier,
            known,
            binding: [first.header_octets.as_slice(), channel].concat(),
            client_first: first.bare.clone(),
            server_first,
            nonce,
        };
        (exchange, challenge)
    }

    /// Whether the account is one that the file has.
    pub(super) fn is_of_known(&self) -> bool {
        self.known
    }

    /// Takes the client's last message. One that cannot be read proves nothing.
    pub(super) fn respond(&self, response: &Secret) -> Turn {
        let Ok(last) = ClientFinal::parse(response) else {
            return Turn::Refused;
        };
        let message: [&[u8]; 5] = [
            &self.client_first,
            b",",
            self.server_first.as_bytes(),
            b",",
            &last.without_proof,
        ];
        let signature = mac(&self.verifier.stored_key, &message);
        let client_key: Vec<u8> = last
            .proof
            .expose()
            .iter()
            .zip(signature)
            .map(|(proof, octet)| proof ^ octet)
            .collect();
        let stored_key = Sha256::digest(Zeroizing::new(client_key)).to_vec();
        let server_signature = mac(&self.verifier.server_key, &message);
        // All of it is computed before any of it is judged.
        let proven = Secret::new(stored_key) == Secret::new(self.verifier.stored_key.to_vec());
        let bound = last.binding == self.binding && last.nonce == self.nonce;
        let whole = last.proof.expose().len() == LENGTH;
        if proven & bound & whole & self.known {
            let words = format!("v={}", STANDARD.encode(server_signature));
            Turn::Proven {
                account: self.account.clone(),
                last: Some(words.as_str().into()),
            }
        } else {
            Turn::Refused
        }
    }
}

/// What of a server's challenges shows which server made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    iterations: u32,
    /// Octets.
    salt: usize,
    /// Characters of the server's part.
    nonce: usize,
    /// Whether they are others than those of base64, too.
    any_characters: bool,
}

impl Shape {
    /// That of a challenge to a client with this nonce, if it can be read.
    pub(super) fn of(challenge: &Secret, client_nonce: &str) -> Option<Self> {
        let text = std::str::from_utf8(challenge.expose()).ok()?;
        let mut fields = text.split(',');
        let nonce = fields.next()?.strip_prefix("r=")?;
        let nonce = nonce.strip_prefix(client_nonce)?;
        let salt = STANDARD.decode(fields.next()?.strip_prefix("s=")?).ok()?;
        let iterations = fields.next()?.strip_prefix("i=")?.parse().ok()?;
        let of_base64 = |octet: u8| octet.is_ascii_alphanumeric() || b"+/=".contains(&octet);
        let readable = (1..=128).contains(&nonce.len()) && (1..=128).contains(&salt.len());
        readable.then_some(Self {
            iterations,
            salt: salt.len(),
            nonce: nonce.len(),
            any_characters: !nonce.bytes().all(of_base64),
        })
    }

    /// A nonce as that server draws them.
    pub(super) fn draw_nonce(self) -> Result<String, getrandom::Error> {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut octets = vec![0; self.nonce];
        getrandom::fill(&mut octets)?;
        let character = |octet: &u8| match octet {
            _ if !self.any_characters => char::from(LETTERS[usize::from(octet % 64)]),
            // The visible characters, without the comma.
            _ => match b'!' + octet % 93 {
                before @ ..b',' => char::from(before),
                after => char::from(after + 1),
            },
        };
        Ok(octets.iter().map(character).collect())
    }
}

/// Our part of a nonce: 24 characters.
pub(super) fn draw_nonce() -> Result<String, getrandom::Error> {
    let mut octets = [0; 18];
    getrandom::fill(&mut octets)?;
    Ok(STANDARD.encode(octets))
}

#[cfg(test)]
mod tests;
