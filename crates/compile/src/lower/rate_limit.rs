//! `RateLimit`.

use sekisho_crd::{
    LimitOverride, OnCountersUnavailable as Unavailable, OnExceed as Exceed, OwnLimits as Own,
    RateLimitSpec, RestrictOver,
};
use sekisho_policy::snapshot::{
    KeyPart, OnCountersUnavailable, OnExceed, Override, OwnLimits, RateLimit, Restrict,
};

use super::abuse_rule::level;
use super::shared::{Context, limits, matching, millis, sorted};

/// The rule, or nothing if it asks for what this version does not do.
pub(crate) fn rate_limit(spec: &RateLimitSpec, context: &Context) -> Option<RateLimit> {
    let lower = |each: &LimitOverride| {
        Some(Override {
            name: each.name.as_str().to_owned(),
            applies: matching(&each.matching, context)?,
            limits: limits(&each.limits)?,
        })
    };
    Some(RateLimit {
        key: sorted(spec.key.iter().map(|part| key_part(*part))),
        limits: limits(&spec.limits)?,
        // The order of overrides means something: the first that matches is taken.
        overrides: spec.overrides.iter().map(lower).collect::<Option<_>>()?,
        own_limits: match spec.own_limits {
            Own::Lower => OwnLimits::Lower,
            Own::Replace => OwnLimits::Replace,
            Own::Ignore => OwnLimits::Ignore,
        },
        on_exceed: match spec.on_exceed {
            Exceed::Defer => OnExceed::Defer,
            Exceed::Reject => OnExceed::Reject,
            Exceed::RouteSuspect => OnExceed::RouteSuspect,
            Exceed::RouteSpam => OnExceed::RouteSpam,
            Exceed::Restrict => OnExceed::Restrict,
        },
        restrict: spec.restrict.as_ref().map(restrict),
        on_unavailable: match spec.on_unavailable {
            Unavailable::LocalOnly => OnCountersUnavailable::LocalOnly,
            Unavailable::Defer => OnCountersUnavailable::Defer,
            Unavailable::Allow => OnCountersUnavailable::Allow,
        },
    })
}

fn restrict(spec: &RestrictOver) -> Restrict {
    Restrict {
        level: level(spec.level),
        term: spec.term.as_ref().map(millis),
        recipients_per_hour: spec.recipients_per_hour,
        growth: spec.growth,
        max_for: millis(&spec.max_for),
    }
}

fn key_part(part: sekisho_crd::KeyPart) -> KeyPart {
    match part {
        sekisho_crd::KeyPart::Account => KeyPart::Account,
        sekisho_crd::KeyPart::Source => KeyPart::Source,
        sekisho_crd::KeyPart::SourcePrefix => KeyPart::SourcePrefix,
        sekisho_crd::KeyPart::Asn => KeyPart::Asn,
        sekisho_crd::KeyPart::Country => KeyPart::Country,
        sekisho_crd::KeyPart::SenderDomain => KeyPart::SenderDomain,
        sekisho_crd::KeyPart::RecipientDomain => KeyPart::RecipientDomain,
        sekisho_crd::KeyPart::Gateway => KeyPart::Gateway,
    }
}
