//! placeholder

pub(crate) mod auth;
pub(crate) mod dns;
pub(crate) mod upstream;
