//! One limit, as RateLimit, CountryRule and EgressPool have them.

use crate::event::{Event, Stage};
use crate::field_path::FieldPath;
use crate::key::{Scope, Tally};
use crate::rules::{Defect, Stages};
use crate::snapshot::{Limit, ObjectRef, OnExceed, Unit};

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
}

/// What a limit does at an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Adds this cost.
    Charge(u64),
    /// Looks whether this cost would fit, for a limit that reroutes: the route is chosen before the message is charged.
    Peek(u64),
}

impl Due {
    pub(crate) const fn cost(self) -> u64 {
        match self {
            Self::Charge(cost) | Self::Peek(cost) => cost,
        }
    }

    /// What a limit of `unit` does at `event`, if anything.
    pub(crate) fn of(unit: Unit, on_exceed: OnExceed, event: &Event) -> Option<Self> {
        match (unit, &event.stage) {
            (Unit::Connections, Stage::Connect)
            | (Unit::Attempts, Stage::Login { .. })
            | (Unit::Recipients, Stage::Rcpt { .. })
            | (Unit::Messages, Stage::End(_)) => Some(Self::Charge(1)),
            (Unit::Bytes, Stage::End(end)) => Some(Self::Charge(end.bytes)),
            (Unit::Messages, Stage::Headers(_)) if reroutes(on_exceed) => Some(Self::Peek(1)),
            (Unit::Bytes, Stage::Headers(_)) if reroutes(on_exceed) => {
                let declared = event
                    .transaction
                    .as_ref()
                    .and_then(|transaction| transaction.declared_size);
                Some(Self::Peek(declared.unwrap_or(0)))
            }
            _ => None,
        }
    }
}

/// Whether being over the limit chooses another route instead of refusing.
pub(crate) const fn reroutes(on_exceed: OnExceed) -> bool {
    matches!(on_exceed, OnExceed::RouteSuspect | OnExceed::RouteSpam)
}

/// The stages at which a limit of `unit` has something to do.
pub(crate) const fn stages_of(unit: Unit, on_exceed: OnExceed) -> Stages {
    match unit {
        Unit::Connections => Stages::CONNECT,
        Unit::Attempts => Stages::LOGIN,
        Unit::Recipients => Stages::RCPT,
        Unit::Messages | Unit::Bytes => Stages::END.with(reroutes(on_exceed), Stages::HEADERS),
    }
}
