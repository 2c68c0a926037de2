//! Objects and the last snapshot in, snapshot and diagnostics out; deterministic. File loading beside it.
#![warn(missing_docs)]

mod admit;
mod checks;
pub mod cluster;
mod compile;
mod diagnostic;
pub mod files;
mod index;
mod lower;
mod objects;
mod path;
mod rules;
mod suggest;
mod unavailable;
mod view;
mod when;

pub use compile::{Compiled, CompiledAll, compile, compile_all, lint};
pub use diagnostic::{Code, Diagnostic, Position, Severity, sort};
pub use objects::{
    Completeness, Messenger, Object, ObjectKey, ObjectName, Objects, Origin, Platform, SecretKeys,
    Spec, State, Table,
};
pub use path::{FieldPath, Segment};
