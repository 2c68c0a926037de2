//! Why each rule applies to an event or does not, for `sekisho explain`.

use std::fmt;
use std::sync::Arc;

use crate::event::Event;
use crate::ruleset::{Armed, Ruleset, Spec};
use crate::snapshot::{Enforcement, KeyPart, ObjectRef};

/// What is said of a rule that goes by an address that is not the client's own.
pub(crate) const UNTRUSTED: &str = "not judged: source untrusted";

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
    /// `appliesTo` names those who asked for it, and the account did not.
    NotOptedIn,
    /// `appliesTo` names those who did not refuse it, and the account did.
    OptedOut,
    /// `appliesTo` goes by the account's settings, and nobody has said who it is.
    Nobody,
    /// `from` of the CountryRule does not name the source's country.
    Origin,
    /// A part of the limit's key is not known at this stage.
    Subject(KeyPart),
    /// It goes by the source's address, and that is not the client's own.
    SourceUntrusted,
}

impl fmt::Display for Applicability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applies(Enforcement::Enforce) => f.write_str("applies"),
            Self::Applies(enforcement) => write!(f, "applies as {enforcement:?}: observed only"),
            Self::Skipped(skip) => write!(f, "does not apply: {skip}"),
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "its enforcement is Off",
            Self::Stage => "it asks nothing at this stage",
            Self::Listener => "match.listeners does not name the listener",
            Self::Network => "the source is in none of match.networks",
            Self::Country => "the source's country is none of match.countries",
            Self::Account => "the account matches none of match.accounts",
            Self::When => "match.when is false",
            Self::WhenUnknown => "match.when asks for what is not known at this stage",
            Self::SourceUntrusted => UNTRUSTED,
            Self::NotOptedIn => {
                "appliesTo is OptedIn, and the account's settings do not ask for it"
            }
            Self::OptedOut => "appliesTo is NotOptedOut, and the account's settings refuse it",
            Self::Nobody => "appliesTo goes by an account's settings, and no account is known yet",
            Self::Origin => "from does not name the source's country",
            Self::Subject(part) => {
                return write!(f, "no {part:?} to count by is known at this stage");
            }
        })
    }
}

impl Ruleset {
    /// Each rule in evaluation order, and whether it applies.
    #[must_use]
    pub fn explain(&self, event: &Event) -> Vec<(Arc<ObjectRef>, Applicability)> {
        self.rules
            .iter()
            .map(|rule| (rule.object.clone(), self.applicability(rule, event)))
            .collect()
    }

    fn applicability(&self, rule: &Armed, event: &Event) -> Applicability {
        let standing = rule
            .standing(self, event)
            .and_then(|enforcement| match &rule.spec {
                Spec::Rate(rate) => rate.standing(self.gateway(), event).map(|()| enforcement),
                Spec::Submission(_) | Spec::Country(_) | Spec::Login(_) | Spec::Abuse(_) => {
                    Ok(enforcement)
                }
            });
        standing.map_or_else(Applicability::Skipped, Applicability::Applies)
    }
}
