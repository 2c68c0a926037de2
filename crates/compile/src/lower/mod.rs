//! Checked specs to the wire types of `policy`. Lists whose order means nothing are sorted, so that equal objects give
//! equal bytes.

mod abuse_rule;
mod country_rule;
mod gateway;
mod limits;
mod login_guard;
mod login_services;
mod pool;
mod rate_limit;
mod shared;
mod submission_policy;

pub(crate) use abuse_rule::abuse_rule;
pub(crate) use country_rule::country_rule;
pub(crate) use gateway::{gateway, mechanism};
pub(crate) use login_guard::login_guard;
pub(crate) use pool::pool;
pub(crate) use rate_limit::rate_limit;
pub(crate) use shared::{Context, matching};
pub(crate) use submission_policy::submission_policy;
