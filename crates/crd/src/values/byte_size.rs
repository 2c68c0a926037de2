//! A number of bytes, with the suffixes of Kubernetes quantities.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{forms, string_schema};
use crate::Error;

/// A whole number of bytes, alone or with `k`, `M`, `G` (powers of 1000) or `Ki`, `Mi`, `Gi` (powers of 1024).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize {
    text: String,
    bytes: u64,
}

string_schema!(ByteSize, { "minLength": 1, "maxLength": 12, "pattern": forms::BYTE_SIZE }, []);

impl ByteSize {
    /// The number of bytes.
    pub fn as_bytes(&self) -> u64 {
        self.bytes
    }
}

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || Error::ByteSize(text.to_owned());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, suffix) = text.split_at(digits);
        let factor: u64 = match suffix {
            "" => 1,
            "k" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            _ => return Err(refused()),
        };
        if number.len() > 10 || number.starts_with('0') {
            return Err(refused());
        }
        let number: u64 = number.parse().map_err(|_| refused())?;
        let bytes = number.checked_mul(factor).ok_or_else(refused)?;
        Ok(Self {
            text: text.to_owned(),
            bytes,
        })
    }
}

impl TryFrom<String> for ByteSize {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.text
    }
}

impl PartialEq for ByteSize {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for ByteSize {}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_quantities() {
        for (text, bytes) in [
            ("1", 1),
            ("26214400", 26_214_400),
            ("25Mi", 26_214_400),
            ("25M", 25_000_000),
            ("9999999999Gi", 10_737_418_238_926_258_176),
        ] {
            assert_eq!(
                text.parse::<ByteSize>().unwrap().as_bytes(),
                bytes,
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_the_schema_refuses() {
        for text in [
            "",
            "0",
            "0Mi",
            "025",
            "-1",
            "1.5Mi",
            "25mi",
            "25 Mi",
            "25MB",
            "Mi",
            "99999999999",
            "1m",
        ] {
            assert_eq!(
                text.parse::<ByteSize>(),
                Err(Error::ByteSize(text.to_owned())),
                "{text}"
            );
        }
    }
}
