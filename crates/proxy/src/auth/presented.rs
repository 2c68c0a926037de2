//! What a client shows that is checked in one go, and what it says of who it is.

use sekisho_policy::Account;
use sekisho_smtp::sasl::{BearerToken, Credentials, Secret, TokenMechanism};

/// What a client shows.
#[derive(Debug)]
pub(crate) enum Presented {
    /// A name and its password: PLAIN, LOGIN.
    Password(Credentials),
    /// A token, and perhaps whose it is: XOAUTH2, OAUTHBEARER.
    Token(TokenMechanism, BearerToken),
}

impl Presented {
    /// The account that the client says it is, if it says so.
    pub(crate) fn claims(&self, default_domain: Option<&str>) -> Option<Account> {
        let name = match self {
            Self::Password(credentials) => Some(&credentials.authentication),
            Self::Token(_, token) => token.account.as_ref(),
        };
        name.map(|name| Account::canonical(name, default_domain))
    }

    /// Whether it wants to act as somebody else than it says it is. What a token names is compared with the token's own account
    /// once that is known.
    pub(crate) fn acts_for_another(&self, claimed: &Account, default_domain: Option<&str>) -> bool {
        let Self::Password(credentials) = self else {
            return false;
        };
        let wanted = credentials.authorization.as_deref();
        wanted.is_some_and(|wanted| {
            !wanted.is_empty() && Account::canonical(wanted, default_domain) != *claimed
        })
    }

    /// The password, if there is one to see.
    pub(crate) fn password(&self) -> Option<&Secret> {
        match self {
            Self::Password(credentials) => Some(&credentials.password),
            Self::Token(..) => None,
        }
    }

    /// The mechanism, if it carries a token.
    pub(crate) fn token_mechanism(&self) -> Option<TokenMechanism> {
        match self {
            Self::Password(_) => None,
            Self::Token(mechanism, _) => Some(*mechanism),
        }
    }
}
