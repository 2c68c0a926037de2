//! Message framing after DATA (RFC 5321 4.5.2). Only CRLF.CRLF ends a message, and what leaves here holds no bare CR,
//! no bare LF and no NUL, so that no receiver, however lax, sees an end where there is none.

mod decoder;
mod encoder;
mod scan;

pub use decoder::{BareNewlines, DataProgress, Decoder, Stats};
pub use encoder::Encoder;

#[cfg(test)]
mod tests;
