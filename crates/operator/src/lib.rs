//! Watches, compiles, publishes, writes status, injects: what Sekisho does in a cluster.

pub mod bypass;
pub mod labels;
pub mod settings;
pub mod workload;

#[cfg(test)]
mod testing;
