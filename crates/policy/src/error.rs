//! Why a snapshot is refused as a whole: the last good one stays in force.

use crate::snapshot::{Kind, ObjectRef};

/// A snapshot that cannot be put in force. Each error names the object and the place in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Not the JSON of an envelope, or a rule of a kind that this version does not know.
    #[error("not a snapshot that this version reads: {0}")]
    Parse(String),
    /// More octets than a snapshot may have.
    #[error("the snapshot has {size} octets, {limit} is the most")]
    TooLarge {
        /// Its size in octets.
        size: usize,
        /// The most.
        limit: usize,
    },
    /// The body is not what the digest names.
    #[error("the body's digest is {actual}, the envelope says {stated}")]
    Digest {
        /// What the envelope says.
        stated: String,
        /// What the body has.
        actual: String,
    },
    /// The body's schema is none that this version reads.
    #[error("schema {found} is not one that this version reads (up to {newest})")]
    Schema {
        /// The body's.
        found: u32,
        /// The newest that this version reads.
        newest: u32,
    },
    /// Two rules came from the same object.
    #[error("{0} is there twice")]
    Duplicate(ObjectRef),
    /// More than one of a kind of which one applies to a gateway.
    #[error("{first} and {second}: one {} applies to a gateway", first.kind)]
    Conflict {
        /// The first.
        first: ObjectRef,
        /// The second.
        second: ObjectRef,
    },
    /// A rule's object is of another kind than the rule.
    #[error("{object} holds the rules of a {found}")]
    KindMismatch {
        /// The object.
        object: ObjectRef,
        /// The kind of its rules.
        found: Kind,
    },
    /// A route names a pool that the snapshot does not have.
    #[error("{object}: spec.route names the pool {pool:?}, which is not in the snapshot")]
    UnknownPool {
        /// The policy.
        object: ObjectRef,
        /// The name.
        pool: String,
    },
    /// A value that cannot be put in force.
    #[error("{object}: {part}: {why}")]
    Invalid {
        /// The object.
        object: ObjectRef,
        /// The field path in it.
        part: String,
        /// What is wrong, and what would be right.
        why: String,
    },
}
