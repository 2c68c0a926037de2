//! The attachments of a message, by name, as it passes (RFC 2045, 2046, 2183, 2231).

mod extension;
mod walker;

pub use extension::extensions;
pub use walker::{Attachment, LimitExceeded, Report, Walker, WalkerLimits};
