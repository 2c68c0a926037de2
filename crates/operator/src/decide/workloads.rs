//! Which Deployments, Services and policies are to be written, and which of those written before are to go.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::{Api, Client};

use sekisho_compile::ObjectKey;

use super::{Memory, Tools, Turn, print};
use crate::error::Error;
use crate::gateways::Injectable;
use crate::index::OwnedKind;
use crate::labels;
use crate::settings::GatewayInput;
use crate::workload::{self, Desired};
use crate::writer::What;

impl Memory {
    pub(super) fn workloads(&mut self, turn: &Turn<'_>) {
        let mut everything = Vec::new();
        let mut all_accepted = true;
        for name in turn.gateways() {
            let Some((spec, uid)) = turn.gateway(&name) else {
                all_accepted = false;
                continue;
            };
            let gateway = GatewayInput {
                namespace: turn.namespace,
                name: &name,
                uid,
                spec,
            };
            let mut desired = workload::desired(&gateway, &turn.tools.settings);
            desired.extend(turn.blocking(&gateway));
            let kept: BTreeSet<(String, String)> = desired
                .iter()
                .map(|each| (each.resource.kind.clone(), each.name.clone()))
                .collect();
            everything.extend(desired.iter().cloned());
            self.forget_failures(turn, &name, &desired);
            for each in desired {
                self.apply(turn, &name, uid, each);
            }
            self.remove_others(turn, &name, &kept);
        }
        // What a gateway had elsewhere stays while it is not accepted.
        let before = if all_accepted {
            None
        } else {
            self.strewn.remove(turn.namespace)
        };
        self.note_strewn(turn.namespace, &everything, before);
    }

    fn apply(&mut self, turn: &Turn<'_>, gateway: &str, uid: &str, desired: Desired) {
        let path = path(turn, gateway, &desired);
        let body = serde_json::to_vec(&desired.body).unwrap_or_default();
        let seen = turn.seen(&desired);
        if !self.is_new(
            What::Object,
            &path,
            print(&[&body, seen.as_bytes(), uid.as_bytes()]),
        ) {
            return;
        }
        let client = turn.tools.client.clone();
        let uid = uid.to_owned();
        turn.tools.writer.put(What::Object, path, move || {
            apply(client.clone(), desired.clone(), uid.clone())
        });
    }

    /// What could not be written and is not wanted any more is no failure.
    fn forget_failures(&mut self, turn: &Turn<'_>, gateway: &str, desired: &[Desired]) {
        let key = ObjectKey::new(turn.namespace, gateway);
        let Some(failures) = self.write_failures.get_mut(&key) else {
            return;
        };
        let wanted: BTreeSet<String> = desired
            .iter()
            .map(|each| path(turn, gateway, each))
            .collect();
        failures.retain(|failed, _| {
            let is_wanted = failed.what != What::Object || wanted.contains(&failed.name);
            if !is_wanted {
                turn.tools.writer.cancel(&failed.name);
            }
            is_wanted
        });
        if failures.is_empty() {
            self.write_failures.remove(&key);
        }
    }

    /// Deletes what the gateway had and has no more, as when it became a sidecar.
    fn remove_others(&mut self, turn: &Turn<'_>, gateway: &str, kept: &BTreeSet<(String, String)>) {
        for ((kind, name), seen) in &turn.held.owned {
            if seen.gateway != gateway || kept.contains(&(kind.as_str().to_owned(), name.clone())) {
                continue;
            }
            let own = turn
                .owner(gateway)
                .is_some_and(|owner| seen.owner == owner.uid);
            if own {
                self.delete(
                    turn.tools,
                    owned_resource(*kind),
                    Some(turn.namespace),
                    name,
                    &seen.uid,
                );
            }
        }
        for (name, policy) in &turn.held.policies {
            let uid = policy["metadata"]["uid"].as_str().unwrap_or_default();
            let owners = policy["metadata"]["ownerReferences"].as_array();
            let own = turn.owner(gateway).is_some_and(|owner| {
                owners
                    .into_iter()
                    .flatten()
                    .any(|each| each["uid"] == owner.uid && each["controller"] == true)
            });
            if own && !kept.contains(&("NetworkPolicy".to_owned(), name.clone())) {
                let resource = ApiResource::erase::<NetworkPolicy>(&());
                self.delete(turn.tools, resource, Some(turn.namespace), name, uid);
            }
        }
    }

    pub(super) fn delete(
        &mut self,
        tools: &Tools,
        resource: ApiResource,
        namespace: Option<&str>,
        name: &str,
        uid: &str,
    ) {
        let path = format!("{}/-/{}/{name}", namespace.unwrap_or("-"), resource.kind);
        if !self.is_new(What::Object, &path, print(&[b"delete", uid.as_bytes()])) {
            return;
        }
        let (client, name, uid) = (tools.client.clone(), name.to_owned(), uid.to_owned());
        let namespace = namespace.map(str::to_owned);
        tools.writer.put(What::Object, path, move || {
            delete(
                client.clone(),
                resource.clone(),
                namespace.clone(),
                name.clone(),
                uid.clone(),
            )
        });
    }
}

impl Turn<'_> {
    fn gateways(&self) -> Vec<String> {
        self.held
            .objects
            .gateways
            .keys()
            .map(|key| key.name.clone())
            .collect()
    }

    /// The gateways of this namespace as pods can ask for them; nothing for one that is not valid now.
    pub(super) fn injectable(&self) -> BTreeMap<String, Option<Injectable>> {
        let gateways = self.gateways().into_iter();
        gateways
            .map(|name| {
                let gateway = self.gateway(&name).map(|(spec, uid)| Injectable {
                    uid: uid.to_owned(),
                    spec: spec.clone(),
                });
                (name, gateway)
            })
            .collect()
    }

    /// What a gateway asks for and its uid; nothing while it is not accepted, and what was made for it stays as it is.
    fn gateway(&self, name: &str) -> Option<(&sekisho_crd::MailGatewaySpec, &str)> {
        let key = (sekisho_crd::Kind::MailGateway, name.to_owned());
        let refused = self
            .findings
            .get(&key)
            .is_some_and(|all| all.iter().any(|finding| finding.is_error()));
        let spec = self.gateway_spec(name).filter(|_| !refused)?;
        Some((spec, &self.held.known.get(&key)?.uid))
    }

    /// How an object was last seen: what somebody else changed or deleted is written anew.
    fn seen(&self, desired: &Desired) -> String {
        let namespace = desired.namespace.as_deref().unwrap_or_default();
        let Some(held) = self.index.namespaces.get(namespace) else {
            return String::new();
        };
        if desired.resource.kind == "NetworkPolicy" {
            return held
                .policies
                .get(&desired.name)
                .map(|policy| policy["spec"].to_string())
                .unwrap_or_default();
        }
        let kind = OwnedKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == desired.resource.kind);
        let seen = kind.and_then(|kind| held.owned.get(&(kind, desired.name.clone())));
        seen.map(|seen| format!("{} {}", seen.uid, seen.version))
            .unwrap_or_default()
    }
}

/// Names the write of an object of a gateway.
fn path(turn: &Turn<'_>, gateway: &str, desired: &Desired) -> String {
    let namespace = desired.namespace.as_deref().unwrap_or_default();
    let Desired { resource, name, .. } = desired;
    format!(
        "{}/{gateway}/{}/{namespace}/{name}",
        turn.namespace, resource.kind
    )
}

fn owned_resource(kind: OwnedKind) -> ApiResource {
    use k8s_openapi::api::{apps, core, policy};
    match kind {
        OwnedKind::Deployment => ApiResource::erase::<apps::v1::Deployment>(&()),
        OwnedKind::Service => ApiResource::erase::<core::v1::Service>(&()),
        OwnedKind::ServiceAccount => ApiResource::erase::<core::v1::ServiceAccount>(&()),
        OwnedKind::PodDisruptionBudget => {
            ApiResource::erase::<policy::v1::PodDisruptionBudget>(&())
        }
    }
}

fn api_of(client: Client, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None => Api::all_with(client, resource),
    }
}

/// Applies an object, unless one of its name is somebody else's.
async fn apply(client: Client, desired: Desired, uid: String) -> Result<(), Error> {
    let Desired {
        resource,
        namespace,
        name,
        body,
    } = desired;
    let what = format!(
        "{} {}/{name}",
        resource.kind,
        namespace.as_deref().unwrap_or_default()
    );
    let api = api_of(client, &resource, namespace.as_deref());
    let there: Option<PartialObjectMeta<DynamicObject>> = api
        .get_metadata_opt(&name)
        .await
        .map_err(Error::api(format!("reading the {what}")))?;
    if let Some(there) = there
        && !is_ours(&there.metadata, &uid, &body)
    {
        return Err(Error::NotOurs(format!("the {what}")));
    }
    let params = PatchParams::apply(labels::FIELD_MANAGER).force();
    let applied = api.patch(&name, &params, &Patch::Apply(&body)).await;
    applied
        .map(drop)
        .map_err(Error::api(format!("writing the {what}")))
}

/// Ours is what the gateway owns; what lies in another namespace, or in none, cannot be owned and bears our label.
fn is_ours(there: &ObjectMeta, uid: &str, wanted: &serde_json::Value) -> bool {
    let owned = workload::is_own(there, uid);
    let label = wanted["metadata"]["labels"][labels::BYPASS_OF].as_str();
    let has_owner = wanted["metadata"]["ownerReferences"].is_array();
    let there = there
        .labels
        .as_ref()
        .and_then(|all| all.get(labels::BYPASS_OF));
    owned || (!has_owner && label.is_some() && there.map(String::as_str) == label)
}

async fn delete(
    client: Client,
    resource: ApiResource,
    namespace: Option<String>,
    name: String,
    uid: String,
) -> Result<(), Error> {
    let api = api_of(client, &resource, namespace.as_deref());
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    match api.delete(&name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(Error::api(format!("deleting the {} {name}", resource.kind))(error)),
    }
}
