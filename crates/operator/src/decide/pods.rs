//! Pods that ask for a sidecar and have none: they were made while the webhook could not be reached, or before it was there.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::EventType;

use super::events::event;
use super::{Memory, Turn};

impl Memory {
    pub(super) fn pods(&mut self, turn: &Turn<'_>) {
        let missing: Vec<_> = turn
            .held
            .pods
            .iter()
            .filter(|(_, pod)| !pod.injected)
            .collect();
        turn.tools
            .metrics
            .pods_without_sidecar(turn.namespace, missing.len());
        for (name, pod) in missing {
            if !self.told_pods.insert(pod.uid.clone()) {
                continue;
            }
            let note = format!(
                "the pod asks for a sidecar of the MailGateway {} and has none, so its mail is not looked at; delete it, and the one that replaces it gets one",
                pod.gateway
            );
            let about = ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                namespace: Some(turn.namespace.to_owned()),
                name: Some(name.clone()),
                uid: Some(pod.uid.clone()),
                ..ObjectReference::default()
            };
            turn.publish(
                event(EventType::Warning, "Inject", "NotInjected", &note),
                about,
            );
        }
    }
}
