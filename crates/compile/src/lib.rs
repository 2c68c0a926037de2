//! Objects and the last snapshot in, snapshot and diagnostics out; deterministic. File loading beside it.
#![warn(missing_docs)]

mod diagnostic;
pub mod files;
mod objects;
mod path;
mod suggest;

pub use diagnostic::{Code, Diagnostic, Position, Severity, sort};
pub use objects::{
    Completeness, Object, ObjectKey, ObjectName, Objects, Origin, Spec, State, Table,
};
pub use path::{FieldPath, Segment};
