//! BDAT (RFC 3030): so many octets of the message follow the line, whatever they are.

use std::fmt;

use crate::reply::Refusal;

/// `BDAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BdatCommand {
    /// Octets that follow the command line.
    pub size: u64,
    /// Whether this chunk ends the message.
    pub last: bool,
}

impl BdatCommand {
    /// A size that cannot be read closes the connection: nobody can tell where the chunk ends.
    pub(super) fn parse(argument: &str) -> Result<Self, Refusal> {
        let malformed = || Refusal::closing(501, (5, 5, 4), "Malformed BDAT");
        let mut words = argument.split(' ').filter(|word| !word.is_empty());
        let digits = words
            .next()
            .filter(|word| word.bytes().all(|b| b.is_ascii_digit()))
            .ok_or_else(malformed)?;
        let size = digits.parse().map_err(|_| malformed())?;
        let last = match words.next() {
            None => false,
            Some(word) if word.eq_ignore_ascii_case("LAST") => true,
            Some(_) => return Err(malformed()),
        };
        if words.next().is_some() {
            return Err(malformed());
        }
        Ok(Self { size, last })
    }
}

impl fmt::Display for BdatCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "BDAT {}{}",
            self.size,
            if self.last { " LAST" } else { "" }
        )
    }
}
