//! What keeps pods from passing a gateway by: in which namespaces it is to be, and what is left of gateways that are gone.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::{Api, Client};
use sekisho_crd::{ConditionStatus, Kind, MailGatewaySpec};

use super::{Memory, Tools, Turn, print};
use crate::bypass::{self, Possible};
use crate::error::Error;
use crate::index::Index;
use crate::labels;
use crate::settings::GatewayInput;
use crate::status::Aspect;
use crate::workload::Desired;
use crate::writer::What;

/// Whether the cluster has AdminNetworkPolicies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdminPolicies {
    Present,
    Absent,
}

impl AdminPolicies {
    /// Asks the API server once; whoever adds the API later restarts the control plane.
    pub(crate) async fn discover(client: &Client) -> Result<Self, Error> {
        let resource = bypass::admin_resource();
        match client.list_api_group_resources(&resource.api_version).await {
            Ok(list) if list.resources.iter().any(|each| each.kind == resource.kind) => {
                Ok(Self::Present)
            }
            Ok(_) => Ok(Self::Absent),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Self::Absent),
            Err(error) => Err(Error::api("asking for the API of AdminNetworkPolicy")(
                error,
            )),
        }
    }
}

/// What lies outside of a gateway's own namespace, or of any: no owner takes it along.
pub(super) type Strewn = BTreeSet<(Option<String>, String)>;

impl Turn<'_> {
    /// The policies that a gateway asks for.
    pub(super) fn blocking(&self, gateway: &GatewayInput<'_>) -> Vec<Desired> {
        let chosen = self.chosen(gateway);
        let mut desired = bypass::policies(gateway, &chosen);
        if self.tools.admin_policies == AdminPolicies::Present {
            desired.extend(bypass::admin_policy(gateway, &chosen));
        }
        desired
    }

    fn chosen(&self, gateway: &GatewayInput<'_>) -> BTreeSet<String> {
        let labels = self.index.namespace_labels.iter();
        bypass::chosen(
            gateway,
            labels.map(|(name, labels)| (name.as_str(), Some(labels))),
        )
    }

    /// What a gateway's status says of it.
    pub(super) fn bypass(
        &self,
        name: &str,
        spec: &MailGatewaySpec,
        denied: AdminPolicies,
    ) -> Option<Aspect> {
        let gateway = GatewayInput {
            namespace: self.namespace,
            name,
            uid: "",
            spec,
        };
        let chosen = self.chosen(&gateway);
        let held = chosen
            .iter()
            .filter_map(|namespace| self.index.namespaces.get(namespace));
        let policies: Vec<NetworkPolicy> = match denied {
            // No NetworkPolicy reopens what an AdminNetworkPolicy denies.
            AdminPolicies::Present => Vec::new(),
            AdminPolicies::Absent => held
                .flat_map(|held| held.policies.values())
                .filter_map(|policy| serde_json::from_value(policy.clone()).ok())
                .collect(),
        };
        let reopened = bypass::reopened(&gateway, &chosen, &policies);
        let said = bypass::condition(&gateway, &chosen, &reopened)?;
        Some(Aspect {
            type_: bypass::BYPASS_POSSIBLE,
            status: match said.possible {
                Possible::Yes => ConditionStatus::True,
                Possible::No => ConditionStatus::False,
            },
            reason: said.reason,
            message: said.message,
        })
    }
}

impl Memory {
    /// Takes note of what the gateways of a namespace have elsewhere.
    pub(super) fn note_strewn(
        &mut self,
        namespace: &str,
        desired: &[Desired],
        before: Option<Strewn>,
    ) {
        let elsewhere = desired
            .iter()
            .filter(|each| each.namespace.as_deref() != Some(namespace));
        let strewn: Strewn = elsewhere
            .map(|each| (each.namespace.clone(), each.name.clone()))
            .collect();
        let all = strewn
            .into_iter()
            .chain(before.into_iter().flatten())
            .collect();
        self.strewn.insert(namespace.to_owned(), all);
    }

    /// Deletes what no gateway has any more. To be called when every namespace was looked at.
    pub(crate) fn sweep(&mut self, index: &Index, tools: &Tools) {
        self.forget_what_is_long_gone();
        self.strewn
            .retain(|namespace, _| index.namespaces.contains_key(namespace));
        let unsure = self.unsure();
        let kept: Strewn = self.strewn.values().flatten().cloned().collect();
        for (namespace, held) in &index.namespaces {
            for (name, policy) in &held.policies {
                let Some(uid) = stray(policy, &unsure) else {
                    continue;
                };
                if !kept.contains(&(Some(namespace.clone()), name.clone())) {
                    let resource = ApiResource::erase::<NetworkPolicy>(&());
                    self.delete(tools, resource, Some(namespace), name, &uid);
                }
            }
        }
        if tools.admin_policies == AdminPolicies::Present {
            let names: BTreeSet<String> = kept
                .into_iter()
                .filter(|(namespace, _)| namespace.is_none())
                .map(|(_, name)| name)
                .collect();
            self.sweep_admin_policies(tools, names, unsure);
        }
    }

    /// The gateways (as labels name them) that are not accepted now: what was made for them when they were stays.
    fn unsure(&self) -> BTreeSet<String> {
        let invalid = self
            .invalid
            .iter()
            .flat_map(|(namespace, objects)| objects.iter().map(move |object| (namespace, object)));
        invalid
            .filter(|(_, (kind, _))| *kind == Kind::MailGateway)
            .map(|(namespace, (_, name))| labels::dotted(namespace, name))
            .collect()
    }

    fn sweep_admin_policies(
        &mut self,
        tools: &Tools,
        kept: BTreeSet<String>,
        unsure: BTreeSet<String>,
    ) {
        let names: Vec<&str> = kept.iter().chain(&unsure).map(String::as_str).collect();
        let path = "-/-/AdminNetworkPolicy";
        if !self.is_new(What::Object, path, print(&[names.join("\n").as_bytes()])) {
            return;
        }
        let client = tools.client.clone();
        tools.writer.put(What::Object, path, move || {
            delete_others(client.clone(), kept.clone(), unsure.clone())
        });
    }
}

/// The uid of a policy that the operator strewed into a namespace that is not its gateway's.
fn stray(policy: &serde_json::Value, unsure: &BTreeSet<String>) -> Option<String> {
    let metadata = &policy["metadata"];
    let of = metadata["labels"][labels::BYPASS_OF].as_str();
    let labelled = of.is_some_and(|of| !unsure.contains(of));
    let ours = labelled
        && metadata["labels"]["app.kubernetes.io/managed-by"] == "sekisho"
        && metadata["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("sekisho-bypass"));
    // In its gateway's own namespace the owner reference takes it along.
    let is_owned = metadata["ownerReferences"].is_array();
    let uid = metadata["uid"].as_str()?;
    (ours && !is_owned).then(|| uid.to_owned())
}

async fn delete_others(
    client: Client,
    kept: BTreeSet<String>,
    unsure: BTreeSet<String>,
) -> Result<(), Error> {
    let api: Api<DynamicObject> = Api::all_with(client, &bypass::admin_resource());
    let params = ListParams::default().labels(&format!(
        "app.kubernetes.io/managed-by=sekisho,{}",
        labels::BYPASS_OF
    ));
    let found = api
        .list(&params)
        .await
        .map_err(Error::api("listing AdminNetworkPolicies"))?;
    for policy in found {
        let of = policy
            .metadata
            .labels
            .as_ref()
            .and_then(|all| all.get(labels::BYPASS_OF));
        if of.is_some_and(|of| unsure.contains(of)) {
            continue;
        }
        let name = policy.metadata.name.unwrap_or_default();
        if !kept.contains(&name) {
            let deleted = api.delete(&name, &DeleteParams::default()).await;
            deleted.map(drop).map_err(Error::api(format!(
                "deleting the AdminNetworkPolicy {name}"
            )))?;
        }
    }
    Ok(())
}
