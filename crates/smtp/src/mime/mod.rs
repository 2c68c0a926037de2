//! The attachments of a message, by name, as it passes (RFC 2045, 2046, 2183, 2231).
//!
//! Readers disagree about malformed parts, so whatever one of them might take for a name or a boundary is taken.

mod extension;
mod parameters;
mod part;
mod walker;

pub use extension::extensions;
pub use part::Attachment;
pub use walker::{LimitExceeded, Report, Walker, WalkerLimits};

#[cfg(test)]
mod tests;
