//! The watch loop, written once: lists, follows, and begins anew when following does not work.
//!
//! Objects come as they are, so one that no type fits never stops a watch; whoever takes it says what is wrong with it.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::runtime::watcher::{self, Event, watcher};
use sekisho_runtime::Shutdown;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// The first pause after an error; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// An object as the API server holds it.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) metadata: ObjectMeta,
    /// Everything but `apiVersion`, `kind` and `metadata`; null where only the metadata are watched.
    pub(crate) data: Value,
}

impl Item {
    pub(crate) fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(key).map(String::as_str)
    }
}

impl From<DynamicObject> for Item {
    fn from(object: DynamicObject) -> Self {
        let mut item = Self {
            metadata: object.metadata,
            data: object.data,
        };
        item.metadata.managed_fields = None;
        item
    }
}

impl<K> From<PartialObjectMeta<K>> for Item {
    fn from(object: PartialObjectMeta<K>) -> Self {
        let mut item = Self {
            metadata: object.metadata,
            data: Value::Null,
        };
        item.metadata.managed_fields = None;
        item
    }
}

/// What became of the objects of one watch.
#[derive(Debug)]
pub(crate) enum Change {
    /// These are all there are.
    All(Vec<Item>),
    /// This one is new, or changed.
    Applied(Box<Item>),
    /// This one is gone.
    Deleted(Box<Item>),
}

/// Follows the objects of `api` until the process drains or nobody listens. `label` says in each message which watch it is.
pub(crate) async fn follow<K, L>(
    api: Api<K>,
    config: watcher::Config,
    label: L,
    sink: mpsc::Sender<(L, Change)>,
    shutdown: Shutdown,
) where
    K: kube::Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Into<Item> + 'static,
    L: Clone + std::fmt::Debug + Send,
{
    let mut pause = FIRST_PAUSE;
    while !shutdown.is_draining() {
        let once = once(&api, &config, &label, &sink, &mut pause);
        tokio::select! {
            heard = once => if heard == Listener::Gone { return },
            () = shutdown.draining() => return,
        }
    }
}

#[derive(PartialEq, Eq)]
enum Listener {
    There,
    Gone,
}

/// One stream, from its first list until its first error. Then everything is listed anew: a server that was restored from an
/// older backup lets a watch go on from where we were, which is in its future, and says nothing of what it holds until then.
async fn once<K, L>(
    api: &Api<K>,
    config: &watcher::Config,
    label: &L,
    sink: &mpsc::Sender<(L, Change)>,
    pause: &mut Duration,
) -> Listener
where
    K: kube::Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + Into<Item> + 'static,
    L: Clone + std::fmt::Debug + Send,
{
    let mut stream = pin!(watcher(api.clone(), config.clone()));
    let mut listed = Vec::new();
    loop {
        let change = match stream.next().await {
            None => return Listener::There,
            Some(Err(error)) => {
                tracing::warn!(watch = ?label, %error, "a watch failed");
                sleep(*pause).await;
                *pause = (*pause * 2).min(LONGEST_PAUSE);
                return Listener::There;
            }
            Some(Ok(event)) => match event {
                Event::Init => {
                    listed.clear();
                    continue;
                }
                Event::InitApply(object) => {
                    listed.push(object.into());
                    continue;
                }
                Event::InitDone => Change::All(std::mem::take(&mut listed)),
                Event::Apply(object) => Change::Applied(Box::new(object.into())),
                Event::Delete(object) => Change::Deleted(Box::new(object.into())),
            },
        };
        *pause = FIRST_PAUSE;
        if sink.send((label.clone(), change)).await.is_err() {
            return Listener::Gone;
        }
    }
}
