//! The gateways as the webhook asks for them: changed by the loop, read by whoever injects.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use sekisho_crd::MailGatewaySpec;

/// A gateway by what a pod's label says of it. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Gateways(Arc<RwLock<Held>>, Arc<AtomicBool>);

/// By namespace and name; nothing of those that exist and were never valid.
type Held = BTreeMap<String, BTreeMap<String, Option<Arc<Injectable>>>>;

/// A gateway that pods can ask for.
#[derive(Debug)]
pub struct Injectable {
    /// `metadata.uid`.
    pub uid: String,
    /// The last spec that was valid.
    pub spec: MailGatewaySpec,
}

impl Gateways {
    /// The gateway of that name, if it is valid or ever was.
    pub fn find(&self, namespace: &str, name: &str) -> Option<Arc<Injectable>> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.get(namespace)?.get(name)?.clone()
    }

    /// Whether there is a gateway of that name, valid or not.
    pub fn exists(&self, namespace: &str, name: &str) -> bool {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.get(namespace)
            .is_some_and(|of_namespace| of_namespace.contains_key(name))
    }

    /// Whether all gateways have been read: before that, one that is not found may well exist.
    pub fn are_known(&self) -> bool {
        self.1.load(Ordering::Acquire)
    }

    /// From now on, what is not found does not exist.
    pub(crate) fn all_known(&self) {
        self.1.store(true, Ordering::Release);
    }

    /// These are all gateways of a namespace. One that is not valid now stays as it was.
    pub(crate) fn replace(&self, namespace: &str, now: BTreeMap<String, Option<Injectable>>) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = held.remove(namespace).unwrap_or_default();
        let after: BTreeMap<_, _> = now
            .into_iter()
            .map(|(name, gateway)| {
                let gateway = match gateway {
                    Some(gateway) => Some(Arc::new(gateway)),
                    None => before.get(&name).cloned().flatten(),
                };
                (name, gateway)
            })
            .collect();
        if !after.is_empty() {
            held.insert(namespace.to_owned(), after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_is_not_valid_is_there_all_the_same() {
        let gateways = Gateways::default();
        let valid = || Injectable {
            uid: "uid".to_owned(),
            spec: crate::testing::spec(serde_json::json!({})),
        };
        let now = |valid: Option<Injectable>| {
            let all = [("a".to_owned(), valid), ("never".to_owned(), None)];
            gateways.replace("mail", all.into());
        };
        now(Some(valid()));
        now(None);
        assert!(gateways.find("mail", "a").is_some());
        assert!(gateways.find("mail", "never").is_none());
        assert!(gateways.exists("mail", "never"));
        assert!(!gateways.exists("mail", "b") && !gateways.exists("other", "never"));
        gateways.replace("mail", BTreeMap::new());
        assert!(gateways.find("mail", "a").is_none() && !gateways.exists("mail", "never"));
    }
}
