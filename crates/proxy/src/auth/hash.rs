//! Password hashes as accounts files hold them, with a bound on what checking one may cost.

use std::str::FromStr;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};

use super::scram::Verifier;

/// The most memory that one check may take, in KiB: 256 MiB.
const MAX_MEMORY: u32 = 256 * 1024;
/// The most memory times passes, in KiB: about a second.
const MAX_WORK: u64 = 1024 * 1024;
const MAX_LANES: u32 = 16;
/// A check at cost 15 takes about two seconds.
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=15;

/// New hashes: the OWASP minimum, 19 MiB, two passes, one lane.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Nobody's password, at the cost of new hashes; checked where a file holds no hash to check instead.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2VraXNobyBub2JvZHkgMQ$wW2nYIsz1dFQlX0G1m5N8pHk3sVg7U0fR4cTbZqLaEo";

/// What is wrong with a hash. Says nothing of the hash itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashFault {
    /// None of the three kinds.
    #[error(
        "the hash is neither argon2id (`$argon2id$...`) nor bcrypt (`$2b$...`) nor a verifier (`SCRAM-SHA-256$...`)"
    )]
    Kind,
    /// Its text cannot be read.
    #[error("the hash is malformed")]
    Malformed,
    /// Checking it would take too much.
    #[error(
        "checking the hash would cost too much: at most m=262144 (256 MiB), m times t 1048576 and p=16 for argon2id, cost 15 for bcrypt, 1000000 iterations for SCRAM"
    )]
    TooCostly,
    /// A new one cannot be made.
    #[error("the password cannot be hashed")]
    Unhashable,
}

/// A hash that can be checked within bounds.
#[derive(Clone)]
pub(super) enum Hash {
    Argon2id(Box<PasswordHash>),
    Bcrypt(Box<str>),
    Scram(Verifier),
}

impl Hash {
    pub(super) fn parse(text: &str) -> Result<Self, HashFault> {
        if text.starts_with("$argon2id$") {
            return parse_argon2id(text);
        }
        if ["$2a$", "$2b$", "$2y$"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            let parts = bcrypt::HashParts::from_str(text).map_err(|_| HashFault::Malformed)?;
            return match parts.get_cost() {
                cost if BCRYPT_COSTS.contains(&cost) => Ok(Self::Bcrypt(text.into())),
                cost if cost > *BCRYPT_COSTS.end() => Err(HashFault::TooCostly),
                _ => Err(HashFault::Malformed),
            };
        }
        Verifier::parse(text).map(Self::Scram)
    }

    /// Nobody's.
    pub(super) fn nobody() -> Result<Self, HashFault> {
        Self::parse(NOBODY)
    }

    /// Whether `password` is the one. Takes its time, on purpose: not for a thread that serves sessions.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        match self {
            Self::Argon2id(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Scram(verifier) => verifier.matches(password),
        }
    }
}

fn parse_argon2id(text: &str) -> Result<Hash, HashFault> {
    let hash = PasswordHash::new(text).map_err(|_| HashFault::Malformed)?;
    let params = Params::try_from(&hash).map_err(|_| HashFault::Malformed)?;
    let known_version = hash
        .version
        .is_none_or(|version| Version::try_from(version).is_ok());
    if hash.salt.is_none() || hash.hash.is_none() || !known_version {
        return Err(HashFault::Malformed);
    }
    let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
    if params.m_cost() > MAX_MEMORY || work > MAX_WORK || params.p_cost() > MAX_LANES {
        return Err(HashFault::TooCostly);
    }
    Ok(Hash::Argon2id(Box::new(hash)))
}

/// A new argon2id hash of `password`.
pub(super) fn make(password: &[u8]) -> Result<String, HashFault> {
    let params = Params::new(MEMORY, PASSES, LANES, None).map_err(|_| HashFault::Unhashable)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2
        .hash_password(password)
        .map(|hash| hash.to_string())
        .map_err(|_| HashFault::Unhashable)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of "password", by the reference implementation's test vectors.
    const ARGON2ID: &str =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

    #[test]
    fn both_kinds_are_checked() {
        let bcrypt = bcrypt::hash("password", 4).unwrap();
        for text in [ARGON2ID, bcrypt.as_str()] {
            let hash = Hash::parse(text).unwrap();
            assert!(hash.matches(b"password"), "{text}");
            assert!(!hash.matches(b"Password"), "{text}");
            assert!(!hash.matches(b""), "{text}");
        }
    }

    #[test]
    fn a_new_hash_has_the_parameters_we_promise() {
        let text = make(b"correct horse").unwrap();
        assert!(
            text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{text}"
        );
        assert!(Hash::parse(&text).unwrap().matches(b"correct horse"));
        assert_ne!(
            text,
            make(b"correct horse").unwrap(),
            "the salt is new each time"
        );
    }

    #[test]
    fn nobody_has_a_hash_like_new_ones_and_no_password() {
        let nobody = Hash::nobody().unwrap();
        assert!(!nobody.matches(b"") && !nobody.matches(b"password"));
        let Hash::Argon2id(hash) = nobody else {
            panic!("not argon2id")
        };
        let params = Params::try_from(&*hash).unwrap();
        assert_eq!(
            (params.m_cost(), params.t_cost(), params.p_cost()),
            (MEMORY, PASSES, LANES)
        );
    }

    #[test]
    fn what_would_exhaust_the_machine_is_refused() {
        let argon2id = |params: &str| {
            format!(
                "$argon2id$v=19${params}$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
            )
        };
        let table = [
            (argon2id("m=4194304,t=1,p=1"), HashFault::TooCostly),
            (argon2id("m=262145,t=1,p=1"), HashFault::TooCostly),
            (argon2id("m=65536,t=17,p=1"), HashFault::TooCostly),
            (argon2id("m=65536,t=4294967295,p=1"), HashFault::TooCostly),
            (argon2id("m=65536,t=1,p=17"), HashFault::TooCostly),
            (argon2id("m=1,t=1,p=1"), HashFault::Malformed),
            (argon2id("m=99999999999,t=1,p=1"), HashFault::Malformed),
            (
                "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ".to_owned(),
                HashFault::Malformed,
            ),
            (
                format!("$2b$16${}", &bcrypt::hash("x", 4).unwrap()[7..]),
                HashFault::TooCostly,
            ),
            (
                format!("$2b$31${}", &bcrypt::hash("x", 4).unwrap()[7..]),
                HashFault::TooCostly,
            ),
            (
                format!("$2b$03${}", &bcrypt::hash("x", 4).unwrap()[7..]),
                HashFault::Malformed,
            ),
            ("$2b$10$short".to_owned(), HashFault::Malformed),
            (
                "$argon2d$v=19$m=256,t=2,p=1$c29tZXNhbHQ$AAAA".to_owned(),
                HashFault::Kind,
            ),
            ("$1$salt$md5".to_owned(), HashFault::Kind),
            ("secret".to_owned(), HashFault::Kind),
            (String::new(), HashFault::Kind),
        ];
        for (text, fault) in table {
            assert_eq!(Hash::parse(&text).err(), Some(fault), "{text}");
        }
    }
}
