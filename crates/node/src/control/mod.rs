//! The way to the control plane: HTTPS with a bundle of authorities and a token that may change at any time.

mod backoff;
mod connection;
mod errands;
mod follow;
mod hear;
mod settings;
mod states;
mod told;
mod trouble;

pub(crate) use backoff::Backoff;
pub(crate) use connection::{Answer, Control, Line};
pub(crate) use errands::run_errands;
pub(crate) use follow::{built, follow};
pub(crate) use settings::hear_settings;
pub(crate) use states::{hear, tell, tell_last};
pub(crate) use told::Told;
pub(crate) use trouble::Trouble;
