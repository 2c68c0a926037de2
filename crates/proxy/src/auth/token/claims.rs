//! What a token claims once its signature is verified, and what its issuer says of one that has none.

use sekisho_policy::snapshot::EmailVerification;

use super::TokenFault;
use super::json::{Map, Value};
use super::jws::Jws;
use super::keys::Keys;

/// What two clocks may differ by, in seconds.
const LEEWAY: u64 = 60;
/// Audiences or scopes of a token that are looked at.
const MOST_WORDS: usize = 256;
/// Octets of an account's name.
const MOST_NAME: usize = 320;

/// What a token must be.
#[derive(Clone, Copy, Debug)]
pub(in crate::auth) struct Expected<'a> {
    pub(in crate::auth) issuer: &'a str,
    /// One of these.
    pub(in crate::auth) audiences: &'a [String],
    /// All of these.
    pub(in crate::auth) scopes: &'a [String],
}

/// Claims that are true, as far as their issuer is to be trusted.
#[derive(Clone, Debug)]
pub(in crate::auth) struct Claims(Map<String, Value>);

impl Claims {
    /// The claims of a signed token; `now` in seconds since 1970.
    pub(in crate::auth) fn of_signed(
        token: &Jws,
        keys: &Keys,
        expected: Expected<'_>,
        now: u64,
    ) -> Result<Self, TokenFault> {
        keys.verify(token)?;
        let claims = Self(token.claims().clone());
        if claims.text("iss") != Some(expected.issuer) {
            return Err(TokenFault::Issuer);
        }
        if claims.seconds("exp").is_none() {
            return Err(TokenFault::Expired);
        }
        claims.check(expected, now)?;
        Ok(claims)
    }

    /// What an issuer says of a token (RFC 7662 section 2.2); `None` if it does not know it, or no longer. What it leaves out
    /// it has checked itself, but for audience and scopes where those are asked for.
    pub(in crate::auth) fn of_introspection(
        said: Map<String, Value>,
        expected: Expected<'_>,
        now: u64,
    ) -> Result<Option<Self>, TokenFault> {
        match said.get("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Ok(None),
            _ => return Err(TokenFault::Malformed),
        }
        let claims = Self(said);
        if claims.0.contains_key("iss") && claims.text("iss") != Some(expected.issuer) {
            return Err(TokenFault::Issuer);
        }
        claims.check(expected, now)?;
        Ok(Some(claims))
    }

    fn check(&self, expected: Expected<'_>, now: u64) -> Result<(), TokenFault> {
        // Tokens that are bound to a key (RFC 7800) are worth nothing without it; events (RFC 8417) are no tokens for access.
        if self.0.contains_key("cnf") {
            return Err(TokenFault::Bound);
        }
        if self.0.contains_key("events") {
            return Err(TokenFault::Purpose);
        }
        match (self.0.get("exp"), self.seconds("exp")) {
            (None, _) => {}
            (Some(_), Some(expires)) if now < expires.saturating_add(LEEWAY) => {}
            (Some(_), _) => return Err(TokenFault::Expired),
        }
        match (self.0.get("nbf"), self.seconds("nbf")) {
            (None, _) => {}
            (Some(_), Some(begins)) if begins <= now.saturating_add(LEEWAY) => {}
            (Some(_), _) => return Err(TokenFault::TooEarly),
        }
        let audiences = self.words("aud", Splits::No);
        if !expected
            .audiences
            .iter()
            .any(|own| audiences.contains(&own.as_str()))
        {
            return Err(TokenFault::Audience);
        }
        let mut scopes = self.words("scope", Splits::AtSpaces);
        scopes.extend(self.words("scp", Splits::AtSpaces));
        let has = |scope: &String| scopes.contains(&scope.as_str());
        if expected.scopes.iter().all(has) {
            Ok(())
        } else {
            Err(TokenFault::Scope)
        }
    }

    /// The name of the account, in the claim `name`.
    pub(in crate::auth) fn account(
        &self,
        name: &str,
        verification: EmailVerification,
    ) -> Result<&str, TokenFault> {
        let account = self.text(name).ok_or(TokenFault::Account)?;
        let refused = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '?');
        if account.is_empty() || account.len() > MOST_NAME || account.contains(refused) {
            return Err(TokenFault::Account);
        }
        // An address that whoever has the account wrote there is not therefore theirs.
        if name == "email" && !self.is_verified(verification) {
            return Err(TokenFault::Unverified);
        }
        Ok(account)
    }

    /// Whether the issuer says that the address is whoever's it is; some say so in a text.
    fn is_verified(&self, verification: EmailVerification) -> bool {
        match self.0.get("email_verified") {
            None => verification == EmailVerification::Waived,
            Some(said) => *said == Value::Bool(true) || *said == "true",
        }
    }

    pub(in crate::auth) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    pub(in crate::auth) fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.0.get(name)?.as_object()
    }

    /// A time (`NumericDate`, RFC 7519 section 2), whose fractions of a second are dropped.
    fn seconds(&self, name: &str) -> Option<u64> {
        let value = self.0.get(name)?;
        let fraction = || {
            let seconds = value.as_f64()?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "within what is exact, and not negative"
            )]
            (0.0..9e15).contains(&seconds).then_some(seconds as u64)
        };
        value.as_u64().or_else(fraction)
    }

    /// A word or a list of words.
    fn words(&self, name: &str, splits: Splits) -> Vec<&str> {
        let text = |value: &'_ Value| value.as_str().is_some();
        match self.0.get(name) {
            Some(Value::String(words)) => match splits {
                Splits::No => vec![words.as_str()],
                Splits::AtSpaces => words.split(' ').take(MOST_WORDS).collect(),
            },
            // A list with something else in it is none.
            Some(Value::Array(list)) if list.len() <= MOST_WORDS && list.iter().all(text) => {
                list.iter().filter_map(Value::as_str).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Whether one text is several words.
#[derive(Clone, Copy)]
enum Splits {
    No,
    AtSpaces,
}
