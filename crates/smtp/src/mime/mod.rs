//! The attachments of a message by name, what archives among them list, and its text, as it passes (RFC 2045, 2046,
//! 2183, 2231).
//!
//! Readers disagree about malformed parts, so whatever one of them might take for a name or a boundary is taken.
//! Nothing is unpacked: names within archives are read off the octets that pass, and memory has a bound whatever comes.

mod delimiter;
mod extension;
mod inside;
mod leaf;
mod parameters;
mod part;
mod report;
mod steps;
mod text;
mod transfer;
mod walker;

pub use extension::extensions;
pub(crate) use extension::is_format;
pub use inside::{Holder, Inner};
pub use report::{Attachment, LimitExceeded, Report, WalkerLimits};
pub use text::Text;
pub use walker::Walker;

#[cfg(test)]
mod tests;
