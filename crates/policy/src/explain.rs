//! Why each rule applies to an event or does not, for `sekisho explain`.

use std::fmt;
use std::sync::Arc;

use crate::event::Event;
use crate::ruleset::Ruleset;
use crate::snapshot::{Enforcement, KeyPart, ObjectRef};

/// Whether a rule applies to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applicability {
    /// It does, and is judged like this.
    Applies(Enforcement),
    /// It does not.
    Skipped(Skip),
}

/// Why a rule does not apply to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Its enforcement is `Off`.
    Off,
    /// It asks nothing at this stage.
    Stage,
    /// `match.listeners` does not name the listener.
    Listener,
    /// The source is in none of `match.networks`.
    Network,
    /// The source's country is none of `match.countries`, or unknown.
    Country,
    /// No glob of `match.accounts` matches, or no account is known yet.
    Account,
    /// `match.when` is false.
    When,
    /// `match.when` asks for something that is not known at this stage.
    WhenUnknown,
    /// `from` of the CountryRule does not name the source's country.
    Origin,
    /// A part of the limit's key is not known at this stage.
    Subject(KeyPart),
}

impl fmt::Display for Applicability {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl Ruleset {
    /// Each rule in evaluation order, and whether it applies.
    #[must_use]
    pub fn explain(&self, _event: &Event) -> Vec<(Arc<ObjectRef>, Applicability)> {
        todo!()
    }
}
