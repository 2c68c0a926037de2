//! `CountryRule`: what a source country changes.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AppliesTo, Brake, CountryCode, Enforcement, Exempt, Limit, SenderCheck, Status, TargetRef,
};

/// What changes for mail and logins from some countries.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sekisho.dev",
    version = "v1alpha1",
    kind = "CountryRule",
    namespaced,
    shortname = "crule",
    category = "sekisho",
    status = "Status",
    derive = "PartialEq",
    doc = "What changes for logins and mail that come from some countries. Several rules accumulate.",
    printcolumn(
        name = "Enforcement",
        type_ = "string",
        json_path = ".spec.enforcement"
    ),
    printcolumn(name = "Login", type_ = "string", json_path = ".spec.then.login"),
    printcolumn(
        name = "Gateway",
        type_ = "string",
        description = "The first of targetRefs.",
        json_path = ".spec.targetRefs[0].name",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct CountryRuleSpec {
    /// The gateways that this object attaches to.
    #[schemars(
        length(min = 1, max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["group", "kind", "name"])
    )]
    pub target_refs: Vec<TargetRef>,

    /// What a verdict does. Enforce: it binds. Shadow: it is recorded, and the mail passes. Off: there is none.
    #[serde(default)]
    pub enforcement: Enforcement,

    /// Whether this falls back to Shadow by itself when, in 5 minutes, it refuses more than 1 % (and at least 20) of the
    /// accounts that come from networks known to be good for them, each counted once. Default: it does.
    /// Off: it does not.
    #[serde(default)]
    pub brake: Brake,

    /// The source countries that this is about: exactly one of abroad, countries, notCountries and unknown.
    pub from: FromCountry,

    /// Whom this leaves alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exempt: Option<Exempt>,

    /// Whose sessions this is about, by the account's own setting loginsFromAbroad. Everyone: all. OptedIn: of accounts
    /// whose setting is Refuse. NotOptedOut: of all but accounts whose setting is Allow. With one of these two, login:
    /// Refuse also refuses the mail of sessions that were open when the setting changed.
    #[serde(default)]
    pub applies_to: AppliesTo,

    /// What changes.
    pub then: CountryThen,
}

/// A set of source countries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.abroad), has(self.countries), has(self.notCountries), has(self.unknown)].exists_one(given, given)",
    "message": "needs exactly one of abroad, countries, notCountries and unknown",
}]))]
pub enum FromCountry {
    /// Every known country that is not among the gateway's `home`.
    Abroad {},
    /// Any of these countries.
    Countries(
        #[schemars(length(min = 1, max = 256), extend("x-kubernetes-list-type" = "set"))]
        Vec<CountryCode>,
    ),
    /// Every known country but these.
    NotCountries(
        #[schemars(length(min = 1, max = 256), extend("x-kubernetes-list-type" = "set"))]
        Vec<CountryCode>,
    ),
    /// Addresses of which no country is known.
    Unknown {},
}

/// What changes for logins and mail from these countries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.login == 'Refuse' || has(self.sender) || has(self.recipientsPerMessage) || has(self.limits) || has(self.classAtLeast)",
    "message": "changes nothing: give at least one of login: Refuse, sender, recipientsPerMessage, limits and classAtLeast",
}]))]
pub struct CountryThen {
    /// Allow: accounts may log in from there. Refuse: they may not, and are told what a wrong password is told.
    #[serde(default)]
    pub login: LoginFrom,

    /// MustMatchAccount: the envelope sender and the header From are the account's name or one of its aliases, whatever
    /// the SubmissionPolicy says. Any: nothing further is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<SenderCheck>,

    /// The most recipients of one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub recipients_per_message: Option<u32>,

    /// Limits for each account, for what comes from there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["unit", "per"])
    )]
    pub limits: Vec<Limit>,

    /// The best class that a message from there can have: Suspect or Spam.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_at_least: Option<ClassAtLeast>,
}

/// Whether accounts may log in from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum LoginFrom {
    /// They may.
    #[default]
    Allow,
    /// They may not.
    Refuse,
}

/// The best class that a message can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClassAtLeast {
    /// Suspect.
    Suspect,
    /// Spam.
    Spam,
}
