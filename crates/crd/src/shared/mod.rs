//! Shapes that several kinds share.

mod enforcement;
mod exempt;
mod limit;
mod matching;
mod status;
mod targets;

pub use enforcement::{AppliesTo, Brake, Enforcement};
pub use exempt::Exempt;
pub use limit::{Limit, LimitUnit};
pub use matching::Match;
pub use status::{Condition, ConditionStatus, Status, condition_type};
pub use targets::{SecretRef, TargetGroup, TargetKind, TargetRef};
