//! Puts a gateway's proxy into pods, as a native sidecar: an init container that starts first and ends last (KEP-753).

mod error;
mod object;
mod pod;
mod review;
mod templates;
mod web;

pub use error::InjectError;
pub use pod::{Injected, inject};
pub use review::{FindGateway, Lookup, review};
pub use templates::{gateway_of, template_of};
pub use web::{MAX_REVIEW_BYTES, PATH, router};

#[cfg(test)]
mod review_tests;
#[cfg(test)]
mod tests;
