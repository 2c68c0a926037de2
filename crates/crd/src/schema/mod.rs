//! The CustomResourceDefinitions: derived from the Rust types, then mended for the API server.

mod mend;
mod yaml;

pub use yaml::to_yaml;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::{
    AbuseRule, CountryRule, EgressPool, Kind, LoginGuard, MailGateway, NotificationChannel,
    RateLimit, SubmissionPolicy,
};

/// The CustomResourceDefinition of every kind, in the order of [`Kind::ALL`].
pub fn all() -> Vec<CustomResourceDefinition> {
    Kind::ALL.into_iter().map(definition).collect()
}

/// The structural schema of a kind, as `openAPIV3Schema` of its CustomResourceDefinition: bounds, defaults and CEL rules.
pub fn schema(kind: Kind) -> Value {
    let mut definition = derived(kind);
    mend::mend(&mut definition);
    definition
        .pointer_mut("/spec/versions/0/schema/openAPIV3Schema")
        .map(Value::take)
        .unwrap_or_default()
}

/// The files of `crds/`: name and YAML text, one for each kind.
pub fn render() -> Vec<(String, String)> {
    Kind::ALL
        .into_iter()
        .map(|kind| {
            let mut definition = derived(kind);
            mend::mend(&mut definition);
            (
                format!("{}.yaml", kind.as_str().to_lowercase()),
                to_yaml(&definition),
            )
        })
        .collect()
}

fn definition(kind: Kind) -> CustomResourceDefinition {
    let mut definition = derived(kind);
    mend::mend(&mut definition);
    serde_json::from_value(definition)
        .expect("a mended definition has the shape of the derived one")
}

/// What `kube` derives, as JSON.
fn derived(kind: Kind) -> Value {
    let definition = match kind {
        Kind::MailGateway => MailGateway::crd(),
        Kind::SubmissionPolicy => SubmissionPolicy::crd(),
        Kind::CountryRule => CountryRule::crd(),
        Kind::RateLimit => RateLimit::crd(),
        Kind::LoginGuard => LoginGuard::crd(),
        Kind::EgressPool => EgressPool::crd(),
        Kind::AbuseRule => AbuseRule::crd(),
        Kind::NotificationChannel => NotificationChannel::crd(),
    };
    serde_json::to_value(definition).expect("a definition is plain data")
}
