//! The control plane's side towards its proxies, over HTTPS: configuration and errands out, reports and records in, and what replicas
//! tell the lease holder. `docs/distribution.md` is the protocol.

mod ack;
mod admission;
mod books;
mod config;
mod errands;
mod merge;
mod name;
mod peers;
mod poll;
mod random;
mod records;
mod relay;
mod replicas;
mod reports;
mod running;
mod server;
mod settings;
mod sources;
mod state;
mod turns;
mod wire;

pub use admission::{Caller, Callers, NotAdmitted, Wanted};
pub use books::{Books, BooksWriter};
pub use errands::Errands;
pub(crate) use name::is_part;
pub use relay::Relay;
pub use replicas::{Holder, Introduction, Replicas};
pub use reports::{Hold, Reports};
pub use running::FleetRunning;
pub use server::FleetServer;
pub use sources::{FleetSources, Ready};

#[doc(hidden)]
pub use records::read as read_records;
#[doc(hidden)]
pub use wire::Push;
