//! Which watches there are, over the whole cluster or in chosen namespaces.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::{ApiResource, DynamicObject, NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::watcher::Config;
use kube::{Api, Client, Resource};
use sekisho_crd::Kind;
use sekisho_runtime::Shutdown;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::index::{Label, OwnedKind, Watched};
use crate::watch::{Change, Item, follow};
use crate::{kinds, labels, snapshots};

/// Changes that wait to be taken; a watch that is ahead waits.
const WAITING: usize = 1024;
/// Helm keeps each release, and old clusters each token, in a Secret; none of them is of use here.
const SECRETS_OF_USE: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,type!=bootstrap.kubernetes.io/token";
const OURS: &str = "app.kubernetes.io/managed-by=sekisho";

/// Begins all watches. What they say comes out of the receiver; the labels are those of the watches that were begun.
pub(crate) fn begin(
    client: &Client,
    namespaces: &[String],
    shutdown: &Shutdown,
) -> (mpsc::Receiver<(Label, Change)>, BTreeSet<Label>) {
    let (sink, seen) = mpsc::channel(WAITING);
    let mut begin = Begin {
        client,
        sink,
        shutdown,
        begun: BTreeSet::new(),
    };
    if namespaces.is_empty() {
        begin.all(None);
        begin.watch(
            Watched::Namespaces,
            None,
            Api::<PartialObjectMeta<Namespace>>::all(client.clone()),
            Config::default(),
        );
    }
    for namespace in namespaces {
        begin.all(Some(namespace));
    }
    (seen, begin.begun)
}

struct Begin<'a> {
    client: &'a Client,
    sink: mpsc::Sender<(Label, Change)>,
    shutdown: &'a Shutdown,
    begun: BTreeSet<Label>,
}

impl Begin<'_> {
    /// Everything that is watched of a namespace, or of all.
    fn all(&mut self, namespace: Option<&str>) {
        for kind in Kind::ALL {
            let resource = kinds::resource(kind);
            let api = self.dynamic(namespace, &resource);
            self.watch(Watched::Kind(kind), namespace, api, Config::default());
        }
        let snapshots = self.dynamic(namespace, &ApiResource::erase::<ConfigMap>(&()));
        self.watch(
            Watched::Snapshots,
            namespace,
            snapshots,
            Config::default().labels(snapshots::LABEL),
        );
        let secrets = self.metadata::<Secret>(namespace);
        self.watch(
            Watched::Secrets,
            namespace,
            secrets,
            Config::default().fields(SECRETS_OF_USE),
        );
        let pods = self.dynamic(namespace, &ApiResource::erase::<Pod>(&()));
        self.watch(
            Watched::Pods,
            namespace,
            pods,
            Config::default().labels(labels::GATEWAY),
        );
        let policies = self.dynamic(namespace, &ApiResource::erase::<NetworkPolicy>(&()));
        self.watch(
            Watched::NetworkPolicies,
            namespace,
            policies,
            Config::default(),
        );
        self.owned::<Deployment>(OwnedKind::Deployment, namespace);
        self.owned::<Service>(OwnedKind::Service, namespace);
        self.owned::<ServiceAccount>(OwnedKind::ServiceAccount, namespace);
        self.owned::<PodDisruptionBudget>(OwnedKind::PodDisruptionBudget, namespace);
    }

    fn owned<K>(&mut self, kind: OwnedKind, namespace: Option<&str>)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let api = self.metadata::<K>(namespace);
        self.watch(
            Watched::Owned(kind),
            namespace,
            api,
            Config::default().labels(OURS),
        );
    }

    fn dynamic(&self, namespace: Option<&str>, resource: &ApiResource) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    fn metadata<K>(&self, namespace: Option<&str>) -> Api<PartialObjectMeta<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    fn watch<K>(&mut self, of: Watched, namespace: Option<&str>, api: Api<K>, config: Config)
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Into<Item> + 'static,
    {
        let label = Label {
            of,
            namespace: namespace.map(str::to_owned),
        };
        self.begun.insert(label.clone());
        let (sink, shutdown) = (self.sink.clone(), self.shutdown.clone());
        self.shutdown
            .spawn(follow(api, config, label, sink, shutdown));
    }
}
