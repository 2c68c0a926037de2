//! One limit, as RateLimit, CountryRule and EgressPool have them.

use crate::event::{Event, Stage};
use crate::field_path::FieldPath;
use crate::key::{Scope, Tally};
use crate::rules::{Defect, Stages};
use crate::snapshot::{Limit, ObjectRef, Unit};

/// A limit made ready: its key's fixed part is framed, its words are written.
#[derive(Clone, Debug)]
pub(crate) struct LimitPart {
    pub(crate) limit: Limit,
    pub(crate) scope: Scope,
    /// Its field path, e.g. `spec.limits[Recipients per 1h]`.
    pub(crate) path: FieldPath,
    /// What follows a sum: ` of 200 in 1h`.
    pub(crate) bound: Box<str>,
}

impl LimitPart {
    /// Makes a list of limits ready; `list` is its field path.
    pub(crate) fn list(
        object: &ObjectRef,
        list: &str,
        limits: &[Limit],
    ) -> Result<Vec<Self>, Defect> {
        // Two limits over one tally would each add to it.
        let mut tallies: Vec<_> = limits.iter().map(|limit| (limit.unit, limit.per)).collect();
        tallies.sort_unstable();
        if let Some(twice) = tallies.windows(2).find(|pair| pair[0] == pair[1]) {
            let (unit, per) = twice[0];
            return Err(Defect::new(
                list,
                format!("{unit:?} per {per} is there twice"),
            ));
        }
        let parts = limits.iter().map(|&limit| Self::new(object, list, limit));
        parts
            .collect::<Result<_, _>>()
            .map_err(|why| Defect::new(list, why))
    }

    /// Makes `limit` of `object` ready; `list` is the field path of its list.
    pub(crate) fn new(object: &ObjectRef, list: &str, limit: Limit) -> Result<Self, String> {
        if limit.per.0 == 0 {
            return Err("a window of no time holds nothing".into());
        }
        Ok(Self {
            limit,
            scope: Scope::new(object, Tally::from(limit.unit), limit.per),
            path: format!("{list}[{:?} per {}]", limit.unit, limit.per).into(),
            bound: format!(" of {} in {}", limit.count, limit.per).into(),
        })
    }

    /// The same tally with another bound, and words that say whose that is.
    pub(crate) fn counting_to(&self, count: u64, whose: &str) -> Self {
        let limit = Limit {
            count,
            ..self.limit
        };
        Self {
            limit,
            bound: format!(" of {count} in {}{whose}", limit.per).into(),
            ..self.clone()
        }
    }

    /// The same with further words.
    pub(crate) fn noting(&self, words: String) -> Self {
        Self {
            bound: format!("{}{words}", self.bound).into(),
            ..self.clone()
        }
    }
}

/// What this event adds to a limit of `unit`, if anything. Messages and octets count at the end of the message; a limit on them
/// that reroutes has the message held until then, so that what it counts is what it routes.
pub(crate) fn cost(unit: Unit, event: &Event) -> Option<u64> {
    match (unit, &event.stage) {
        (Unit::Connections, Stage::Connect)
        | (Unit::Attempts, Stage::Login { .. })
        | (Unit::Recipients, Stage::Rcpt { .. })
        | (Unit::Messages, Stage::End(_)) => Some(1),
        (Unit::Bytes, Stage::End(end)) => Some(end.bytes),
        _ => None,
    }
}

/// The stages at which a limit of `unit` has something to do.
pub(crate) const fn stages_of(unit: Unit) -> Stages {
    match unit {
        Unit::Connections => Stages::CONNECT,
        Unit::Attempts => Stages::LOGIN,
        Unit::Recipients => Stages::RCPT,
        Unit::Messages | Unit::Bytes => Stages::END,
    }
}
