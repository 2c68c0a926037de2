//! What `up` and `control` have in common: both serve people over HTTP, and look after a store.

pub(crate) mod changes;
pub(crate) mod housekeeping;
mod trouble;

use std::path::Path;

use anyhow::{Context as _, Result};
use sekisho_api::{Error, Token};

pub(crate) use self::trouble::Trouble;

pub(crate) fn read_token(path: &Path) -> Result<Token> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Token::parse(&text).with_context(|| path.display().to_string())
}

/// The file's name and its content; whether it holds certificates is seen when it is used.
pub(crate) fn read_authorities(path: &Path) -> Result<(String, Vec<u8>)> {
    let name = path.display().to_string();
    let pem = std::fs::read(path).with_context(|| name.clone())?;
    Ok((name, pem))
}

/// With what mends it.
pub(crate) fn explained(error: Error) -> anyhow::Error {
    match &error {
        Error::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!(
                "{error}; end what listens there, or choose another address with --http"
            )
        }
        _ => error.into(),
    }
}
