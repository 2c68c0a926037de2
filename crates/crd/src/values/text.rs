//! Names and patterns that stay text here and are given meaning by `compile`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{forms, string_schema};

/// A newtype over `String` whose schema bounds it; the text is kept as written.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, { $($keyword:tt)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        string_schema!($name, { $($keyword)* }, []);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// The name of an object or of an entry in a list: a DNS label (RFC 1123), like `clean-pool`.
    Name,
    { "minLength": 1, "maxLength": 63, "pattern": forms::NAME }
);
text!(
    /// A country, by its two capital letters of ISO 3166-1. Quote Norway: "NO" is a boolean to many YAML readers.
    CountryCode,
    { "minLength": 2, "maxLength": 2, "pattern": forms::COUNTRY }
);
text!(
    /// A pattern over account names, in which `*` stands for any text and `?` for one character: `*@shop.example.jp`.
    AccountGlob,
    { "minLength": 1, "maxLength": 320, "pattern": forms::ACCOUNT_GLOB }
);
text!(
    /// The name of one account, as its owner logs in.
    AccountName,
    { "minLength": 1, "maxLength": 320, "pattern": forms::ACCOUNT }
);
text!(
    /// An address, or all addresses of a domain: `info@example.jp`, `*@shop.example.jp`.
    AliasAddress,
    { "minLength": 3, "maxLength": 320, "pattern": forms::ALIAS }
);
text!(
    /// A DNS name, like `example.jp`.
    DomainName,
    { "minLength": 1, "maxLength": 253, "pattern": forms::DOMAIN }
);
text!(
    /// The end of a reverse DNS name, from a label boundary on: `.google.com` covers `mail.google.com`.
    ReverseSuffix,
    { "minLength": 2, "maxLength": 254, "pattern": forms::REVERSE }
);
