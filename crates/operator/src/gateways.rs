//! The gateways as the webhook asks for them: changed by the loop, read by whoever injects.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use sekisho_crd::MailGatewaySpec;

/// A gateway by what a pod's label says of it. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Gateways(Arc<RwLock<Held>>, Arc<AtomicBool>);

type Held = BTreeMap<String, BTreeMap<String, Arc<Injectable>>>;

/// A gateway that pods can ask for.
#[derive(Debug)]
pub struct Injectable {
    /// `metadata.uid`.
    pub uid: String,
    /// The last spec that was valid.
    pub spec: MailGatewaySpec,
}

impl Gateways {
    /// The gateway of that name.
    pub fn find(&self, namespace: &str, name: &str) -> Option<Arc<Injectable>> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        held.get(namespace)?.get(name).cloned()
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
            .filter_map(|(name, gateway)| {
                let gateway = match gateway {
                    Some(gateway) => Arc::new(gateway),
                    None => before.get(&name)?.clone(),
                };
                Some((name, gateway))
            })
            .collect();
        if !after.is_empty() {
            held.insert(namespace.to_owned(), after);
        }
    }
}
