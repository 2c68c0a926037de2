//! The gateways, their thousand proxies, and changes that are followed from the API server to the last of them.

use std::sync::Arc;

use hyper::Method;
use sekisho_testkit::scene::{self, GATEWAYS, NAMESPACES};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::api::{Api, core, sekisho, token_request};
use crate::control::Control;
use crate::figures::Delay;
use crate::https::Server;
use crate::proxy::{Enforced, Proxy};

/// Of each gateway.
const PROXIES: usize = 5;

pub(crate) struct Fleet {
    api: Arc<Api>,
    /// Of each gateway's proxies.
    enforced: Vec<Vec<watch::Receiver<Enforced>>>,
}

/// A change of one limit of one gateway.
#[derive(Clone, Copy)]
pub(crate) struct Change {
    pub(crate) gateway: usize,
    pub(crate) limit: usize,
    pub(crate) count: u64,
}

impl Change {
    fn name(self) -> String {
        format!("limit-{}-{}", self.gateway, self.limit)
    }
}

fn namespace_of(gateway: usize) -> String {
    scene::namespace_of(gateway, NAMESPACES)
}

fn service_account(gateway: usize) -> String {
    format!("sekisho-{}", scene::gateway_name(gateway))
}

impl Fleet {
    /// Makes Pods and their tokens, and connects a proxy for each.
    pub(crate) async fn connect(api: &Arc<Api>, control: &Control) -> Self {
        let server = Server::new(control.address(), &authorities(api).await);
        let pods = (0..GATEWAYS * PROXIES)
            .map(|number| (core(&namespace_of(number % GATEWAYS), "pods"), pod(number)));
        let pods = api.create(pods.collect()).await;
        let requests = pods.iter().enumerate().map(|(number, pod)| {
            let gateway = number % GATEWAYS;
            let accounts = core(&namespace_of(gateway), "serviceaccounts");
            let path = format!("{accounts}/{}/token", service_account(gateway));
            (path, token_request(pod))
        });
        let tokens = api.create(requests.collect()).await;
        let mut enforced = vec![Vec::new(); GATEWAYS];
        for (number, token) in tokens.iter().enumerate() {
            let gateway = number % GATEWAYS;
            let (sender, receiver) = watch::channel(Enforced::new());
            enforced[gateway].push(receiver);
            let proxy = Proxy {
                server: server.clone(),
                gateway: format!("{}/{}", namespace_of(gateway), scene::gateway_name(gateway)),
                token: token["status"]["token"].as_str().unwrap().to_owned(),
                enforced: sender,
            };
            tokio::spawn(proxy.run());
        }
        let fleet = Self {
            api: api.clone(),
            enforced,
        };
        for receiver in fleet.enforced.iter().flatten() {
            let mut receiver = receiver.clone();
            let is_there = |enforced: &Enforced| {
                let mut all = enforced.values();
                !enforced.is_empty() && all.all(|since| since.acknowledged.is_some())
            };
            receiver.wait_for(is_there).await.unwrap();
        }
        fleet
    }

    pub(crate) fn size(&self) -> usize {
        self.enforced.iter().map(Vec::len).sum()
    }

    /// Makes one change and follows it.
    pub(crate) async fn follow(&self, change: Change) -> Delay {
        self.change(change).await;
        let acknowledged = Instant::now();
        self.arrived(change, acknowledged).await
    }

    /// Makes changes at once and follows each.
    pub(crate) async fn follow_all(self: &Arc<Self>, changes: Vec<Change>) -> Vec<Delay> {
        let mut following = JoinSet::new();
        for change in changes {
            let fleet = self.clone();
            following.spawn(async move { fleet.follow(change).await });
        }
        following.join_all().await
    }

    /// Returns when the API server has acknowledged it.
    pub(crate) async fn change(&self, change: Change) {
        let namespace = namespace_of(change.gateway);
        let count = usize::try_from(change.count).unwrap();
        let object = scene::limit(&namespace, change.gateway, change.limit, count);
        let patch = json!({ "spec": { "limits": object["spec"]["limits"] } });
        let path = sekisho(&namespace, "ratelimits", &change.name());
        self.api.insist(Method::PATCH, &path, &patch).await;
    }

    /// Waits until every proxy of its gateway enforces a change and has said so.
    pub(crate) async fn arrived(&self, change: Change, since: Instant) -> Delay {
        let mut delay = Delay {
            enforced: Default::default(),
            acknowledged: Default::default(),
        };
        for receiver in &self.enforced[change.gateway] {
            let mut receiver = receiver.clone();
            let name = change.name();
            let is_there = |enforced: &Enforced| {
                enforced.get(&name).is_some_and(|since| {
                    since.count == change.count && since.acknowledged.is_some()
                })
            };
            let enforced = receiver.wait_for(is_there).await.unwrap()[&name];
            let acknowledged = enforced.acknowledged.unwrap_or(enforced.enforced);
            delay.enforced = delay.enforced.max(enforced.enforced - since);
            delay.acknowledged = delay.acknowledged.max(acknowledged - since);
        }
        delay
    }
}

/// The authorities of the control plane, as a pod mounts them; waits until each gateway has its snapshot and its account.
async fn authorities(api: &Api) -> String {
    loop {
        let snapshots = api
            .list("/api/v1/configmaps?labelSelector=sekisho.dev/snapshot-of")
            .await;
        let accounts = api
            .list("/api/v1/serviceaccounts?labelSelector=app.kubernetes.io/managed-by=sekisho")
            .await;
        if snapshots.len() == GATEWAYS && accounts.len() == GATEWAYS {
            return snapshots[0]["data"]["ca.crt"].as_str().unwrap().to_owned();
        }
        sleep(std::time::Duration::from_millis(200)).await;
    }
}

fn pod(number: usize) -> Value {
    let gateway = number % GATEWAYS;
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("{}-{}", service_account(gateway), number / GATEWAYS),
            "namespace": namespace_of(gateway),
            "labels": { "sekisho.dev/proxy-of": scene::gateway_name(gateway) },
        },
        "spec": { "serviceAccountName": service_account(gateway), "containers": [{ "name": "proxy", "image": "none" }] },
    })
}
