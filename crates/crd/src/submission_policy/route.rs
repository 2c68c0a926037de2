//! Where each class goes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Name;

/// Where each class goes. A class that is not given goes to the gateway's upstream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Messages that nothing classified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unclassified: Option<RouteTo>,

    /// Messages in which nothing was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean: Option<RouteTo>,

    /// Messages that may be spam.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect: Option<RouteTo>,

    /// Messages that look like spam.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spam: Option<RouteTo>,
}

/// One way: a pool or an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.pool) != has(self.action)",
    "message": "needs exactly one of pool and action",
}]))]
pub enum RouteTo {
    /// The EgressPool of the namespace that such mail leaves by.
    Pool(Name),
    /// Reject: such mail is refused. Hold: it waits for a person's decision.
    Action(RouteAction),
}

/// What becomes of mail that goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RouteAction {
    /// It is refused.
    Reject,
    /// It waits for a person's decision.
    Hold,
}
