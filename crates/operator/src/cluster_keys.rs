//! The keys that the cluster signs the tokens of its service accounts with, for gateways that let service accounts log in: proxies
//! have no rights at the API server, so it is asked here, and they find what it says in their gateway's Secret.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use kube::Client;
use sekisho_runtime::Shutdown;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// So often the API server is asked while a gateway needs the keys.
const EVERY: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(10);
/// Octets that a proxy reads.
const MOST: usize = 128 * 1024;

/// What the API server said last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nobody has needed them yet.
    #[default]
    NotAsked,
    /// A JWK Set with the cluster's `issuer` beside its `keys`.
    Keys(Arc<[u8]>),
    /// Why there are none.
    Failed(String),
}

/// The keys, and the wish for them. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct ClusterKeys {
    wanted: Arc<watch::Sender<bool>>,
    known: watch::Receiver<Known>,
}

impl ClusterKeys {
    /// Waits for somebody to want the keys, and then keeps them as they are until the process drains.
    pub(crate) fn start(client: Client, shutdown: &Shutdown) -> Self {
        let (wanted, mut wishes) = watch::channel(false);
        let (tell, known) = watch::channel(Known::default());
        let draining = shutdown.clone();
        shutdown.spawn(async move {
            let keep = async {
                if wishes.wait_for(|wanted| *wanted).await.is_err() {
                    return;
                }
                loop {
                    let asked = timeout(PATIENCE, ask(&client)).await;
                    take(
                        &tell,
                        asked.unwrap_or_else(|_| Err("it did not answer in time".to_owned())),
                    );
                    sleep(EVERY).await;
                }
            };
            tokio::select! {
                () = keep => {}
                () = draining.draining() => {}
            }
        });
        Self {
            wanted: Arc::new(wanted),
            known,
        }
    }

    /// What is known now. From now on they are wanted.
    pub(crate) fn want(&self) -> Known {
        self.wanted
            .send_if_modified(|wanted| !std::mem::replace(wanted, true));
        self.known.borrow().clone()
    }

    /// When something else is known.
    pub(crate) fn changes(&self) -> watch::Receiver<Known> {
        self.known.clone()
    }
}

/// An API server that is away for a while has the keys that it had.
fn take(tell: &watch::Sender<Known>, asked: Result<Vec<u8>, String>) {
    let next = match asked {
        Ok(keys) => Known::Keys(keys.into()),
        Err(why) => {
            tracing::warn!(
                why,
                "the cluster's keys for tokens of service accounts cannot be read"
            );
            if matches!(*tell.borrow(), Known::Keys(_)) {
                return;
            }
            Known::Failed(why)
        }
    };
    tell.send_if_modified(|known| {
        let differs = *known != next;
        *known = next;
        differs
    });
}

async fn ask(client: &Client) -> Result<Vec<u8>, String> {
    let configuration = read(client, "/.well-known/openid-configuration").await?;
    let issuer = configuration.get("issuer").and_then(Value::as_str);
    let issuer = issuer.ok_or("its discovery document names no issuer")?;
    let mut keys = read(client, "/openid/v1/jwks").await?;
    if !keys.get("keys").is_some_and(Value::is_array) {
        return Err("/openid/v1/jwks is no set of keys".to_owned());
    }
    keys.insert("issuer".to_owned(), issuer.into());
    let octets = Value::Object(keys).to_string().into_bytes();
    if octets.len() > MOST {
        return Err(format!("the set of keys has more than {MOST} octets"));
    }
    Ok(octets)
}

async fn read(client: &Client, path: &str) -> Result<Map<String, Value>, String> {
    let request = Request::get(path).body(Vec::new());
    let request = request.map_err(|error| error.to_string())?;
    let said: Result<Map<String, Value>, _> = client.request(request).await;
    said.map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_while_the_api_server_is_away() {
        let (tell, known) = watch::channel(Known::default());
        take(&tell, Err("forbidden".to_owned()));
        assert_eq!(*known.borrow(), Known::Failed("forbidden".to_owned()));
        take(&tell, Ok(b"{}".to_vec()));
        let keys = Known::Keys(b"{}".as_slice().into());
        assert_eq!(*known.borrow(), keys);
        take(&tell, Err("away".to_owned()));
        assert_eq!(*known.borrow(), keys);
    }
}
